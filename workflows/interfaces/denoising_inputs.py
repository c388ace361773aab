"""What all nodes that clean a BOLD run are told, and the design that follows from it."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.base import BaseInterfaceInputSpec, File, traits

from bids_utils.derivatives import read_table
from bids_utils.errors import DatasetError
from workflows.compute.denoise import censored_volumes, nuisance_design


class DenoisingInputSpec(BaseInterfaceInputSpec):
    """Confounds of a run and what is removed with them."""

    confounds_file = File(exists=True, mandatory=True, desc="confound table")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    strategy = traits.Str(mandatory=True, desc="which confounds are removed")
    high_pass_hz = traits.Float(mandatory=True, desc="slower changes are removed, Hz")
    low_pass_hz = traits.Either(None, traits.Float, desc="faster changes are removed, Hz")
    fd_threshold_mm = traits.Either(None, traits.Float, desc="most displacement of a volume, mm")
    std_dvars_threshold = traits.Either(None, traits.Float, desc="most standardised DVARS")


def kept_volumes(inputs):
    """Volumes (n_volumes,) bool that are not censored."""
    confounds = read_table(Path(inputs.confounds_file))
    try:
        censored = censored_volumes(confounds, inputs.fd_threshold_mm, inputs.std_dvars_threshold)
    except ValueError as error:
        raise DatasetError(f"{inputs.confounds_file}: {error}") from error
    return ~censored


def design_of(inputs, low_pass_hz):
    """Everything to remove (n_volumes, n_columns), with this low-pass filter or None."""
    confounds = read_table(Path(inputs.confounds_file))
    band = (inputs.high_pass_hz, low_pass_hz)
    try:
        return nuisance_design(confounds, inputs.strategy, inputs.repetition_time_s, band)
    except ValueError as error:
        raise DatasetError(f"{inputs.confounds_file}: {error}") from error
