"""Time series of regions in CIFTI-2 files (*.ptseries.nii), read without an imaging library."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from bids_utils.errors import DatasetError
from bids_utils.plain_files import read_plain
from bids_utils.readers.plain_xml import parse_xml

ENDING = ".ptseries.nii"
MOST_BYTES = 4 * 2**30
HEADER_BYTES, EXTENSION_CODE = 540, 32
PARCELS, SERIES = "CIFTI_INDEX_TYPE_PARCELS", "CIFTI_INDEX_TYPE_SERIES"
KINDS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
COPY = "copy the file again"


@dataclass(frozen=True)
class RegionSeries:
    """Mean of each region over time, n_volumes x n_regions; `step_s` is NaN where unknown."""

    regions: tuple[str, ...]
    values: np.ndarray = field(repr=False)
    step_s: float = float("nan")


@dataclass(frozen=True)
class _Header:
    """What the start of a NIfTI-2 file says; `lengths` are those of the two CIFTI dimensions."""

    kind: str
    lengths: tuple[int, int]
    start: int
    slope: float
    intercept: float
    layout: Element


def cifti_regions(path: Path) -> tuple[str, ...]:
    """Names of the regions in a file of time series.

    Raises
    ------
    DatasetError
        The file cannot be read or does not hold time series of regions.
    """
    return _regions(path, _header(path, _content(path)))


def cifti_series(path: Path) -> RegionSeries:
    """Time series of regions of a CIFTI-2 file: NIfTI-2 with its layout in an XML extension.

    Raises
    ------
    DatasetError
        The file cannot be read, is cut off, or does not hold time series of regions.
    """
    content = _content(path)
    header = _header(path, content)
    regions, n_values = _regions(path, header), header.lengths[0] * header.lengths[1]
    if len(content) < header.start + n_values * np.dtype(header.kind).itemsize:
        raise DatasetError(f"{path}: the file is cut off; {COPY}")
    raw = np.frombuffer(content, header.kind, n_values, header.start)
    values = raw.reshape(header.lengths, order="F").astype(float)
    values = values * header.slope + header.intercept if header.slope else values
    series = _map(header.layout, SERIES)
    values = values.T if _dimension(series) == 1 else values
    if series is None or values.shape[1] != len(regions):
        raise DatasetError(f"{path}: it is no time series of its {len(regions)} regions; {COPY}")
    return RegionSeries(regions, values, _step_s(series))


def _content(path: Path) -> bytes:
    return read_plain(path, MOST_BYTES)


def _header(path: Path, content: bytes) -> _Header:
    order = "<" if content[:4] == struct.pack("<i", HEADER_BYTES) else ">"
    if content[:4] != struct.pack(f"{order}i", HEADER_BYTES) or len(content) < HEADER_BYTES + 12:
        raise DatasetError(f"{path}: not a CIFTI-2 file or cut off; {COPY}")
    (code,) = struct.unpack_from(f"{order}h", content, 12)
    lengths = struct.unpack_from(f"{order}2q", content, 56)
    (start,) = struct.unpack_from(f"{order}q", content, 168)
    slope, intercept = struct.unpack_from(f"{order}2d", content, 176)
    size, extension = struct.unpack_from(f"{order}2i", content, HEADER_BYTES + 4)
    if code not in KINDS or extension != EXTENSION_CODE or min(lengths) < 1:
        raise DatasetError(f"{path}: not a CIFTI-2 file of numbers; {COPY}")
    text = content[HEADER_BYTES + 12 : HEADER_BYTES + 4 + size].rstrip(b"\0")
    kind = f"{order}{KINDS[code]}"
    return _Header(kind, lengths, start, slope, intercept, parse_xml(text, path))


def _map(layout: Element, kind: str) -> Element | None:
    maps = layout.iter("MatrixIndicesMap")
    return next((one for one in maps if one.get("IndicesMapToDataType") == kind), None)


def _dimension(indices: Element | None) -> int:
    text = indices.get("AppliesToMatrixDimension", "0") if indices is not None else "0"
    return int(text) if text.isdecimal() else 0


def _regions(path: Path, header: _Header) -> tuple[str, ...]:
    parcels = _map(header.layout, PARCELS)
    found = parcels.iter("Parcel") if parcels is not None else ()
    names = tuple(parcel.get("Name", "").strip() for parcel in found)
    if len(names) < 2 or len(set(names)) < len(names):
        raise DatasetError(
            f"{path}: it does not name two or more different regions; series of vertices "
            "(dtseries) are not read, give *.ptseries.nii or *_timeseries.tsv"
        )
    return names


def _step_s(series: Element) -> float:
    """Time from volume to volume, s; NaN where it is not in seconds."""
    if series.get("SeriesUnit", "SECOND").upper() != "SECOND":
        return float("nan")
    try:
        step = float(series.get("SeriesStep", "nan"))
        exponent = int(series.get("SeriesExponent", "0"))
    except ValueError:
        return float("nan")
    return step * 10.0**exponent
