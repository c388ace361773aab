import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_utils.errors import DatasetError, ToolError
from workflows.interfaces.anat import (
    BiasCorrection,
    BrainMask,
    CheckSessions,
    Conform,
    MeanSpace,
    RefineMask,
    SessionPairs,
    Template,
    ToTemplate,
)
from workflows.interfaces.volumes import load_mask, load_volume, save_volume


def run(interface, folder, **inputs):
    """Outputs of one interface, run in a folder."""
    folder.mkdir(exist_ok=True)
    return interface(**inputs).run(cwd=folder).outputs


def write(folder, name, volume, affine=None):
    affine = np.eye(4) if affine is None else affine
    return save_volume(np.asarray(volume), affine, folder / f"{name}.nii.gz")


@pytest.fixture(scope="module")
def head():
    """Head of 4 mm: brain of 64 mm radius with texture, skull, scalp."""
    offset = (np.indices((48, 50, 46)).T - [23, 25, 22]).T * 4.0
    distance = np.linalg.norm(offset, axis=0)
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=distance.shape), 1.5)
    volume = np.where(distance < 64, 80 + 80 * texture + 30 * (distance < 48), 5.0)
    volume[(distance > 76) & (distance < 84)] = 80
    volume[distance >= 84] = 0
    return volume.astype(np.float32), distance < 64


def test_conform_turns_the_axes_and_keeps_each_voxel_at_its_place(tmp_path, head):
    volume, _ = head
    affine = np.array([[0, 0, -4.0, 9], [4, 0, 0, 1], [0, -4, 0, 4], [0, 0, 0, 1]])
    path = write(tmp_path, "t1w", volume[..., None], affine)
    found = run(Conform, tmp_path / "node", in_file=path)
    image = nib.load(found.out_file)
    assert not found.extracted
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.shape == (46, 48, 50)
    for voxel in ((0, 0, 0), (20, 21, 17), (30, 12, 9)):
        point = nib.affines.apply_affine(affine, voxel)
        there = nib.affines.apply_affine(np.linalg.inv(image.affine), point).round().astype(int)
        assert image.dataobj[tuple(there)] == volume[voxel]


def test_a_brain_without_skull_is_its_own_mask(tmp_path, head):
    volume, brain = head
    affine = np.diag([4.0, 4, 4, 1])
    path = write(tmp_path, "brain", np.where(brain, volume, 0), affine)
    conformed = run(Conform, tmp_path / "conform", in_file=path)
    assert conformed.extracted
    inputs = {"in_file": path, "extracted": True, "fractional_threshold": 0.5}
    np.testing.assert_array_equal(
        load_mask(run(BrainMask, tmp_path / "m", **inputs).mask_file), brain
    )


def test_another_contrast_is_an_error_that_names_the_image_given(tmp_path, head):
    volume, brain = head
    affine = np.diag([4.0, 4, 4, 1])
    inputs = {
        "in_file": write(tmp_path, "corrected", np.where(brain, 200 - volume, 0), affine),
        "source_file": write(tmp_path, "sub-01_T1w", volume, affine),
        "extracted": True,
        "fractional_threshold": 0.5,
    }
    with pytest.raises(ToolError, match="sub-01_T1w.nii.gz: .*another contrast"):
        run(BrainMask, tmp_path / "node", **inputs)


def session_checks(folder, sides, extracted):
    masks = []
    for name, side in enumerate(sides):
        mask = np.zeros((20, 20, 20))
        mask[:side] = 1
        masks.append(write(folder, f"ses-{name}", mask, np.diag([5.0, 5, 5, 1])))
    return {"t1w_files": masks, "mask_files": masks, "extracted": extracted}


def test_sessions_of_one_brain_pass_with_their_masks(tmp_path):
    inputs = session_checks(tmp_path, [14, 15], [True, True])
    found = run(CheckSessions, tmp_path / "node", **inputs)
    assert (found.mask_files, found.extracted) == (inputs["mask_files"], True)


