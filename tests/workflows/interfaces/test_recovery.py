import numpy as np
import pandas as pd
import pytest

from workflows.interfaces import recovery

AMYGDALAE = ["lh_amygdala", "rh_amygdala"]
CINGULATES = ["lh_rostralanteriorcingulate", "rh_rostralanteriorcingulate"]


def write(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def matrix(z):
    names = [AMYGDALAE[0], "lh_cuneus", *CINGULATES, AMYGDALAE[1]]
    values = np.full((5, 5), 9.0)
    for row in (0, 4):
        for column in (2, 3):
            values[row, column] = values[column, row] = z
    values[0, 2] = values[2, 0] = z + 0.4
    np.fill_diagonal(values, np.nan)
    return pd.DataFrame(values, columns=names)


def test_growing_regions_are_on_both_sides():
    assert recovery.planted_regions() == [
        "lh_hippocampus",
        "lh_amygdala",
        "rh_hippocampus",
        "rh_amygdala",
    ]


def test_the_edge_set_is_the_mean_of_its_four_edges():
    assert recovery.edge_set_mean(matrix(0.2)) == pytest.approx(0.3)


def test_connectivity_changes_from_pre_to_post(tmp_path):
    truth = pd.DataFrame(
        {
            "participant_id": ["sub-01", "sub-01", "sub-02"],
            "session_id": ["ses-post", "ses-pre", "ses-pre"],
            "population_z": [0.5, 0.1, 0.2],
        }
    )
    write(truth, tmp_path / "truth/connectivity.tsv")
    for session, z in (("pre", 0.1), ("post", 0.35)):
        name = f"sub-01_ses-{session}_task-rest_relmat.tsv"
        write(matrix(z), tmp_path / f"out/sub-01/ses-{session}/func/{name}")
    table = recovery.compare_connectivity(tmp_path / "truth", tmp_path / "out")
    assert list(table["participant_id"]) == ["sub-01"]
    assert table["planted"][0] == pytest.approx(0.4)
    assert table["recovered"][0] == pytest.approx(0.25)


def test_volumes_are_compared_region_by_region(tmp_path):
    truth = pd.DataFrame(
        {
            "participant_id": "sub-01",
            "region": AMYGDALAE,
            "percent_change": [4.0, 5.0],
        }
    )
    write(truth, tmp_path / "truth/volumes.tsv")
    change = pd.DataFrame(
        {
            "participant_id": "sub-01",
            "measure": ["deformation", "mean_connectivity", "deformation", "volume"],
            "region": [AMYGDALAE[1], AMYGDALAE[1], AMYGDALAE[0], AMYGDALAE[0]],
            "percent_change": [3.0, np.nan, 2.0, 9.0],
        }
    )
    write(change, tmp_path / "out/group/change.tsv")
    table = recovery.compare_volumes(tmp_path / "truth", tmp_path / "out")
    assert list(table["name"]) == AMYGDALAE
    assert list(table["planted"]) == [4.0, 5.0]
    assert list(table["recovered"]) == [2.0, 3.0]


def test_model_rows_are_those_of_the_volume_of_planted_regions(tmp_path):
    columns = ["model", "measure", "region"]
    rows = [("change", "deformation", name) for name in ("lh_cuneus", "lh_amygdala")]
    rows.append(("change", "volume", "lh_amygdala"))
    rows.append(("change", "mean_connectivity", "lh_amygdala"))
    write(pd.DataFrame(rows, columns=columns), tmp_path / "group/models/change.tsv")
    symptoms = pd.DataFrame([("symptoms_BDI", "deformation", "rh_amygdala")], columns=columns)
    write(symptoms, tmp_path / "group/models/symptoms_BDI.tsv")
    edges = pd.DataFrame([("change", "connectivity", None)], columns=columns)
    write(edges, tmp_path / "group/models/change_edges.tsv")
    found = recovery.model_rows(tmp_path)
    assert list(found["model"]) == ["change", "symptoms_BDI"]
    assert list(found["region"]) == ["lh_amygdala", "rh_amygdala"]
