import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_utils.errors import ToolError
from workflows.interfaces.registration import (
    ApplyWarp,
    CheckAgreement,
    Coarser,
    ComposeWarp,
    GreedyAffine,
    GreedyWarp,
    MniReference,
)
from workflows.interfaces.volumes import load_mask, load_volume, save_volume

SHAPE = (32, 32, 32)


def run(interface, folder, **inputs):
    """Outputs of one interface, run in a folder."""
    folder.mkdir(exist_ok=True)
    return interface(**inputs).run(cwd=folder).outputs


def write(folder, name, volume, affine=None):
    affine = np.eye(4) if affine is None else affine
    return save_volume(np.asarray(volume), affine, folder / f"{name}.nii.gz")


def blobs():
    points = np.zeros(SHAPE)
    points[tuple(np.random.default_rng(0).integers(8, 24, (3, 60)))] = 1
    return 1000 * ndimage.gaussian_filter(points, 1.5)


def test_mni_is_brain_only_with_grey_matter_and_a_signed_distance(tmp_path):
    mni = run(MniReference, tmp_path / "node", resolution_mm=4.0)
    template, affine = load_volume(mni.template_file)
    mask = load_mask(mni.mask_file)
    distance, _ = load_volume(mni.distance_file)
    np.testing.assert_allclose(np.diag(affine)[:3], 4)
    np.testing.assert_allclose(template.max(), 100, rtol=1e-5)
    assert template[ndimage.binary_dilation(mask) == 0].max() < 10
    assert abs(mask.sum() * 0.064 - 1883) < 20
    assert (distance[mask] < 0).all()
    assert (distance[~mask] > 0).all()
    thalamus = np.linalg.inv(affine) @ [-10, -18, 8, 1]
    precentral_wm = np.linalg.inv(affine) @ [-26, -22, 36, 1]
    assert load_volume(mni.gm_file)[0][tuple(thalamus[:3].round().astype(int))] > 0.5
    assert load_volume(mni.wm_file)[0][tuple(precentral_wm[:3].round().astype(int))] > 0.9


def test_ventricles_of_mni_are_lateral_and_of_both_sides(tmp_path):
    mni = run(MniReference, tmp_path / "node", resolution_mm=2.0)
    ventricles, affine = load_volume(mni.ventricles_file)

    def at(*point_mm):
        voxel = np.linalg.inv(affine) @ [*point_mm, 1]
        return ventricles[tuple(voxel[:3].round().astype(int))]

    assert min(at(-10, -14, 23), at(10, -14, 23), at(-24, -42, 16), at(24, -42, 16)) > 0.5
    assert max(at(0, -60, -36), at(-40, -20, 8), at(-14, -18, 8), at(0, -38, -40)) < 0.1
    sides = [ventricles[half].sum() for half in (slice(0, 49), slice(49, None))]
    assert sides[0] == pytest.approx(sides[1], rel=0.15)
    assert 8 < ventricles.sum() * 0.008 < 30


def test_mni_is_never_finer_than_the_template(tmp_path):
    like = write(tmp_path, "like", np.ones((3, 3, 3)), np.diag([5.0, 5, 5, 1]))
    mni = run(MniReference, tmp_path / "node", resolution_mm=2.0, like_file=like)
    np.testing.assert_allclose(nib.load(mni.template_file).header.get_zooms(), 5)


def test_a_coarser_image_keeps_its_sum_and_its_centre(tmp_path):
    mask = np.ones(SHAPE)
    mask[:4] = 0
    like = write(tmp_path, "like", np.ones((3, 3, 3)), np.diag([2.0, 2, 2, 1]))
    volume = blobs()
    volume[1, 1, 1] = 1e6
    files = {"in_file": write(tmp_path, "in", volume), "mask_file": write(tmp_path, "mask", mask)}
    coarse, affine = load_volume(run(Coarser, tmp_path / "node", like_file=like, **files).out_file)
    inside = volume * mask
    np.testing.assert_allclose(coarse.sum() * 8, inside.sum(), rtol=0.01)
    centre = nib.affines.apply_affine(affine, ndimage.center_of_mass(coarse))
    np.testing.assert_allclose(centre, ndimage.center_of_mass(inside), atol=0.05)