def test_a_session_with_another_brain_size_or_without_skull_is_named(tmp_path):
    with pytest.raises(ToolError, match="ses-1.nii.gz: its brain mask has 500 ml.*750, 500 ml"):
        run(CheckSessions, tmp_path / "a", **session_checks(tmp_path, [15, 10], [False] * 2))
    with pytest.raises(DatasetError, match="Without skull: [^,]*ses-0.nii.gz; the other"):
        run(CheckSessions, tmp_path / "b", **session_checks(tmp_path, [15, 15], [True, False]))


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (np.full((3, 3, 3), 7.0), "all voxels are 7"),
        (np.where(np.eye(3), np.nan, np.ones((3, 3, 3))), "9 voxels are not numbers"),
        (np.ones((3, 3, 3, 2)), "three dimensions"),
    ],
)
def test_conform_refuses_what_is_no_anatomy_and_names_the_file(tmp_path, volume, words):
    path = write(tmp_path, "sub-01_T1w", volume)
    with pytest.raises(DatasetError, match=f"sub-01_T1w.nii.gz: .*{words}"):
        run(Conform, tmp_path / "node", in_file=path)


def test_the_brain_mask_lies_in_the_skull_and_the_second_is_cropped(tmp_path, head):
    volume, brain = head
    affine = np.diag([4.0, 4, 4, 1])
    path = write(tmp_path, "head", volume, affine)
    rough = run(BrainMask, tmp_path / "rough", in_file=path, fractional_threshold=0.5)
    found = load_mask(rough.mask_file)
    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.93
    inputs = {"in_file": path, "rough_mask_file": rough.mask_file, "fractional_threshold": 0.45}
    second = run(BrainMask, tmp_path / "second", **inputs)
    cropped, cropped_affine = load_volume(second.out_file)
    start = nib.affines.apply_affine(np.linalg.inv(affine), cropped_affine[:3, 3]).astype(int)
    window = tuple(slice(a, a + n) for a, n in zip(start, cropped.shape, strict=True))
    assert cropped.size < volume.size
    np.testing.assert_array_equal(cropped, volume[window])


def test_n4_flattens_a_slope_in_the_mask(tmp_path, head):
    volume, brain = head
    slope = np.exp(np.linspace(-0.3, 0.3, volume.shape[0]))[:, None, None]
    affine = np.diag([4.0, 4, 4, 1])
    image = write(tmp_path, "head", volume * slope, affine)
    mask = write(tmp_path, "mask", brain, affine)
    inputs = {"in_file": image, "mask_file": mask, "resolution_mm": 8.0}
    corrected, _ = load_volume(run(BiasCorrection, tmp_path / "node", **inputs).out_file)
    left, right = brain.copy(), brain.copy()
    left[23:], right[:23] = False, False
    before = np.log((volume * slope)[right].mean() / (volume * slope)[left].mean())
    after = np.log(corrected[right].mean() / corrected[left].mean())
    assert before > 0.15
    assert abs(after) < 0.25 * before


def test_pairs_are_ordered_and_hold_both_directions(tmp_path):
    images = [write(tmp_path, f"image{i}", np.ones((2, 2, 2))) for i in range(3)]
    masks = [write(tmp_path, f"mask{i}", np.ones((2, 2, 2))) for i in range(3)]
    pairs = run(SessionPairs, tmp_path / "node", in_files=images, mask_files=masks)
    fixed, moving = [0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]
    assert pairs.fixed_files == [images[i] for i in fixed]
    assert pairs.moving_mask_files == [masks[i] for i in moving]


def test_mean_space_is_between_the_sessions_and_takes_the_smallest_voxels(tmp_path):
    first = write(tmp_path, "mask0", np.ones((10, 10, 10)), np.diag([2.0, 2, 3, 1]))
    second = write(tmp_path, "mask1", np.ones((20, 20, 20)), np.diag([1.5, 2, 2, 1]))
    pair, back = np.eye(4), np.eye(4)
    pair[0, 3], back[0, 3] = 8, -8
    for name, matrix in (("a.mat", pair), ("b.mat", back)):
        np.savetxt(tmp_path / name, matrix)
    pairs = [str(tmp_path / name) for name in ("a.mat", "b.mat")]
    inputs = {"mask_files": [first, second], "pair_xfms": pairs, "resolution_mm": None}
    space = run(MeanSpace, tmp_path / "node", **inputs)
    to_sessions = [np.loadtxt(path) for path in space.session2template_xfms]
    np.testing.assert_allclose([xfm[0, 3] for xfm in to_sessions], [-4, 4], atol=1e-9)
    np.testing.assert_allclose(nib.load(space.reference_file).header.get_zooms(), 1.5)


