"""QC-FC of a cohort: the right people, motion and lengths meet."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nipype.interfaces.base import isdefined
from scipy import stats

from bids_utils.derivatives import read_table, write_table
from workflows.compute.measures import edge_labels
from workflows.interfaces.qc_fc import QcFc

REGIONS = ["a", "b", "c"]
PLACES_MM = [(-40, 0, 10), (40, 0, 10), (40, 30, 10)]
N_PEOPLE = 12


@pytest.fixture
def cohort(tmp_path):
    """Twelve people; the edge of b and c, 30 mm long, follows motion exactly.

    Quality has them in another order, with another metric and another modality, and says
    nothing of the last one. Regions are cubes on the grid of the standard brain.
    """
    rng = np.random.default_rng(6)
    people = [f"{n:02d}" for n in range(N_PEOPLE)]
    motion = rng.normal(0, 0.1, N_PEOPLE)
    change = rng.normal(0, 0.2, (N_PEOPLE, 3))
    change[:, 2] = 0.5 - 2 * motion
    np.save(tmp_path / "change.npy", change.astype(np.float32))
    ends = {"baseline": "ses-pre", "followup": "ses-post"}
    pairs = pd.DataFrame({"participant_id": [f"sub-{who}" for who in people], **ends})
    write_table(pairs.assign(modality="bold", interval_days=80), tmp_path / "pairs.tsv")
    quality = pairs.assign(modality="bold", metric="fd_mean", change=motion, flag="n/a")[:-1]
    others = [quality.assign(metric="tsnr", change=9.0), quality.assign(modality="T1w", change=1)]
    write_table(pd.concat([*others, quality[::-1]]), tmp_path / "quality_pairs.tsv")
    write_table(edge_labels(REGIONS).assign(atlas="Mine"), tmp_path / "edges.tsv")
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-98, -134, -72)
    labels = np.zeros((99, 117, 95), np.int16)
    for label, place in enumerate(PLACES_MM, start=1):
        i, j, k = np.rint((np.array(place) - affine[:3, 3]) / 2).astype(int)
        labels[i - 2 : i + 3, j - 2 : j + 3, k - 2 : k + 3] = label
    (tmp_path / "atlas").mkdir()
    stem = tmp_path / "atlas" / "tpl-MNI152NLin2009aSym_atlas-Mine"
    nib.Nifti1Image(labels, affine).to_filename(f"{stem}_desc-x_dseg.nii.gz")
    table = pd.DataFrame({"index": [1, 2, 3], "name": REGIONS})
    write_table(table, stem.with_name(f"{stem.name}_dseg.tsv"))
    return tmp_path, change, motion


def run(folder, work, **inputs):
    work.mkdir()
    files = {
        "connectivity_change_file": "change.npy",
        "pairs_file": "pairs.tsv",
        "edges_file": "edges.tsv",
        "quality_pairs_file": "quality_pairs.tsv",
    }
    given = {name: str(folder / file) for name, file in files.items()} | inputs
    return QcFc(output_dir=str(folder), random_seed=3, **given).run(cwd=str(work)).outputs


def test_each_edge_is_correlated_with_the_motion_of_the_same_people(cohort, tmp_path):
    folder, change, motion = cohort
    outputs = run(folder, tmp_path / "work")
    edges = read_table(outputs.qc_fc_edges_file, ("region_a", "region_b"))
    expected = [stats.pearsonr(change[:-1, edge], motion[:-1]).statistic for edge in range(3)]
    assert edges["r"].tolist() == pytest.approx(expected, abs=1e-5)
    assert expected[2] == pytest.approx(-1)
    assert edges["distance_mm"].tolist() == pytest.approx([80, np.hypot(80, 30), 30], abs=1)
    assert set(edges["n"]) == {11}
    table = read_table(outputs.qc_fc_file).set_index("statistic")
    assert table.loc["median_abs_r", "value"] == pytest.approx(np.median(np.abs(expected)))
    assert table.loc["share_p05", "value"] == pytest.approx(1 / 3)
    assert set(table["baseline"]) == {"ses-pre"}
    again = run(folder, tmp_path / "again")
    pd.testing.assert_frame_equal(read_table(again.qc_fc_file), table.reset_index()[COLUMNS])


COLUMNS = ["modality", "atlas", "baseline", "followup", "statistic", "value", "ci_low", "ci_high"]
COLUMNS += ["chance_low", "chance_high", "p", "n", "n_edges"]


def test_few_people_are_a_note_and_five_are_the_least(cohort, tmp_path):
    folder, change, _ = cohort
    pairs = read_table(folder / "pairs.tsv")
    for n_pairs, is_known in ((4, False), (6, True)):
        write_table(pairs[:n_pairs], folder / f"pairs{n_pairs}.tsv")
        np.save(folder / f"change{n_pairs}.npy", change[:n_pairs])
        outputs = run(
            folder,
            tmp_path / f"few{n_pairs}",
            pairs_file=str(folder / f"pairs{n_pairs}.tsv"),
            connectivity_change_file=str(folder / f"change{n_pairs}.npy"),
        )
        table = read_table(outputs.qc_fc_file)
        assert len(table) == 3
        assert table["value"].notna().all() == is_known
        note = read_table(outputs.problems_file).iloc[0]
        assert note["what"] == f"{n_pairs} people have both sessions and a measure of motion"
        assert (note["where"], note["kind"]) == ("qc_fc.tsv, bold ses-pre to ses-post", "note")
        assert len(read_table(outputs.qc_fc_edges_file)) == (3 if is_known else 0)


def test_an_atlas_of_unknown_place_has_all_but_the_distance(cohort, tmp_path):
    folder, *_ = cohort
    write_table(edge_labels(REGIONS).assign(atlas="Nowhere"), folder / "edges.tsv")
    outputs = run(folder, tmp_path / "work")
    table = read_table(outputs.qc_fc_file).set_index("statistic")
    assert np.isnan(table.loc["distance_rho", "value"])
    assert table.loc["share_p05", "value"] == pytest.approx(1 / 3)


def test_without_connectivity_there_are_no_tables(tmp_path):
    outputs = QcFc(output_dir=str(tmp_path), random_seed=1).run(cwd=str(tmp_path)).outputs
    assert not isdefined(outputs.qc_fc_file)
    assert len(read_table(outputs.problems_file)) == 0
