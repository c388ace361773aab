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
    region_spread,
    region_table,
    region_volumes,
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

SOLID = ("subcortex", "brainstem")
"""Structures whose volume is that of all their tissue."""


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
    gm_file = File(exists=True, mandatory=True, desc="grey matter of the session, 0..1")
    tissue_file = File(exists=True, mandatory=True, desc="its grey and white matter, 0..1")
    csf_file = File(exists=True, mandatory=True, desc="CSF of the template, 0..1")
    jacobian_file = File(exists=True, mandatory=True, desc="volume of the session / template")
    errors_file = File(exists=True, mandatory=True, desc="relative standard errors of a session")
    warped_file = File(exists=True, mandatory=True, desc="session in the shape of the template")
    brain_file = File(exists=True, mandatory=True, desc="template, skull-stripped")
    noise = traits.Float(mandatory=True, desc="what noise leaves between them; 0: not known")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the same grid")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    mni_atlas_file = File(exists=True, mandatory=True, desc="labels in MNI")
    mni_view_file = File(exists=True, mandatory=True, desc="seen by the session, on that grid")
    labels_file = File(exists=True, mandatory=True, desc="table: index, name, hemisphere, ...")
    min_coverage = traits.Float(mandatory=True, desc="a region seen less than this is n/a, 0..1")


class _RegionVolumesOutputSpec(TraitedSpec):
    out_file = File(desc="table: region, volume and deformation in ml, coverage 0..1")


class RegionVolumes(SimpleInterface):
    """Volume and deformation of each region in one session; no region is left out.

    Volume: what the session shows where the template has the region, times the Jacobian: grey
    matter, and all tissue of subcortical structures (pallidum and thalamus are nearly as bright as
    white matter). Deformation: all brain tissue of the template in the region times the Jacobian.
    """

    input_spec = _RegionVolumesInputSpec
    output_spec = _RegionVolumesOutputSpec

    def _run_interface(self, runtime):
        inputs, path = self.inputs, Path(runtime.cwd) / "volume.tsv"
        check_same_grid(inputs.gm_file, inputs.atlas_file)
        table, (labels, _) = read_labels(inputs.labels_file), load_labels(inputs.atlas_file)
        volumes = session_volumes(inputs, labels, table)
        quality = session_quality(inputs, labels, table["index"])
        rows = region_table(table, volumes, quality, inputs.min_coverage)
        write_table(with_errors(rows, read_table(Path(inputs.errors_file))), path)
        self._results["out_file"] = str(path)
        return runtime


def session_volumes(inputs, labels, table):
    """Volume and deformation (n_regions,), ml, of one session, by measure."""
    jacobian, affine = load_volume(inputs.jacobian_file)
    tissue = np.where(load_mask(inputs.mask_file), 1 - load_volume(inputs.csf_file)[0], 0)
    own = session_share(inputs.gm_file, inputs.tissue_file, labels, table)
    shares = {"volume": own, "deformation": tissue}
    return {
        name: region_volumes(share * jacobian, labels, table["index"], voxel_ml(affine))
        for name, share in shares.items()
    }


def session_share(gm_file, tissue_file, labels, table):
    """What of each voxel counts as volume (i, j, k), 0..1: grey matter, or all tissue."""
    solid = np.isin(labels, table.loc[table["structure"].isin(SOLID), "index"])
    return np.where(solid, load_volume(tissue_file)[0], load_volume(gm_file)[0])


def session_quality(inputs, labels, indices):
    """Coverage and residual (n_regions,) of one session."""
    (mni_labels, _), seen = load_labels(inputs.mni_atlas_file), load_mask(inputs.mni_view_file)
    return {
        "coverage": region_coverage(mni_labels, seen, indices),
        "residual": session_residual(inputs, labels, indices),
    }


def session_residual(inputs, labels, indices):
    """What deformation and noise leave unexplained in each region; 1 is noise alone."""
    session, brain = (load_volume(path)[0] for path in (inputs.warped_file, inputs.brain_file))
    if not inputs.noise > 0:
        return np.full(len(indices), np.nan)
    return region_spread((session - brain) / inputs.noise, labels, indices)


def with_errors(rows, errors):
    """Table of the regions with the standard error of each measure, in its unit."""
    for name in ("volume", "deformation"):
        relative = rows["index"].map(errors.set_index("index")[name].astype(float))
        rows[f"{name}_standard_error"] = np.round(relative * rows[name], 7)
    return rows


def read_labels(path) -> pd.DataFrame:
    """Table of the regions of an atlas: index, name, hemisphere, structure."""
    return read_table(Path(path)).astype({"index": int})


class _AnatQualityInputSpec(BaseInterfaceInputSpec):
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    session2template_xfms = InputMultiPath(File(exists=True), mandatory=True, desc="4x4, mm")
    mni_agreement = traits.Float(mandatory=True, desc="of the image with the tissues of MNI")
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
            "mni_agreement": self.inputs.mni_agreement,
            "gm_noise": self.inputs.noise[1],
        }
        write_table(pd.DataFrame([row]), path)
        self._results["out_file"] = str(path)
        return runtime
