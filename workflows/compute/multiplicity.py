"""Corrections for many tests, family by family."""

from __future__ import annotations

import numpy as np
import pandas as pd

HOLM = "Holm"


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """False-discovery-rate adjusted p values (Benjamini & Hochberg 1995).

    Parameters
    ----------
    p : np.ndarray, shape (n_tests,)
        p values in 0..1; NaN is a test that was not made: it stays NaN and is not counted.
    """
    p = _checked(p)
    made = np.isfinite(p)
    order = np.argsort(p[made], kind="stable")[::-1]
    ranks = np.arange(made.sum(), 0, -1)
    adjusted = np.full(p.shape, np.nan)
    adjusted[np.flatnonzero(made)[order]] = np.minimum.accumulate(
        np.minimum(p[made][order] * (made.sum() / ranks), 1.0)
    )
    return adjusted


def holm(p: np.ndarray) -> np.ndarray:
    """Family-wise adjusted p values (Holm 1979), valid under any dependence of the tests.

    Parameters
    ----------
    p : np.ndarray, shape (n_tests,)
        p values in 0..1; NaN is a test that was not made: it stays NaN and is not counted.
    """
    p = _checked(p)
    made = np.isfinite(p)
    order = np.argsort(p[made], kind="stable")
    factors = np.arange(made.sum(), 0, -1)
    adjusted = np.full(p.shape, np.nan)
    adjusted[np.flatnonzero(made)[order]] = np.minimum(
        np.maximum.accumulate(p[made][order] * factors), 1.0
    )
    return adjusted


def correct_families(rows: pd.DataFrame) -> pd.DataFrame:
    """Copy of `rows` with `p_fdr` (Benjamini-Hochberg) and `p_fwe` within `family`.

    A `p_fwe` that is there already (from permutations, `fwe_method` says which) stays; the
    others are Holm's.
    """
    p = rows["p"].to_numpy(dtype=float)
    p_fdr = np.full(p.shape, np.nan)
    blank = {"p_fwe": np.nan, "fwe_method": ""}
    made = rows.assign(**{name: value for name, value in blank.items() if name not in rows})
    p_fwe = made["p_fwe"].to_numpy(dtype=float, copy=True)
    method = made["fwe_method"].to_numpy(dtype=object, copy=True)
    for places in rows.groupby("family", sort=False).indices.values():
        p_fdr[places] = benjamini_hochberg(p[places])
        if (method[places] == "").all():
            p_fwe[places], method[places] = holm(p[places]), HOLM
    return rows.assign(p_fdr=p_fdr, p_fwe=p_fwe, fwe_method=method)


def _checked(p):
    p = np.asarray(p, dtype=float)
    if p.ndim != 1 or np.any((p < 0) | (p > 1)):
        raise ValueError("p: one dimension, values between 0 and 1 or NaN")
    return p
