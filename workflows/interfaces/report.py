"""Nodes that write the page of a participant and the page of the group."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from workflows.interfaces import group_page, participant_page


class _ReportOutputSpec(TraitedSpec):
    out_file = File(desc="page, HTML")


class _ParticipantReportInputSpec(BaseInterfaceInputSpec):
    output_dir = traits.Str(mandatory=True, desc="root of the derivative dataset")
    participant_label = traits.Str(mandatory=True, desc="participant")
    saved_files = InputMultiPath(File(), desc="files that must be on disk before")


class ParticipantReport(SimpleInterface):
    """Write sub-X.html from what is on disk."""

    input_spec = _ParticipantReportInputSpec
    output_spec = _ReportOutputSpec
    _always_run = True

    def _run_interface(self, runtime):
        output_dir = Path(self.inputs.output_dir)
        page = participant_page.write_page(output_dir, self.inputs.participant_label)
        self._results["out_file"] = str(page)
        return runtime


class _GroupReportInputSpec(BaseInterfaceInputSpec):
    output_dir = traits.Str(mandatory=True, desc="root of the derivative dataset")
    saved_files = InputMultiPath(File(), desc="files that must be on disk before")


class GroupReport(SimpleInterface):
    """Write group/report.html from what is on disk."""

    input_spec = _GroupReportInputSpec
    output_spec = _ReportOutputSpec
    _always_run = True

    def _run_interface(self, runtime):
        self._results["out_file"] = str(group_page.write_page(Path(self.inputs.output_dir)))
        return runtime
