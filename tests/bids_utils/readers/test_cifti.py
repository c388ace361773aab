"""Time series of regions in CIFTI-2, against nibabel, which wrote them."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers.cifti import cifti_regions, cifti_series
from bids_utils.readers.matrices import read_matrices
from bids_utils.readers.records import SourceRequest

nb = pytest.importorskip("nibabel")

NAMES = ("LH_Vis_1", "RH_Default_2", "Amygdala")
RUN = (
    "sub-01/ses-{0}/func/sub-01_ses-{0}_task-rest_space-fsLR_seg-Tiny_den-91k_stat-mean_timeseries"
)


def write_cifti(path, values, kind=np.float32, names=NAMES):
    """Series (n_volumes, n_regions) as XCP-D writes them, 0.8 s from volume to volume."""
    voxels = [np.array([[n, 0, 0]]) for n in range(len(names))]
    parcels = nb.cifti2.ParcelsAxis(
        list(names), voxels, [{}] * len(names), np.eye(4), (9, 9, 9), None
    )
    series = nb.cifti2.SeriesAxis(0, 0.8, len(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nb.Cifti2Image(values.astype(kind), (series, parcels))
    image.to_filename(path)
    return path


@pytest.fixture
def values():
    return np.random.default_rng(2).normal(0, 50, (40, 3)).round()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16])
def test_values_names_and_time_are_those_that_nibabel_wrote(tmp_path, values, kind):
    path = write_cifti(tmp_path / "x.ptseries.nii", values, kind)
    found = cifti_series(path)
    assert found.regions == cifti_regions(path) == NAMES
    assert np.array_equal(found.values, nb.load(path).get_fdata())
    assert np.array_equal(found.values, values)
    assert found.step_s == 0.8


def test_scaled_numbers_are_scaled(tmp_path, values):
    path = write_cifti(tmp_path / "x.ptseries.nii", values, np.int16)
    content = bytearray(path.read_bytes())
    content[176:192] = np.array([0.5, 3.0]).tobytes()
    path.write_bytes(content)
    assert np.array_equal(cifti_series(path).values, values * 0.5 + 3.0)


def test_files_that_are_cut_off_or_no_regions_are_refused(tmp_path, values):
    path = write_cifti(tmp_path / "x.ptseries.nii", values)
    whole = path.read_bytes()
    for length, words in ((300, "not a CIFTI-2 file"), (700, "cut off"), (len(whole) - 4, "cut")):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match=words):
            cifti_series(path)
    same = write_cifti(tmp_path / "y.ptseries.nii", values, names=("a", "a", "b"))
    with pytest.raises(DatasetError, match="two or more different regions"):
        cifti_regions(same)


def test_series_in_cifti_give_the_same_edges_as_in_a_table(tmp_path, values):
    write_cifti(tmp_path / f"{RUN.format('pre')}.ptseries.nii", values)
    (alone,) = read_matrices(tmp_path, SourceRequest()).matrices
    assert (alone.atlas, alone.regions) == ("Tiny", NAMES)
    expected = np.arctanh(np.corrcoef(values.T)[np.triu_indices(3, 1)])
    assert alone.edges[0] == pytest.approx(expected)
    assert alone.scans["clean_minutes"].tolist() == pytest.approx([40 * 0.8 / 60])
    other = values + np.arange(40)[:, None]
    table = tmp_path / f"{RUN.format('pre')}.tsv"
    pd.DataFrame(other, columns=NAMES).to_csv(table, sep="\t", index=False)
    (beside,) = read_matrices(tmp_path, SourceRequest()).matrices
    assert beside.edges[0] == pytest.approx(np.arctanh(np.corrcoef(other.T)[np.triu_indices(3, 1)]))
