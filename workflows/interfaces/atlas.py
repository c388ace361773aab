"""Regions of an atlas on the template, and their grey matter in each session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import read_table, write_table
from workflows.compute.parcels import (
    extended_labels,
    region_coverage,
    region_volumes,
    volume_table,
)
from workflows.interfaces.volumes import (
    check_same_grid,
    load_labels,
    load_mask,
    load_volume,
    save_volume,
    voxel_ml,
    voxel_size_mm,
)


class _TemplateAtlasInputSpec(BaseInterfaceInputSpec):
    labels_file = File(exists=True, mandatory=True, desc="atlas resampled to the template")
    gm_file = File(exists=True, mandatory=True, desc="grey matter of the template, 0..1")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    reach_mm = traits.Float(mandatory=True, desc="grey matter this near takes a label, mm")


class _TemplateAtlasOutputSpec(TraitedSpec):
    out_file = File(desc="labels that hold the grey matter of the template")


class TemplateAtlas(SimpleInterface):
    """Labels of the template, extended to its grey matter; the same for all sessions."""

    input_spec = _TemplateAtlasInputSpec
    output_spec = _TemplateAtlasOutputSpec

    def _run_interface(self, runtime):
        check_same_grid(self.inputs.labels_file, self.inputs.gm_file)
        labels, affine = load_labels(self.inputs.labels_file)
        mask, grey = load_mask(self.inputs.mask_file), load_mask(self.inputs.gm_file)
        voxel_mm = voxel_size_mm(affine)
        extended = extended_labels(labels, grey & mask, voxel_mm, self.inputs.reach_mm)
        path = Path(runtime.cwd) / "atlas.nii.gz"
        self._results["out_file"] = save_volume(np.where(mask, extended, 0), affine, path)
        return runtime


class _SessionViewInputSpec(BaseInterfaceInputSpec):
    view_file = File(exists=True, mandatory=True, desc="field of view of the session")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")


class _SessionViewOutputSpec(TraitedSpec):
    out_file = File(desc="1 inside both")


class SessionView(SimpleInterface):
    """Part of the brain mask that a session has seen."""

    input_spec = _SessionViewInputSpec
    output_spec = _SessionViewOutputSpec

    def _run_interface(self, runtime):
        view, affine = load_volume(self.inputs.view_file)
        both = (view >= 0.5) & load_mask(self.inputs.mask_file)
        path = Path(runtime.cwd) / "seen.nii.gz"
        self._results["out_file"] = save_volume(both, affine, path)
        return runtime


class _RegionVolumesInputSpec(BaseInterfaceInputSpec):
    gm_file = File(exists=True, mandatory=True, desc="grey matter of the template, 0..1")
    jacobian_file = File(exists=True, mandatory=True, desc="volume of the session / template")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the same grid")
    mni_atlas_file = File(exists=True, mandatory=True, desc="labels in MNI")
    mni_view_file = File(exists=True, mandatory=True, desc="seen by the session, on that grid")
    labels_file = File(exists=True, mandatory=True, desc="table: index, name, hemisphere, ...")
    min_coverage = traits.Float(mandatory=True, desc="a region seen less than this is n/a, 0..1")


class _RegionVolumesOutputSpec(TraitedSpec):
    out_file = File(desc="table: region, volume in ml of grey matter, coverage 0..1")


class RegionVolumes(SimpleInterface):
    """Grey-matter volume of each region in one session; no region is left out."""

    input_spec = _RegionVolumesInputSpec
    output_spec = _RegionVolumesOutputSpec

    def _run_interface(self, runtime):
        table, inputs = read_labels(self.inputs.labels_file), self.inputs
        check_same_grid(inputs.gm_file, inputs.atlas_file)
        (grey, affine), (jacobian, _) = map(load_volume, (inputs.gm_file, inputs.jacobian_file))
        labels, mni_labels = map(load_labels, (inputs.atlas_file, inputs.mni_atlas_file))
        volume = region_volumes(grey * jacobian, labels[0], table["index"], voxel_ml(affine))
        coverage = region_coverage(mni_labels[0], load_mask(inputs.mni_view_file), table["index"])
        self._results["out_file"] = str(Path(runtime.cwd) / "volume.tsv")
        rows = volume_table(table, volume, coverage, inputs.min_coverage)
        write_table(rows, Path(self._results["out_file"]))
        return runtime


def read_labels(path) -> pd.DataFrame:
    """Table of the regions of an atlas: index, name, hemisphere, structure."""
    return read_table(Path(path)).astype({"index": int})


class _AnatQualityInputSpec(BaseInterfaceInputSpec):
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    session2template_xfms = InputMultiPath(File(exists=True), mandatory=True, desc="4x4, mm")
    mni_overlap = traits.Float(mandatory=True, desc="Dice of grey matter in MNI")
    noise = traits.List(traits.Float(), mandatory=True, desc="of CSF, grey, white (white: 100)")


class _AnatQualityOutputSpec(TraitedSpec):
    out_file = File(desc="table with one row")


class AnatQuality(SimpleInterface):
    """What says whether the anatomy of a participant can be trusted."""

    input_spec = _AnatQualityInputSpec
    output_spec = _AnatQualityOutputSpec

    def _run_interface(self, runtime):
        (mask, affine), path = load_volume(self.inputs.mask_file), Path(runtime.cwd) / "qc.tsv"
        row = {
            "n_sessions": len(self.inputs.session2template_xfms),
            "resolution_mm": voxel_size_mm(affine).mean(),
            "brain_ml": np.count_nonzero(mask) * voxel_ml(affine),
            "mni_overlap": self.inputs.mni_overlap,
            "gm_noise": self.inputs.noise[1],
        }
        write_table(pd.DataFrame([row]), path)
        self._results["out_file"] = str(path)
        return runtime