def test_rigid_registration_of_distant_images_starts_with_their_centres(tmp_path):
    far = np.eye(4)
    far[:3, 3] = [60, -40, 25]
    fixed, moving = write(tmp_path, "fixed", blobs()), write(tmp_path, "moving", blobs(), far)
    effort = {"dof": 6, "metric": ["NCC", "2x2x2"], "iterations": "40x20"}
    found = run(GreedyAffine, tmp_path / "node", fixed_file=fixed, moving_file=moving, **effort)
    np.testing.assert_allclose(np.loadtxt(found.out_xfm), far, atol=0.15)


@pytest.fixture(scope="module")
def squeezed(tmp_path_factory):
    """Blobs, a shifted and squeezed copy, and the registration of the two."""
    folder = tmp_path_factory.mktemp("squeezed")
    volume = blobs()
    x = np.indices(SHAPE).astype(float)
    x[1] += 2.5 * np.sin(x[0] / 5)
    fixed = write(folder, "fixed", volume)
    affine = np.eye(4)
    affine[2, 3] = 3
    moving = write(folder, "moving", ndimage.map_coordinates(volume, x, order=3), affine)
    np.savetxt(folder / "affine.mat", affine)
    inputs = {"fixed_file": fixed, "moving_file": moving}
    inputs |= {"affine_file": str(folder / "affine.mat"), "iterations": "60x30"}
    return fixed, moving, inputs["affine_file"], run(GreedyWarp, folder / "node", **inputs)


def test_the_composed_warp_brings_the_moving_image_onto_the_fixed_one(tmp_path, squeezed):
    fixed, moving, affine, warp = squeezed
    inputs = {"affine_file": affine, "warp_file": warp.warp_file, "reference_file": fixed}
    xfm = run(ComposeWarp, tmp_path / "to", inverse=False, **inputs).out_xfm
    inputs = {"in_file": moving, "reference_file": fixed, "interpolation": "LINEAR"}
    answer, _ = load_volume(run(ApplyWarp, tmp_path / "apply", xfm_files=xfm, **inputs).out_file)
    target, start = load_volume(fixed)[0], load_volume(moving)[0]
    assert np.corrcoef(answer.ravel(), target.ravel())[0, 1] > 0.97
    assert np.corrcoef(start.ravel(), target.ravel())[0, 1] < 0.9


def test_the_composed_inverse_brings_the_fixed_image_onto_the_moving_one(tmp_path, squeezed):
    fixed, moving, affine, warp = squeezed
    inputs = {"affine_file": affine, "warp_file": warp.inverse_warp_file, "reference_file": moving}
    xfm = run(ComposeWarp, tmp_path / "from", inverse=True, **inputs).out_xfm
    inputs = {"in_file": fixed, "reference_file": moving, "interpolation": "LINEAR"}
    answer, _ = load_volume(run(ApplyWarp, tmp_path / "apply", xfm_files=xfm, **inputs).out_file)
    target = load_volume(moving)[0]
    assert np.corrcoef(answer.ravel(), target.ravel())[0, 1] > 0.97


def agreement_inputs(folder, grey, white):
    volume = np.zeros(SHAPE)
    volume[:8], volume[8:20], volume[20:] = 30, 70, 100
    priors = np.zeros((2, *SHAPE))
    priors[0][grey], priors[1][white] = 0.9, 0.9
    return {
        "brain_file": write(folder, "brain", volume),
        "mask_file": write(folder, "mask", np.ones(SHAPE)),
        "gm_prior_file": write(folder, "grey", priors[0]),
        "wm_prior_file": write(folder, "white", priors[1]),
        "min_agreement": 0.6,
    }


def test_tissues_in_their_place_agree_with_the_image(tmp_path):
    inputs = agreement_inputs(tmp_path, slice(8, 20), slice(20, None))
    assert run(CheckAgreement, tmp_path / "node", **inputs).agreement == 1


def test_too_little_agreement_says_what_to_look_at(tmp_path):
    inputs = agreement_inputs(tmp_path, slice(4, 16), slice(16, None))
    inputs["min_agreement"] = 0.95
    with pytest.raises(ToolError, match=r"by 0\.\d\d .*0\.95 .*min_mni_agreement.*Look at"):
        run(CheckAgreement, tmp_path / "node", **inputs)
