"""One file with correlations or time series of regions, as Fisher z."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import parse_name
from bids_utils.plain_files import read_first_line, read_json, read_utf8
from bids_utils.readers.cifti import ENDING as CIFTI
from bids_utils.readers.cifti import RegionSeries, cifti_regions, cifti_series

INDEX_NAMES = ("Node", "node", "")
STATISTICS = ("stat", "meas", "measure")
LARGEST_R = 1.0 + 1e-6
FEWEST_VOLUMES = 4
MOST_REGIONS = 100_000
ASYMMETRY = 1e-4
REPEAT = "run this scan again or copy the file again"
SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True)
class FileContent:
    """Fisher z of a run, n_regions x n_regions; NaN where not known, also on the diagonal.

    `n_volumes` and `minutes` are NaN where the file does not tell them.
    """

    regions: tuple[str, ...]
    matrix: np.ndarray
    n_volumes: float = float("nan")
    minutes: float = float("nan")


def file_regions(path: Path) -> tuple[str, ...]:
    """Names of the regions in the header of a table or a CIFTI file.

    Raises
    ------
    DatasetError
        The file cannot be read, or a name stands there twice.
    """
    if path.name.endswith(CIFTI):
        return cifti_regions(path)
    header = [cell.strip() for cell in read_first_line(path).split("\t")]
    regions = header[1:] if header[0] in INDEX_NAMES else header
    if len(regions) > MOST_REGIONS:
        raise DatasetError(f"{path}: {len(regions)} columns, more than any atlas has regions")
    if len(set(regions)) < len(regions):
        twice = next(name for name, count in Counter(regions).items() if count > 1)
        raise DatasetError(f"{path}: two columns are called {twice!r}; {REPEAT}")
    if len(regions) < 2:
        raise DatasetError(
            f"{path}: expected a column for each region, separated by tabs; {REPEAT}"
        )
    return tuple(regions)


def correlation_file(path: Path, is_fisher_z: bool, count_volumes: bool = False) -> FileContent:
    """Fisher z of a table of correlations with a row and a column for each region.

    Parameters
    ----------
    path : Path
        Tab-separated; a first column `Node` with the names of the rows is checked.
    is_fisher_z : bool
        Whether the numbers are Fisher z already; the description beside the file counts too.
    count_volumes : bool
        Whether to count the lines of the time series that belong to it.

    Raises
    ------
    DatasetError
        The table is not square or not symmetric, its rows are named differently from its
        columns, or its numbers are not correlations.
    """
    regions = file_regions(path)
    table = _table(path)
    if len(table) != len(regions):
        raise DatasetError(
            f"{path}: {len(table)} rows for {len(regions)} regions: it is cut off; {REPEAT}"
        )
    if table.shape[1] == len(regions) + 1:
        rows = tuple(str(name).strip() for name in table.iloc[:, 0])
        if rows != regions:
            raise DatasetError(f"{path}: its rows are not named like its columns; {REPEAT}")
        table = table.iloc[:, 1:]
    values = _numbers(path, table)
    is_z = is_fisher_z or "Fisher z" in str(_sidecar(path).get("Description", ""))
    matrix = values if is_z else fisher_z(str(path), values)
    volumes = _volumes_beside(path) if count_volumes else float("nan")
    return FileContent(regions, _checked(path, matrix), volumes)


def timeseries_file(path: Path) -> FileContent:
    """Fisher z of the Pearson correlations of time series of regions, in a table or in CIFTI.

    Volumes in which any region that is otherwise seen has no value are left out. A region
    that is never seen or never changes has NaN.

    Raises
    ------
    DatasetError
        The table holds something that is not a number, or too few volumes.
    """
    found = cifti_series(path) if path.name.endswith(CIFTI) else _table_series(path)
    regions, series = found.regions, found.values
    seen = np.isfinite(series).any(axis=0)
    series = series[np.isfinite(series[:, seen]).all(axis=1)]
    if len(series) < FEWEST_VOLUMES or not seen.any():
        raise DatasetError(
            f"{path}: {len(series)} volumes with values, {FEWEST_VOLUMES} are needed; "
            "leave the run out"
        )
    usable = seen & (np.ptp(series, axis=0) > 0)
    matrix = np.full((len(regions), len(regions)), np.nan)
    if usable.sum() > 1:
        matrix[np.ix_(usable, usable)] = np.corrcoef(series[:, usable], rowvar=False)
    minutes = len(series) * found.step_s / SECONDS_PER_MINUTE
    z = fisher_z(str(path), matrix)
    return FileContent(regions, z, float(len(series)), minutes)


def _table_series(path: Path) -> RegionSeries:
    regions, table = file_regions(path), _table(path)
    if table.shape[1] == len(regions) + 1:
        table = table.iloc[:, 1:]
    return RegionSeries(regions, _numbers(path, table), _repetition_time_s(path))


def fisher_z(where: str, correlations: np.ndarray) -> np.ndarray:
    """Fisher z of correlations; NaN on the diagonal and for |r| = 1.

    Raises
    ------
    DatasetError
        A number off the diagonal is beyond -1 or 1.
    """
    values = correlations.astype(float)
    np.fill_diagonal(values, np.nan)
    if np.nanmax(np.abs(values), initial=0.0) > LARGEST_R:
        raise DatasetError(
            f"{where}: numbers beyond -1 and 1 are not correlations; if they are Fisher z, call "
            "the file *_stat-fisherz_relmat.tsv"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.arctanh(values)
    z[~np.isfinite(z)] = np.nan
    return z


def _checked(path: Path, matrix: np.ndarray) -> np.ndarray:
    z = matrix.copy()
    np.fill_diagonal(z, np.nan)
    if not np.allclose(z, z.T, atol=ASYMMETRY, equal_nan=True):
        raise DatasetError(f"{path}: the matrix is not symmetric; {REPEAT}")
    return z


def _table(path: Path) -> pd.DataFrame:
    try:
        text = io.StringIO(read_utf8(path))
        return pd.read_csv(text, sep="\t", na_values=["n/a", "nan", "NaN"])
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"{path}: not a table of tab-separated cells ({reason}); {REPEAT}"
        ) from error


def _numbers(path: Path, table: pd.DataFrame) -> np.ndarray:
    try:
        return table.to_numpy(dtype=float)
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"{path}: a cell is not a number ({error}); {REPEAT}") from error


def _volumes_beside(path: Path) -> float:
    """Volumes in the time series that a table of correlations was made of; NaN if not there."""
    name = parse_name(path.name)
    if name is None:
        return float("nan")
    for statistic in ([("stat", "mean")], []):
        pairs = [
            own
            for pair in name.entities
            for own in (statistic if pair[0] in STATISTICS else [pair])
        ]
        text = "_".join(f"{key}-{label}" for key, label in pairs)
        series = path.with_name(f"{text}_timeseries.tsv")
        if series.is_file():
            lines = read_utf8(series).split("\n")
            return float(sum(1 for line in lines if line.strip()) - 1)
    return float("nan")


def _repetition_time_s(path: Path) -> float:
    content = _sidecar(path)
    for key, power in (("RepetitionTime", 1.0), ("SamplingFrequency", -1.0)):
        value = content.get(key)
        if isinstance(value, int | float) and value > 0:
            return float(value) ** power
    return float("nan")


def _sidecar(path: Path) -> dict[str, object]:
    """JSON file beside a table; empty where there is none that can be read."""
    sidecar = path.with_suffix(".json")
    try:
        return read_json(sidecar) if sidecar.is_file() else {}
    except DatasetError:
        return {}
