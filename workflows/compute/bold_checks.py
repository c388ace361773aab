"""What makes a BOLD series or a cleaned run unusable, in a plain sentence."""

from __future__ import annotations

from workflows.compute.bold_mask import dead_share, dead_voxels

MIN_VOLUMES = 10
MAX_DEAD_SHARE = 0.1
MIN_DEGREES_OF_FREEDOM = 5


def series_problem(series, n_dummy=0):
    """Empty text, or why an array cannot be a BOLD series.

    Voxels without information are no reason as long as they are few: they are left out.

    Parameters
    ----------
    series : array
        Expected (nx, ny, nz, n_volumes).
    n_dummy : int
        Leading volumes before the steady state, which do not count.
    """
    if series.ndim != 4:
        return f"it has {series.ndim} dimensions and not 4"
    n_volumes = series.shape[3] - n_dummy
    if n_volumes < MIN_VOLUMES:
        steady = f" in the steady state (the first {n_dummy} are not)" if n_dummy else ""
        return f"it has {n_volumes} volumes{steady}; at least {MIN_VOLUMES} are needed"
    dead = dead_voxels(series)
    if dead.all():
        return "its volumes are all the same, or their values are not numbers (NaN or infinite)"
    share = dead_share(series, dead)
    if share > MAX_DEAD_SHARE:
        return (
            f"{100 * share:.0f} % of the voxels of the head are constant or are not numbers "
            f"(NaN or infinite); up to {100 * MAX_DEAD_SHARE:.0f} % are left out"
        )
    return ""


def run_problem(clean_minutes, min_clean_minutes, degrees_of_freedom, n_regions):
    """Empty text, or why a cleaned run gives no connectivity.

    Parameters
    ----------
    clean_minutes, min_clean_minutes : float
        Time that is left without outlier volumes, and what the study asks for.
    degrees_of_freedom : int
        Left after denoising.
    n_regions : int
        Regions with enough coverage.
    """
    if clean_minutes < min_clean_minutes:
        return f"{clean_minutes:.2f} clean minutes, {min_clean_minutes:g} needed"
    if degrees_of_freedom < MIN_DEGREES_OF_FREEDOM:
        return (
            f"{degrees_of_freedom} degrees of freedom are left after denoising, "
            f"{MIN_DEGREES_OF_FREEDOM} needed"
        )
    if n_regions < 2:
        return f"{n_regions} regions are covered, 2 needed"
    return ""
