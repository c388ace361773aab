"""Where a participant changed: volume in percent, and cortical thickness in mm, on slices.

Colours end at the same values for all participants and sessions, so that pictures can be
compared; the colour bar has a point where values go beyond.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workflows.drawing.slices import MORE_OR_LESS, Overlay, Volume, mapped_slices, painted_values

VOLUME_LIMIT_PCT = 6.0
# Between two scans of the same anatomy with new noise, 98 % of the brain is nearer to 0.
VOLUME_FAINT_PCT = (2.0, 3.0)
THICKNESS_MM = (1.0, 4.5)
THICKNESS_CHANGE_MM = 0.2
NOT_MEASURED = "n/a: cortex that was not measured"
NOT_SEEN = "n/a: not seen in both sessions"


def volume_change_slices(
    volume: Volume, change_pct: np.ndarray, brain: np.ndarray, title: str
) -> Figure:
    """Change of volume (%) on a brain: orange has grown, purple has shrunk; NaN is hatched."""
    limits = (-VOLUME_LIMIT_PCT, VOLUME_LIMIT_PCT)
    missing = brain & np.isnan(change_pct)
    unit, faint = "change of volume (%)", VOLUME_FAINT_PCT
    overlay = Overlay(change_pct, limits, unit, MORE_OR_LESS, faint, missing, NOT_SEEN)
    return mapped_slices(volume, overlay, brain, title)


def thickness_slices(
    volume: Volume, thickness_mm: np.ndarray, brain: np.ndarray, title: str
) -> Figure:
    """Cortical thickness (mm; NaN or 0: not drawn) on a brain: dark is thin, yellow is thick."""
    values = np.where(thickness_mm > 0, thickness_mm, np.nan)
    overlay = Overlay(values, THICKNESS_MM, "thickness (mm)", "viridis")
    return mapped_slices(volume, overlay, brain, title)


def thickness_change_slices(
    volume: Volume, labels: np.ndarray, change_mm: pd.Series, title: str
) -> Figure:
    """Regions coloured by their change of thickness: orange is thicker, purple is thinner.

    Parameters
    ----------
    volume : Volume
        The brain beneath.
    labels : (nx, ny, nz) array of int
        Regions, 0 is none.
    change_mm : Series
        Follow-up minus baseline (mm) by label; regions that are NaN are hatched, those that are
        not in it (such as the thalamus) stay grey.
    title : str
        Written above.
    """
    values = painted_values(labels, change_mm.to_dict())
    missing = np.isin(labels, change_mm.index[change_mm.isna()])
    limits = (-THICKNESS_CHANGE_MM, THICKNESS_CHANGE_MM)
    overlay = Overlay(
        values, limits, "change of thickness (mm)", missing=missing, missing_label=NOT_MEASURED
    )
    return mapped_slices(volume, overlay, labels > 0, title)
