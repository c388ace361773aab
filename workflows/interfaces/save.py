"""Saving: the table of what a workflow writes, and the node that writes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    DynamicTraitedSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from nipype.interfaces.io import add_traits
from nipype.utils.filemanip import ensure_list

from bids_utils.derivatives import replaced_whole, write_json
from bids_utils.errors import DatasetError
from bids_utils.names import build_name
from bids_utils.sidecars import file_sidecar

ATLAS = "{atlas}"
"""Stands for the name of the atlas among the entities of an `Output`."""


@dataclass(frozen=True)
class Output:
    """One file to save: an output field of a builder and its BIDS name; columns of a table."""

    field: str
    suffix: str
    extension: str
    datatype: str
    entities: tuple[tuple[str, str], ...] = ()
    scope: str = "participant"
    description: str = ""
    metadata: tuple[tuple[str, str | bool | float], ...] = ()
    columns: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where files of one participant, session or run go, and what they were made of."""

    entities: tuple[tuple[str, str], ...]
    sources: tuple[str, ...] = ()


def output_file(row: Output, place: Place) -> Path:
    """Path of one saved file, relative to the derivative dataset; pictures lie together."""
    levels = ("sub",) if row.datatype == "figures" else ("sub", "ses")
    folders = [f"{key}-{label}" for key, label in place.entities if key in levels]
    name = build_name((*place.entities, *row.entities), row.suffix, row.extension)
    return Path(*folders, row.datatype, name)


def sidecar(row: Output, place: Place) -> dict[str, object]:
    """Content of the JSON beside a saved file: description, sources and what BIDS asks for."""
    content: dict[str, object] = {"Description": row.description} if row.description else {}
    return content | {"Sources": list(place.sources)} | dict(row.metadata) | dict(row.columns)


def needs_sidecar(row: Output, outputs: tuple[Output, ...]) -> bool:
    """Whether a JSON is written for this row: images and tables that bring none themselves."""
    twins = {(o.suffix, o.entities) for o in outputs if o.extension == ".json"}
    return row.extension in (".nii.gz", ".tsv") and (row.suffix, row.entities) not in twins


def known_output(output_dir: Path) -> Path:
    """Return the output folder if it still is the one that was prepared; no other one is made.

    Raises
    ------
    DatasetError
        It has no description, which is written before anything else.
    """
    if not (output_dir / "dataset_description.json").is_file():
        raise DatasetError(
            f"{output_dir}: the output folder or its dataset_description.json is gone since the "
            "run began (deleted, moved, or a disk was taken away); bring it back and run the "
            "same command again"
        )
    return output_dir


class _SaveDerivativesInputSpec(DynamicTraitedSpec, BaseInterfaceInputSpec):
    output_dir = traits.Str(mandatory=True, desc="root of the derivative dataset")
    places = traits.List(mandatory=True, desc="one Place for each file of a field")


class _SaveDerivativesOutputSpec(TraitedSpec):
    saved_files = traits.List(traits.Str, desc="files written, images and tables")


class SaveDerivatives(SimpleInterface):
    """Copy the files of a builder to their BIDS names, each whole or not at all."""

    input_spec = _SaveDerivativesInputSpec
    output_spec = _SaveDerivativesOutputSpec
    _always_run = True

    def __init__(self, outputs: tuple[Output, ...] = (), **inputs: object) -> None:
        super().__init__(**inputs)
        self._table = outputs
        fields = [row.field for row in outputs]
        add_traits(self.inputs, fields, InputMultiPath(File(exists=True)))

    def _run_interface(self, runtime: object) -> object:
        root = known_output(Path(self.inputs.output_dir))
        self._results["saved_files"] = []
        for row, place, file in self._files():
            target = root / output_file(row, place)
            with replaced_whole(target) as temporary:
                shutil.copyfile(file, temporary)
            if needs_sidecar(row, self._table):
                write_json(sidecar(row, place), file_sidecar(target))
            self._results["saved_files"].append(str(target))
        return runtime

    def _files(self) -> Iterator[tuple[Output, Place, str]]:
        for row in self._table:
            given = getattr(self.inputs, row.field)
            if isdefined(given):
                files = ensure_list(given)
                yield from (
                    (row, place, file)
                    for place, file in zip(self.inputs.places, files, strict=True)
                )
