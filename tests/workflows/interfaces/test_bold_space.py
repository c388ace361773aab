import nibabel as nb
import numpy as np
import pytest
from nibabel.affines import apply_affine

from bids_utils.errors import ToolError
from workflows.interfaces.bold_space import (
    AlignBoundary,
    AlignBrains,
    BoldMask,
    CarryLabels,
    CheckSides,
)

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


HEAD = np.array([[-3.0, 0, 0, 48], [0, 3, 0, -54], [0, 0, 3.5, -45], [0, 0, 0, 1]])
ANATOMY = np.diag([2.0, 2.0, 2.0, 1]) + [[0, 0, 0, -46], [0, 0, 0, -49], [0, 0, 0, -41], [0] * 4]
MOVED = np.array([[0.998, -0.06, 0, 4.0], [0.06, 0.998, 0, -3.0], [0, 0, 1, 2.0], [0, 0, 0, 1]])


def lopsided(points):
    """White matter 2 with three lobes that are no mirror images, grey 1 around it, 0 outside."""
    radius = np.linalg.norm(points / [26, 32, 22], axis=-1)
    angle = np.arctan2(points[..., 1], points[..., 0])
    wave = 1 + 0.15 * np.cos(3 * angle + 0.5) + 0.1 * np.sin(points[..., 2] / 6)
    return np.where(radius < wave, 2, np.where(radius < wave * 1.35, 1, 0))


def write_head(folder, flipped):
    """Files of a template and of a BOLD reference in which the head lies at MOVED."""
    tissue = lopsided(grid_points(ANATOMY, (47, 50, 42)))
    fine = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    at_bold, back = grid_points(HEAD, (32, 36, 26)), np.linalg.inv(MOVED)
    seen = [lopsided(apply_affine(back, at_bold + offset)) for offset in fine]
    image = np.mean(np.array([0.0, 900, 700])[seen], axis=0).astype(np.float32)
    image = image[::-1] if flipped else image
    brightness = np.array([0, 600, 1000], np.float32)[tissue]
    return {
        "boldref_file": write(image, HEAD, folder / "boldref.nii.gz"),
        "brain_file": write(image, HEAD, folder / "brain.nii.gz"),
        "head_mask_file": write((image > 200).astype(np.uint8), HEAD, folder / "head.nii.gz"),
        "template_file": write(brightness, ANATOMY, folder / "template.nii.gz"),
        "template_dseg_file": write(tissue.astype(np.uint8), ANATOMY, folder / "dseg.nii.gz"),
        "template_mask_file": write((tissue > 0).astype(np.uint8), ANATOMY, folder / "mask.nii.gz"),
    }


def run_with(node, files, folder, **more):
    own = set(node.inputs.copyable_trait_names())
    node.inputs.trait_set(**{name: file for name, file in files.items() if name in own}, **more)
    return node.run(cwd=folder).outputs


def align(files, folder):
    starts = run_with(AlignBrains(), files, folder).template2bold_xfms
    return run_with(AlignBoundary(), files, folder, template2bold_xfms=starts)


@pytest.mark.parametrize("flipped", [False, True])
def test_exchanged_sides_are_seen_by_the_cost(flipped, tmp_path):
    files = write_head(tmp_path, flipped)
    aligned = align(files, tmp_path)
    cost = aligned.boundary_cost
    ratio = run_with(CheckSides(), files, tmp_path, boundary_cost=cost).flip_cost_ratio
    if flipped:
        assert ratio > 1.25
    else:
        assert ratio < 0.8
        points = grid_points(ANATOMY, (47, 50, 42))[::20, ::20, ::20].reshape(-1, 3)
        found = apply_affine(np.loadtxt(aligned.bold2template_xfm), points)
        assert np.linalg.norm(found - apply_affine(MOVED, points), axis=1).mean() < 1


def test_the_place_of_the_session_saves_a_registration_that_mutual_information_lost(tmp_path):
    files = write_head(tmp_path, flipped=False)
    np.savetxt(tmp_path / "lost.mat", TEMPLATE)
    np.savetxt(tmp_path / "session.mat", MOVED)
    given = {"template2bold_xfms": [str(tmp_path / "lost.mat")]}
    scanner = str(tmp_path / "session.mat")
    found = run_with(AlignBoundary(), files, tmp_path, session2template_xfm=scanner, **given)
    matrix = np.loadtxt(found.bold2template_xfm)
    np.testing.assert_allclose(matrix, MOVED, atol=0.7)
    np.testing.assert_allclose(np.loadtxt(found.template2bold_xfm) @ matrix, np.eye(4), atol=1e-6)
    assert found.registration_kind in ("header", "bbr")
    assert found.boundary_cost < 0.5


@pytest.mark.parametrize("slices", [slice(0, 8), slice(17, 22)])
def test_a_slab_of_the_head_finds_its_place(slices, tmp_path):
    files = write_head(tmp_path, flipped=False)
    affine = HEAD.copy()
    affine[2, 3] += 3.5 * slices.start
    for field in ("brain_file", "boldref_file", "head_mask_file"):
        values = np.asarray(nb.load(files[field]).dataobj)[:, :, slices]
        files[field] = write(values, affine, tmp_path / f"{field}.nii.gz")
    found = np.loadtxt(align(files, tmp_path).bold2template_xfm)
    points = grid_points(ANATOMY, (47, 50, 42))[10:-10, 10:-10, 10:-10].reshape(-1, 3)
    error = np.linalg.norm(apply_affine(found, points) - apply_affine(MOVED, points), axis=1)
    assert error.mean() < 2
