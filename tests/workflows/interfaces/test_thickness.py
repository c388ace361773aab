import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from bids_utils.derivatives import read_table, write_table
from bids_utils.errors import DatasetError
from workflows.interfaces.anat_columns import THICKNESS_MEANINGS
from workflows.interfaces.thickness import (
    RegionThickness,
    SessionThickness,
    ThicknessLines,
    line_error,
)
from workflows.interfaces.volumes import load_volume, save_volume

SHAPE = (24, 16, 16)
AFFINE = np.array([[-1.0, 0, 0, 9], [0, 0, 1, -3], [0, 1, 0, 4], [0, 0, 0, 1]])
REGIONS = pd.DataFrame(
    {
        "index": [5, 2, 8, 7],
        "name": ["rh_b", "lh_a", "lh_thalamus", "lh_none"],
        "hemisphere": ["R", "L", "L", "L"],
        "structure": ["cortex", "cortex", "subcortex", "cortex"],
    }
)


def share(low, high):
    """Share of each voxel of the first axis between two places, in voxels."""
    inside = np.diff(np.clip(np.arange(SHAPE[0] + 1) - 0.5, low, high))
    return np.broadcast_to(inside[:, None, None], SHAPE)


def image(white_edge, fluid_edge):
    """White 100, grey 60, CSF 30 along the first axis, as blurred as a scan."""
    sharp = 30 + 40 * share(-1, white_edge) + 30 * share(-1, fluid_edge)
    return ndimage.gaussian_filter1d(sharp, 0.5, axis=0, mode="nearest")


def run(interface, folder, **inputs):
    """Outputs of one interface, run in a folder."""
    folder.mkdir(exist_ok=True)
    return interface(**inputs).run(cwd=folder).outputs


@pytest.fixture
def given(tmp_path):
    """Inputs of both interfaces: a slab of grey matter, 3 mm thick, in two regions."""
    grey, white, fluid = share(8.5, 11.5), share(-1, 8.5), share(11.5, 30)
    labels = np.zeros(SHAPE, int)
    labels[:, :8], labels[:, 8:], labels[:, 14:] = 2, 5, 8
    volumes = {"gm": grey, "wm": white, "template": image(8.5, 11.5), "atlas": labels}
    volumes["classes"] = np.stack([fluid, 0 * grey, grey, 0 * grey, white], axis=-1)
    files = {
        f"{k}_file": save_volume(v, AFFINE, tmp_path / f"{k}.nii.gz") for k, v in volumes.items()
    }
    write_table(REGIONS, tmp_path / "labels.tsv")
    return files | {"labels_file": str(tmp_path / "labels.tsv")}


@pytest.fixture
def session_table(tmp_path, given):
    """Return a function: table of a session from its image, displacement and what it saw."""
    lines_file = run(ThicknessLines, tmp_path / "lines", **given).lines_file

    def table(volume, displacement_mm, seen):
        field = np.zeros((*SHAPE, 3), np.float32)
        field[..., 0] = displacement_mm[:, None, None]
        nib.Nifti1Image(field, AFFINE).to_filename(tmp_path / "field.nii.gz")
        inputs = {key: given[key] for key in ("atlas_file", "labels_file")}
        inputs |= {"warped_file": save_volume(volume, AFFINE, tmp_path / "session.nii.gz")}
        inputs |= {"seen_file": save_volume(seen, AFFINE, tmp_path / "seen.nii.gz")}
        inputs |= {"displacement_file": str(tmp_path / "field.nii.gz"), "lines_file": lines_file}
        files = {name: inputs.pop(name) for name in ("atlas_file", "labels_file")}
        lengths = run(SessionThickness, tmp_path / "session", **inputs).lengths_file
        files |= {"lines_file": lines_file, "min_lines": 10, "min_coverage": 0.6}
        made = run(RegionThickness, tmp_path / "regions", lengths_files=[lengths], **files)
        found = read_table(tmp_path / made.out_files[0])
        assert list(found) == list(THICKNESS_MEANINGS)
        return found

    return table


