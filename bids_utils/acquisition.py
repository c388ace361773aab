"""How images were acquired, and what differs between two of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Value = str | tuple[float, ...]
Acquisition = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class Parameter:
    """A field of the sidecar or the header; numbers that differ by no more are the same."""

    name: str
    unit: str = ""
    tolerance: float = 0.0
    relative: float = 0.0


VOXEL_SIZE, MATRIX = "voxel size", "matrix"
PREPROCESSING, SPACE, SLICES = "preprocessing", "space", "slice timing"
PARAMETERS = (
    Parameter(PREPROCESSING),
    Parameter(SPACE),
    # 2.89 T and 3 T are names of the same field.
    Parameter("MagneticFieldStrength", "T", tolerance=0.15),
    Parameter(VOXEL_SIZE, "mm", tolerance=0.02),
    Parameter(MATRIX),
    Parameter("Manufacturer"),
    Parameter("ManufacturersModelName"),
    Parameter("DeviceSerialNumber"),
    Parameter("StationName"),
    Parameter("SoftwareVersions"),
    Parameter("ReceiveCoilName"),
    Parameter("PulseSequenceType"),
    Parameter("SequenceName"),
    Parameter("ScanningSequence"),
    Parameter("MRAcquisitionType"),
    Parameter("RepetitionTime", "s", relative=0.01),
    Parameter("EchoTime", "s", relative=0.01),
    Parameter("InversionTime", "s", relative=0.01),
    Parameter("FlipAngle", "degrees", tolerance=0.5),
    Parameter("PhaseEncodingDirection"),
    Parameter(SLICES),
    Parameter("EffectiveEchoSpacing", "s", relative=0.01),
    Parameter("MultibandAccelerationFactor"),
    Parameter("ParallelReductionFactorInPlane"),
)
"""What is compared, the most important first."""

SAME_DEVICE = {"StationName": "DeviceSerialNumber"}
"""A field is not compared where both images have the other one, which says it better."""

AXES = "ijk"
UNKNOWN = frozenset({"", "n/a", "na", "none", "unknown"})


def acquisition(
    metadata: Mapping[str, object], shape: tuple[int, ...], voxel_size_mm: tuple[float, ...]
) -> Acquisition:
    """Known fields of `PARAMETERS`: numbers as tuples, texts with single spaces.

    Parameters
    ----------
    metadata : mapping
        Of the sidecars.
    shape, voxel_size_mm : tuple
        Of the header; only the three axes of space are kept.
    """
    header = {VOXEL_SIZE: list(voxel_size_mm[:3]), MATRIX: list(shape[:3])}
    found = {**metadata, **header}
    values = ((field.name, _value(found.get(field.name))) for field in PARAMETERS)
    return tuple((name, value) for name, value in values if value)


def slice_times(
    metadata: Mapping[str, object], shape: tuple[int, ...], repetition_time_s: float
) -> tuple[tuple[float, ...], str, str]:
    """When each slice was acquired, along which axis, and what is wrong with that.

    Parameters
    ----------
    metadata : mapping
        Of the sidecars: SliceTiming (s) and SliceEncodingDirection (k if it is not there).
    shape : tuple of int
        Of the image.
    repetition_time_s : float
        Time from volume to volume, s.

    Returns
    -------
    times_s : tuple of float
        Seconds from the start of the volume as the JSON has them; empty where they are not known.
    axis : str
        i, j or k, followed by - where the first time is that of the last slice in the file.
    problem : str
        What is wrong with them; empty if all is well or nothing is said.
    """
    axis = str(metadata.get("SliceEncodingDirection") or "k")
    if metadata.get("SliceTiming") is None:
        return (), "k", ""
    times = _value(metadata["SliceTiming"])
    problem = _direction_problem(axis)
    problem = problem or _times_problem(times, shape[AXES.index(axis[0])], repetition_time_s)
    return ((), "k", problem) if problem or isinstance(times, str) else (times, axis, "")


def _direction_problem(direction: str) -> str:
    if direction[0] in AXES and direction[1:] in ("", "-"):
        return ""
    return f"SliceEncodingDirection is '{direction}', not i, j or k (with - where reversed)"


def _times_problem(times: Value, n_slices: int, repetition_time_s: float) -> str:
    if isinstance(times, str):
        return "SliceTiming is not a list of numbers"
    if len(times) != n_slices:
        return f"SliceTiming has {len(times)} times for {n_slices} slices"
    if min(times) < 0 or max(times) >= repetition_time_s:
        return (
            f"SliceTiming goes from {min(times):g} to {max(times):g}, which are no seconds within "
            f"the repetition time of {repetition_time_s:g} s"
        )
    return ""


def differences(first: Acquisition, later: Acquisition) -> tuple[str, ...]:
    """What the later image has otherwise, such as ``MagneticFieldStrength 3 T, was 1.5 T``.

    A field that one of them does not have is unknown and no difference.
    """
    before, after = dict(first), dict(later)
    both = before.keys() & after.keys()
    said = []
    for field in PARAMETERS:
        if field.name not in both or SAME_DEVICE.get(field.name) in both:
            continue
        old, new = before[field.name], after[field.name]
        if not _same(field, old, new):
            said.append(f"{field.name} {_text(field, new)}, was {_text(field, old)}")
    return tuple(said)


def _value(raw: object) -> Value:
    """Number or numbers as a tuple, text as text, empty where nothing is known."""
    parts = raw if isinstance(raw, list) else [raw]
    known = [part for part in parts if isinstance(part, int | float) and math.isfinite(part)]
    if known and len(known) == len(parts):
        return tuple(float(part) for part in known)
    texts = [" ".join(part.split()) for part in parts if isinstance(part, str)]
    return ", ".join(text for text in texts if text.lower() not in UNKNOWN)


def _same(field: Parameter, old: Value, new: Value) -> bool:
    if isinstance(old, str) or isinstance(new, str):
        return _plain(field, old) == _plain(field, new)
    return len(old) == len(new) and all(
        math.isclose(one, other, rel_tol=field.relative, abs_tol=field.tolerance + 1e-9)
        for one, other in zip(old, new, strict=True)
    )


def _plain(field: Parameter, value: Value) -> str:
    """Text without what only programs differ in: case, the star before a sequence, its list."""
    text = _text(field, value).lower().replace("\\", ",").replace("_", " ").replace("*", "")
    return ",".join(word.strip() for word in text.split(","))


def _text(field: Parameter, value: Value) -> str:
    if isinstance(value, str):
        return value
    # serial numbers without a unit keep all their digits
    digits = 4 if field.unit else 15
    text = " x ".join(f"{number:.{digits}g}" for number in value)
    return f"{text} {field.unit}".rstrip()
