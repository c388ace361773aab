"""Tissue classes of the template and, with the same model, of each session."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import write_table
from workflows.compute.parcels import tissue_table
from workflows.compute.tissue import (
    CSF,
    GREY,
    WHITE,
    class_means,
    class_noise,
    expected_classes,
    hard_labels,
    session_classes,
    smoothed_prior,
    template_classes,
    tissue_fractions,
)
from workflows.interfaces.volumes import (
    load_mask,
    load_volume,
    save_volumes,
    voxel_size_mm,
)

N_ROUNDS = 3


class _TemplateTissueInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="template, skull-stripped")
    mask_file = File(exists=True, mandatory=True, desc="its brain mask")
    gm_prior_file = File(exists=True, mandatory=True, desc="grey matter of MNI, same grid, 0..1")
    wm_prior_file = File(exists=True, mandatory=True, desc="white matter of MNI, same grid, 0..1")


class _TemplateTissueOutputSpec(TraitedSpec):
    classes_file = File(desc="CSF, CSF/grey, grey, grey/white, white: 4-D, 0..1")
    gm_file = File(desc="grey matter, 0..1")
    wm_file = File(desc="white matter, 0..1")
    csf_file = File(desc="CSF, 0..1")
    dseg_file = File(desc="grey 1, white 2, CSF 3")


class TemplateTissue(SimpleInterface):
    """Tissue classes with partial volume of the template."""

    input_spec = _TemplateTissueInputSpec
    output_spec = _TemplateTissueOutputSpec

    def _run_interface(self, runtime):
        mask = load_mask(self.inputs.mask_file)
        volume, affine = load_volume(self.inputs.in_file)
        grey, _ = load_volume(self.inputs.gm_prior_file)
        white, _ = load_volume(self.inputs.wm_prior_file)
        expected = expected_classes(grey, white, mask)
        classes = template_classes(volume, expected, voxel_size_mm(affine).mean(), N_ROUNDS)
        fractions = tissue_fractions(classes)
        names = {"classes_file": classes, "gm_file": fractions[GREY], "wm_file": fractions[WHITE]}
        names |= {"csf_file": fractions[CSF], "dseg_file": hard_labels(fractions, mask)}
        self._results |= save_volumes(names, affine, runtime.cwd)
        return runtime


class _SessionNoiseInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="sessions in the shape of the template"
    )
    template_file = File(exists=True, mandatory=True, desc="template")
    classes_file = File(exists=True, mandatory=True, desc="five classes of the template")


class _SessionNoiseOutputSpec(TraitedSpec):
    noise = traits.List(traits.Float(), desc="standard deviation of CSF, grey, white")


class SessionNoise(SimpleInterface):
    """Noise of the pure classes, pooled over all sessions."""

    input_spec = _SessionNoiseInputSpec
    output_spec = _SessionNoiseOutputSpec

    def _run_interface(self, runtime):
        template, affine = load_volume(self.inputs.template_file)
        classes, _ = load_volume(self.inputs.classes_file)
        means = class_means(template, classes, voxel_size_mm(affine).mean())
        sessions = (load_volume(path)[0] for path in self.inputs.in_files)
        self._results["noise"] = class_noise(sessions, means, classes).tolist()
        return runtime


class _SessionTissueInputSpec(BaseInterfaceInputSpec):
    in_file = File(
        exists=True, mandatory=True, desc="session in the shape of the template, as bright"
    )
    template_file = File(exists=True, mandatory=True, desc="template")
    classes_file = File(exists=True, mandatory=True, desc="five classes of the template")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    noise = traits.List(traits.Float(), mandatory=True, desc="of CSF, grey, white")


class _SessionTissueOutputSpec(TraitedSpec):
    gm_file = File(desc="grey matter, 0..1")
    tissue_file = File(desc="grey and white matter, 0..1")
    dseg_file = File(desc="grey 1, white 2, CSF 3")


class SessionTissue(SimpleInterface):
    """Tissue of one session with the model of the template."""

    input_spec = _SessionTissueInputSpec
    output_spec = _SessionTissueOutputSpec

    def _run_interface(self, runtime):
        fractions = session_fractions(self.inputs)
        mask = load_mask(self.inputs.mask_file)
        affine = nib.load(self.inputs.mask_file).affine
        volumes = {"gm_file": fractions[GREY], "dseg_file": hard_labels(fractions, mask)}
        volumes["tissue_file"] = fractions[GREY] + fractions[WHITE]
        self._results |= save_volumes(volumes, affine, runtime.cwd)
        return runtime


class _TissueVolumesInputSpec(BaseInterfaceInputSpec):
    gm_file = File(exists=True, mandatory=True, desc="grey matter of the template, 0..1")
    wm_file = File(exists=True, mandatory=True, desc="white matter of the template, 0..1")
    csf_file = File(exists=True, mandatory=True, desc="CSF of the template, 0..1")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    ventricles_prior_file = File(exists=True, mandatory=True, desc="MNI ventricles there, 0..1")
    jacobian_file = File(exists=True, mandatory=True, desc="volume of the session / template")


class _TissueVolumesOutputSpec(TraitedSpec):
    out_file = File(desc="table: measure, value in ml")


class TissueVolumes(SimpleInterface):
    """Volumes of the tissues of the template in one session."""

    input_spec = _TissueVolumesInputSpec
    output_spec = _TissueVolumesOutputSpec

    def _run_interface(self, runtime):
        files = (self.inputs.gm_file, self.inputs.wm_file, self.inputs.csf_file)
        jacobian, affine = load_volume(self.inputs.jacobian_file)
        volumes = [load_volume(path)[0] * jacobian for path in files]
        inside = load_mask(self.inputs.ventricles_prior_file)
        voxel_ml = abs(np.linalg.det(affine)) / 1000
        table = tissue_table(volumes, load_mask(self.inputs.mask_file), inside, voxel_ml)
        path = Path(runtime.cwd) / "tissue.tsv"
        write_table(table, path)
        self._results["out_file"] = str(path)
        return runtime


def session_fractions(inputs):
    """Grey, white and CSF fraction (3, i, j, k) of the session in `inputs`."""
    template, affine = load_volume(inputs.template_file)
    classes, _ = load_volume(inputs.classes_file)
    voxel_mm = voxel_size_mm(affine).mean()
    means = class_means(template, classes, voxel_mm)
    session, _ = load_volume(inputs.in_file)
    prior = smoothed_prior(classes, voxel_mm)
    return tissue_fractions(session_classes(session, means, prior, inputs.noise))
