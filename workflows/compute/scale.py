"""A symptom scale: its direction, range, cut-offs and norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Scale:
    """What is known about a score; None where it is not known.

    `reliability` lies between 0 and 1, `remission` is the worst value that counts as
    remission, `response_pct` the smallest percent improvement that counts as response.
    `norm_*` belong to people without treatment, `clinical_*` to people before treatment.
    """

    name: str
    better: Literal["lower", "higher"] = "lower"
    minimum: float | None = None
    maximum: float | None = None
    reliability: float | None = None
    remission: float | None = None
    response_pct: float = 50.0
    norm_mean: float | None = None
    norm_sd: float | None = None
    clinical_mean: float | None = None
    clinical_sd: float | None = None

    def __post_init__(self):
        """Refuse a direction that does not exist."""
        if self.better not in ("lower", "higher"):
            raise ValueError("better: 'lower' or 'higher'")

    @property
    def sign(self) -> int:
        """1 where higher values are better, -1 where lower values are."""
        return 1 if self.better == "higher" else -1

    @property
    def best(self) -> float | None:
        """Best possible value; where lower is better and no minimum is known, 0."""
        if self.better == "higher":
            return self.maximum
        return 0.0 if self.minimum is None else self.minimum


def improvement(baseline: np.ndarray, followup: np.ndarray, scale: Scale) -> np.ndarray:
    """Change for the better, in points of the scale; negative is worse, NaN stays NaN."""
    return scale.sign * (np.asarray(followup, dtype=float) - np.asarray(baseline, dtype=float))


def percent_improvement(baseline: np.ndarray, followup: np.ndarray, scale: Scale) -> np.ndarray:
    """Improvement in percent of the distance from the baseline to the best possible value.

    Where lower is better and the scale starts at 0 this is 100 * (baseline - follow-up) /
    baseline; a scale that starts elsewhere is counted from its minimum, and where higher is
    better from its maximum, so that turning a scale around changes nothing.

    Parameters
    ----------
    baseline, followup : np.ndarray
        Scores, same shape.
    scale : Scale

    Returns
    -------
    np.ndarray
        Percent, at most 100. NaN where a score is missing, where the baseline is at (or
        beyond) the best value so that nothing can improve, or where higher is better and the
        maximum is not known.
    """
    if scale.best is None:
        return np.full(np.shape(baseline), np.nan)
    room = scale.sign * (scale.best - np.asarray(baseline, dtype=float))
    return 100 * improvement(baseline, followup, scale) / np.where(room > 0, room, np.nan)


def reached(values: np.ndarray, cutoff: float, scale: Scale) -> np.ndarray:
    """True where a value is as good as the cut-off or better; False for NaN."""
    return scale.sign * (np.asarray(values, dtype=float) - cutoff) >= 0
