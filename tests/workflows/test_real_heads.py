import nibabel as nib
import numpy as np
import pytest

from bids_utils.errors import ToolError
from workflows.interfaces.anat import BrainMask, Conform
from workflows.interfaces.volumes import load_mask, load_volume, save_volume

pytestmark = [pytest.mark.slow, pytest.mark.needs_shared]
HEADS = (
    "studyforrest_sub02/anat/sub-02_desc-1mm_T1w.nii.gz",
    "uih/uih_132225_desc-1mm_T1w.nii.gz",
    "ixi_2mm/IXI012-HH-1211_T1.nii.gz",
    "colin27/ch2.nii.gz",
    "open_ms_longitudinal/raw/patient12/study1_T1W.nii.gz",
    "open_ms_longitudinal/raw/patient20/study2_T1W.nii.gz",
)


def run(interface, folder, **inputs):
    folder.mkdir()
    return interface(**inputs).run(cwd=folder).outputs


@pytest.mark.parametrize("name", HEADS)
def test_a_real_head_is_taken_as_a_head_with_skull(shared_dir, tmp_path, name):
    assert not run(Conform, tmp_path / "node", in_file=shared_dir / "data" / name).extracted


def test_the_mask_of_a_whole_head_holds_the_extracted_brain_and_little_else(shared_dir, tmp_path):
    folder = shared_dir / "data" / "colin27"
    head = run(Conform, tmp_path / "head", in_file=folder / "ch2.nii.gz").out_file
    rough = run(BrainMask, tmp_path / "rough", in_file=head, fractional_threshold=0.5)
    inputs = {"in_file": head, "rough_mask_file": rough.mask_file, "fractional_threshold": 0.45}
    found = nib.load(run(BrainMask, tmp_path / "mask", **inputs).mask_file)
    brain = run(Conform, tmp_path / "brain", in_file=folder / "ch2bet.nii.gz")
    assert brain.extracted
    inputs = {"in_file": brain.out_file, "extracted": True, "fractional_threshold": 0.5}
    reference = nib.load(run(BrainMask, tmp_path / "own", **inputs).mask_file)
    shift = np.linalg.inv(reference.affine) @ found.affine
    start = np.rint(shift[:3, 3]).astype(int)
    window = tuple(slice(a, a + n) for a, n in zip(start, found.shape, strict=True))
    one, two = np.asarray(found.dataobj) > 0, np.asarray(reference.dataobj) > 0
    shared = np.count_nonzero(one & two[window])
    # ch2bet leaves out the CSF of the sulci: deepbet 1.0.2 overlaps with it by .936.
    assert 2 * shared / (one.sum() + two.sum()) > 0.89
    assert shared / two.sum() > 0.99


def test_a_head_with_turned_contrast_is_refused_by_name(shared_dir, tmp_path):
    source = shared_dir / "data" / HEADS[2]
    head = run(Conform, tmp_path / "head", in_file=source).out_file
    rough = run(BrainMask, tmp_path / "rough", in_file=head, fractional_threshold=0.5)
    volume, affine = load_volume(head)
    mask = load_mask(rough.mask_file)
    turned = np.where(mask, 1.2 * np.percentile(volume[mask], 99) - volume, volume)
    path = save_volume(np.maximum(turned, 0), affine, tmp_path / "turned.nii.gz")
    inputs = {"in_file": path, "source_file": source, "fractional_threshold": 0.5}
    with pytest.raises(ToolError, match="IXI012-HH-1211_T1.nii.gz: .*another contrast"):
        run(BrainMask, tmp_path / "mask", **inputs)