def test_the_template_gets_lines_and_a_map_in_cortical_regions(tmp_path, given):
    found = run(ThicknessLines, tmp_path / "lines", **given)
    with np.load(found.lines_file) as lines:
        assert set(lines["voxels"][:, 0]) == {10}
        assert lines["voxels"][:, 1].max() == 13
        np.testing.assert_allclose(lines["inner"][:, 0], 9 - 8.5, atol=0.02)
        np.testing.assert_allclose(lines["outer"][:, 0], 9 - 11.5, atol=0.02)
        np.testing.assert_allclose(lines["contrast"], [[40, 30]] * len(lines["inner"]), atol=1)
    thickness, affine = load_volume(found.thickness_file)
    np.testing.assert_allclose(affine, AFFINE)
    np.testing.assert_allclose(thickness[9:12, :14], 3, atol=0.03)
    assert not thickness[9:12, 14:].any()
    assert not thickness[8].any()


def test_the_template_as_a_session_has_the_thickness_of_the_template(given, session_table):
    still, everywhere = np.zeros(SHAPE[0]), np.ones(SHAPE)
    table = session_table(load_volume(given["template_file"])[0], still, everywhere)
    assert table["region"].tolist() == ["rh_b", "lh_a", "lh_thalamus", "lh_none"]
    assert table["structure"].tolist() == REGIONS["structure"].tolist()
    np.testing.assert_allclose(table["thickness"], [3, 3, np.nan, np.nan], atol=0.02)
    assert table["n_lines"].tolist() == [6 * 16, 8 * 16, 0, 0]


def test_a_session_is_thinner_by_its_displacement_and_by_what_is_left(session_table):
    still, everywhere = np.zeros(SHAPE[0]), np.ones(SHAPE)
    by_brightness = session_table(image(8.7, 11.2), still, everywhere)
    np.testing.assert_allclose(by_brightness["thickness"][:2], 2.5, atol=0.03)
    towards_white = np.interp(np.arange(SHAPE[0]), [8, 12], [0, 0.4])
    by_both = session_table(image(8.5, 11.3), towards_white, everywhere)
    np.testing.assert_allclose(by_both["thickness"][:2], 2.5, atol=0.03)


def test_a_region_seen_too_little_has_no_thickness_but_its_row(given, session_table):
    seen = np.ones(SHAPE)
    seen[:, 3:8] = 0
    template = load_volume(given["template_file"])[0]
    table = session_table(template, np.zeros(SHAPE[0]), seen)
    np.testing.assert_allclose(table["thickness"], [3, np.nan, np.nan, np.nan], atol=0.02)
    assert table["n_lines"].tolist() == [96, 48, 0, 0]


def test_labels_on_another_grid_are_refused(tmp_path, given):
    other = save_volume(np.ones(SHAPE, int), np.eye(4), tmp_path / "other.nii.gz")
    with pytest.raises(DatasetError, match="same grid"):
        run(ThicknessLines, tmp_path / "lines", **(given | {"atlas_file": other}))


def test_the_error_of_a_region_is_that_of_noise_in_blocks_of_lines():
    rng = np.random.default_rng(5)
    voxels = np.argwhere(np.ones((64, 16, 2), bool))
    labels = np.ones((64, 16, 2), int)
    labels[:, :, 1] = 3
    noise = rng.normal(scale=0.2, size=(300, 2, 16, 4, 1))
    errors, means = [], []
    for session in noise:
        lines = [part.repeat(4, 0).repeat(4, 1).repeat(2, 2).ravel() + 2.5 for part in session]
        errors.append(line_error(lines, voxels, labels, ([3, 1], 4))[1] * 2.5)
        means.append(np.mean(lines[1]) - np.mean(lines[0]))
    np.testing.assert_allclose(np.mean(errors) * 2**0.5, np.std(means), rtol=0.1)


def test_one_session_has_no_error():
    one = line_error([np.ones(4)], np.zeros((4, 3), int), np.ones((1, 1, 1), int), ([1], 4))
    assert np.isnan(one).all()