def test_a_session_is_resampled_through_its_transform(tmp_path):
    volume = np.zeros((8, 8, 8))
    volume[5, 4, 3] = 10
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    turn[:3, 3] = [6, 2, 0]
    np.savetxt(tmp_path / "xfm.mat", turn)
    inputs = {
        "in_file": write(tmp_path, "head", volume),
        "mask_file": write(tmp_path, "mask", volume > 0),
        "xfm_file": str(tmp_path / "xfm.mat"),
        "reference_file": write(tmp_path, "grid", np.zeros((4, 4, 9))),
    }
    found = run(ToTemplate, tmp_path / "node", **inputs)
    image, _ = load_volume(found.out_file)
    assert np.unravel_index(image.argmax(), image.shape) == (2, 1, 3)
    np.testing.assert_allclose(image[2, 1, 3], 10, rtol=1e-5)
    assert image.min() >= 0
    assert load_mask(found.mask_file).sum() == 1
    assert not load_mask(found.view_file)[..., 8].any()
    assert load_mask(found.view_file)[2, 1, 3]


def test_the_template_is_the_mean_of_sessions_of_equal_brightness(tmp_path):
    volume = np.random.default_rng(0).uniform(50, 150, (6, 6, 6)).astype(np.float32)
    masks = np.zeros((2, 6, 6, 6))
    masks[0, :5], masks[1] = 1, 1
    images = [write(tmp_path, f"i{k}", volume * scale) for k, scale in enumerate((1, 5))]
    files = [write(tmp_path, f"m{k}", mask) for k, mask in enumerate(masks)]
    template = run(Template, tmp_path / "node", in_files=images, mask_files=files)
    first, second = (load_volume(path)[0] for path in template.scaled_files)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    np.testing.assert_allclose(np.percentile(first, 75), 100, rtol=1e-5)
    np.testing.assert_allclose(load_volume(template.head_file)[0], first, rtol=1e-5)
    assert load_mask(template.mask_file).all()


def test_a_session_that_does_not_lie_on_the_others_is_named(tmp_path):
    masks = np.zeros((3, 6, 6, 6))
    masks[0, 1:5], masks[1, 2:6], masks[2, 1:5] = 1, 1, 1
    files = [write(tmp_path, f"m{k}", mask) for k, mask in enumerate(masks)]
    images = [write(tmp_path, f"i{k}", np.ones((6, 6, 6))) for k in range(3)]
    with pytest.raises(ToolError, match=r"number 2 in time overlaps with the others by 0.75"):
        run(Template, tmp_path / "node", in_files=images, mask_files=files)


def refine_inputs(folder, min_ml):
    distance = np.full((10, 10, 10), 20.0)
    distance[:5] = -20.0
    mask = np.zeros((10, 10, 10))
    mask[3:8] = 1
    np.savetxt(folder / "xfm.mat", np.eye(4))
    affine = np.diag([10.0, 10, 10, 1])
    return {
        "head_file": write(folder, "head", np.full((10, 10, 10), 3.0), affine),
        "mask_file": write(folder, "mask", mask, affine),
        "distance_file": write(folder, "distance", distance, affine),
        "xfm_file": str(folder / "xfm.mat"),
        "min_ml": min_ml,
        "max_ml": 900.0,
    }


def test_the_mask_loses_what_is_far_from_mni_and_gains_what_is_deep_in_it(tmp_path):
    found = run(RefineMask, tmp_path / "node", **refine_inputs(tmp_path, 100.0))
    mask = load_mask(found.mask_file)
    assert mask[:5].all()
    assert not mask[5:].any()
    np.testing.assert_array_equal(load_volume(found.brain_file)[0], 3.0 * mask)


def test_the_mask_of_a_brain_without_skull_is_not_changed_by_mni(tmp_path):
    inputs = refine_inputs(tmp_path, 100.0) | {"extracted": True}
    found = run(RefineMask, tmp_path / "node", **inputs)
    np.testing.assert_array_equal(load_mask(found.mask_file), load_mask(inputs["mask_file"]))


def test_a_brain_of_implausible_volume_is_a_tool_error(tmp_path):
    with pytest.raises(ToolError, match="500 ml; plausible is 600 to 900 ml"):
        run(RefineMask, tmp_path / "node", **refine_inputs(tmp_path, 600.0))
