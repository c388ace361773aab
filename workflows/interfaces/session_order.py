"""One order of the sessions of a participant, whatever the order they are given in.

Sums of numbers depend on their order in the last digit, and a registration can make more of it.
So sessions are worked on in an order that their images decide, and come back as they were given.
"""

from __future__ import annotations

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

from bids_utils.derivatives import content_digest


class _ArrangeSessionsInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(traits.Str, mandatory=True, desc="image of each session")


class _ArrangeSessionsOutputSpec(TraitedSpec):
    out_files = traits.List(traits.Str, desc="the same images, in the order of their digests")
    order = traits.List(traits.Int, desc="place of each in in_files")


class ArrangeSessions(SimpleInterface):
    """Put images into the order of their SHA-256 digests."""

    input_spec = _ArrangeSessionsInputSpec
    output_spec = _ArrangeSessionsOutputSpec

    def _run_interface(self, runtime):
        files = self.inputs.in_files
        digests = [digest(Path(file)) for file in files]
        order = sorted(range(len(files)), key=lambda place: digests[place])
        self._results |= {"order": order, "out_files": [files[place] for place in order]}
        return runtime


def digest(path):
    """SHA-256 of the content of a file; empty if it cannot be read, which others will tell."""
    try:
        return content_digest(path)
    except OSError:
        return ""


class _RestoreOrderInputSpec(DynamicTraitedSpec, BaseInterfaceInputSpec):
    order = traits.List(traits.Int, mandatory=True, desc="place that each file is to have")


class _RestoreOrderOutputSpec(DynamicTraitedSpec):
    """One list of files for each field."""


class RestoreOrder(SimpleInterface):
    """Lists of files of the sessions, back in the order in which the sessions were given."""

    input_spec = _RestoreOrderInputSpec
    output_spec = _RestoreOrderOutputSpec

    def __init__(self, fields: tuple[str, ...] = (), **inputs: object) -> None:
        super().__init__(**inputs)
        self._fields = fields
        add_traits(self.inputs, list(fields), InputMultiPath(File(exists=True)))

    def _outputs(self):
        return add_traits(super()._outputs(), list(self._fields))

    def _run_interface(self, runtime):
        for field in self._fields:
            files = getattr(self.inputs, field)
            if isdefined(files):
                places = zip(self.inputs.order, files, strict=True)
                self._results[field] = [file for _, file in sorted(places)]
        return runtime
