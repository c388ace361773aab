"""The quality table of a BOLD run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import read_table, write_table

MEASURED = (
    "repetition_time_s",
    "n_dummy",
    "tsnr",
    "registration_dice",
    "boundary_cost",
    "registration_kind",
    "flip_cost_ratio",
    "coverage_mean",
)
QUALITY_MEANINGS = {
    "n_volumes": {"Description": "Volumes of the run"},
    "repetition_time_s": {"Description": "Time from volume to volume", "Units": "s"},
    "n_dummy": {"Description": "Leading volumes before the magnetisation has settled"},
    "fd_mean": {"Description": "Mean framewise displacement (Power 2012)", "Units": "mm"},
    "fd_max": {"Description": "Largest framewise displacement (Power 2012)", "Units": "mm"},
    "n_outliers": {"Description": "Volumes left out: displacement or DVARS too large, not settled"},
    "share_outliers": {"Description": "Part of the volumes that is left out", "Units": "1"},
    "clean_minutes": {"Description": "Duration of the volumes that are left", "Units": "min"},
    "dvars_mean": {"Description": "Mean standardised DVARS: 1 where there is noise alone"},
    "tsnr": {"Description": "Mean over standard deviation in time, median of the brain mask"},
    "registration_dice": {"Description": "Overlap of the BOLD and the T1w brain mask"},
    "boundary_cost": {
        "Description": "Cost of the registration at the white matter edge: 0 perfect, 1 no contrast"
    },
    "registration_kind": {
        "Description": "Registration to the T1w that fitted best",
        "Levels": {
            "header": "as the headers say",
            "mi": "rigid, mutual information",
            "bbr": "rigid, boundary of the white matter",
            "given": "made by another tool",
        },
    },
    "flip_cost_ratio": {
        "Description": "Cost of the registration over that of the image mirrored left to right; "
        "above 1 the mirrored one fits better"
    },
    "coverage_mean": {"Description": "Mean coverage of the regions", "Units": "1"},
    "degrees_of_freedom": {"Description": "Volumes left minus rank of the nuisance design"},
    "usable": {"Description": "Whether the run can enter the connectivity of its session"},
    "reason": {"Description": "Why it cannot"},
}


class _BoldQualityInputSpec(BaseInterfaceInputSpec):
    confounds_file = File(exists=True, mandatory=True, desc="confound table")
    facts = traits.Dict(mandatory=True, desc="from the denoising")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    n_dummy = traits.Int(0, usedefault=True, desc="leading volumes before the steady state")
    tsnr = traits.Float(mandatory=True, desc="median of the brain mask")
    registration_dice = traits.Float(mandatory=True, desc="overlap of the brain masks, 0 to 1")
    boundary_cost = traits.Either(None, traits.Float, desc="cost of the registration, 0 to 2")
    registration_kind = traits.Enum(
        *("n/a", "header", "mi", "bbr", "given"), usedefault=True, desc="which registration"
    )
    flip_cost_ratio = traits.Either(None, traits.Float, desc="cost as it is over cost mirrored")
    coverage_mean = traits.Float(mandatory=True, desc="mean coverage of the regions, 0 to 1")


class _BoldQualityOutputSpec(TraitedSpec):
    bold_qc_file = File(desc="one row of quality measures")
    bold_qc_json = File(desc="meaning and unit of every column")


class BoldQuality(SimpleInterface):
    """Write the quality measures of a run in one row."""

    input_spec = _BoldQualityInputSpec
    output_spec = _BoldQualityOutputSpec

    def _run_interface(self, runtime):
        confounds = read_table(Path(self.inputs.confounds_file))
        measured = {name: getattr(self.inputs, name) for name in MEASURED}
        row = from_confounds(confounds, self.inputs.n_dummy) | measured | dict(self.inputs.facts)
        row["share_outliers"] = row["n_outliers"] / row["n_volumes"]
        row |= {"usable": str(row["usable"]).lower(), "reason": row["reason"] or "n/a"}
        file = Path(runtime.cwd) / "qc.tsv"
        write_table(pd.DataFrame([row])[list(QUALITY_MEANINGS)], file, QUALITY_MEANINGS)
        self._results["bold_qc_file"] = str(file)
        self._results["bold_qc_json"] = str(file.with_suffix(".json"))
        return runtime


def from_confounds(confounds, n_dummy=0):
    """Quality measures that the confound table tells; n/a (NaN) without std_dvars.

    A difference counts if both of its volumes come after the dummy volumes.
    """
    steady = confounds.iloc[n_dummy + 1 :]
    displacement = steady["framewise_displacement"]
    return {
        "n_volumes": len(confounds),
        "fd_mean": displacement.mean(),
        "fd_max": displacement.max(),
        "dvars_mean": steady["std_dvars"].mean() if "std_dvars" in steady else float("nan"),
    }
