import nibabel as nb
import numpy as np
import pytest
from nibabel.affines import apply_affine

from bids_utils.errors import ToolError
from workflows.interfaces.bold_space import BoldMask, CarryLabels

BOLD = np.diag([-4.0, 4, 4, 1]) + [[0, 0, 0, 20], [0, 0, 0, -20], [0, 0, 0, -8], [0, 0, 0, 0]]
TEMPLATE = np.diag([2.0, 2, 2, 1]) + [[0, 0, 0, -30], [0, 0, 0, -30], [0, 0, 0, -30], [0] * 4]
TURN = np.array([[0.96, -0.28, 0, 3.0], [0.28, 0.96, 0, -2.0], [0, 0, 1, 5.0], [0, 0, 0, 1]])
SHIFT_MM = np.array([6.0, -4.0, 2.0])


def write(values, affine, path):
    nb.Nifti1Image(values, affine).to_filename(path)
    return str(path)


def region_at(points):
    """Labels of world points: octants 1 to 8, unequal ones."""
    side = points > [1.3, -2.7, 3.1]
    return (1 + side @ [1, 2, 4]).astype(np.int16)


def grid_points(affine, shape):
    return apply_affine(affine, np.stack(np.indices(shape), axis=-1))


def carry(folder):
    """Octants in standard space, a ball as brain, and both seen from BOLD."""
    points = grid_points(TEMPLATE, (31, 31, 31))
    brain = (np.linalg.norm(points, axis=-1) < 26).astype(np.uint8)
    warp = np.zeros((31, 31, 31, 1, 3), np.float32) + (SHIFT_MM * [-1, -1, 1]).astype(np.float32)
    image = nb.Nifti1Image(warp, TEMPLATE)
    image.header.set_intent("vector")
    image.to_filename(folder / "warp.nii.gz")
    np.savetxt(folder / "turn.mat", TURN)
    standard = np.eye(4)
    standard[:3, 3] = -45
    node = CarryLabels(
        boldref_file=write(np.ones((11, 11, 6), np.float32), BOLD, folder / "ref.nii.gz"),
        template_mask_file=write(brain, TEMPLATE, folder / "mask.nii.gz"),
        template_dseg_file=write(brain * region_at(points), TEMPLATE, folder / "dseg.nii.gz"),
        atlas_file=write(
            region_at(grid_points(standard, (91, 91, 91))), standard, folder / "atlas.nii.gz"
        ),
        template2bold_xfm=str(folder / "turn.mat"),
        mni2template_xfm=str(folder / "warp.nii.gz"),
    )
    return node.run(cwd=folder).outputs


def test_labels_come_through_the_rotation_first_and_the_warp_second(tmp_path):
    (tmp_path / "in").mkdir()
    outputs = carry(tmp_path / "in")
    in_template = apply_affine(TURN, grid_points(BOLD, (11, 11, 6)))
    depth = 26 - np.linalg.norm(in_template, axis=-1)
    atlas = nb.load(outputs.atlas_file).get_fdata()
    dseg = nb.load(outputs.dseg_file).get_fdata()
    in_standard = in_template + SHIFT_MM
    clear = (np.abs(in_standard - [1.3, -2.7, 3.1]).min(axis=-1) > 1.5) & (depth > 2)
    np.testing.assert_array_equal(atlas[clear], region_at(in_standard)[clear])
    clear = (np.abs(in_template - [1.3, -2.7, 3.1]).min(axis=-1) > 1.5) & (depth > 2)
    np.testing.assert_array_equal(dseg[clear], region_at(in_template)[clear])
    np.testing.assert_array_equal(atlas[depth < -2], 0)
    mask = nb.load(outputs.brain_mask_file).get_fdata()
    np.testing.assert_array_equal(mask[np.abs(depth) > 2], (depth > 0)[np.abs(depth) > 2])


def test_the_whole_atlas_reaches_beyond_the_field_of_view(tmp_path):
    outputs = carry(tmp_path)
    whole = nb.load(outputs.whole_atlas_file)
    brain_ml = np.count_nonzero(whole.get_fdata()) * 64 / 1000
    ball_ml = 4 / 3 * np.pi * 26**3 / 1000
    assert brain_ml == pytest.approx(ball_ml, rel=0.05)
    seen = np.count_nonzero(nb.load(outputs.atlas_file).get_fdata())
    assert seen < 0.6 * np.count_nonzero(whole.get_fdata())


def masks(folder, brain_from):
    head, brain = np.zeros((2, 10, 10, 4), np.uint8)
    head[:6], brain[brain_from : brain_from + 6] = 1, 1
    return BoldMask(
        head_mask_file=write(head, BOLD, folder / "head.nii.gz"),
        brain_mask_file=write(brain, BOLD, folder / "brain.nii.gz"),
        min_dice=0.6,
        source_file="sub-03_bold.nii.gz",
    )


def test_the_mask_is_what_both_share(tmp_path):
    outputs = masks(tmp_path, brain_from=2).run(cwd=tmp_path).outputs
    mask = nb.load(outputs.mask_file).get_fdata()
    assert np.flatnonzero(mask[:, 0, 0]).tolist() == [2, 3, 4, 5]
    assert outputs.registration_dice == pytest.approx(2 * 4 / 12)


def test_brains_that_do_not_overlap_are_an_error_that_names_the_run(tmp_path):
    with pytest.raises(ToolError, match=r"sub-03_bold.*only 0\.50 \(Dice\).*0\.6 needed"):
        masks(tmp_path, brain_from=3).run(cwd=tmp_path)
