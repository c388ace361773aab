"""Matrices, seeds and changes of connectivity: the right values on the right regions."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nipype.interfaces.base import isdefined

from bids_utils.derivatives import write_table
from workflows.interfaces import connectivity_figures
from workflows.interfaces.connectivity_figures import (
    ConnectivityChangeFigures,
    ConnectivityFigure,
    SeedFigure,
    change_of,
    read_matrix,
    seed_rows,
)

NAMES = ["lh_insula", "rh_insula", "lh_caudalanteriorcingulate", "rh_caudalanteriorcingulate"]
INDEX = [34, 82, 2, 50]
NETWORKS = ["b", "a", "b", "a"]
PRE = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
POST = [0.1, 0.9, 0.2, 0.4, 0.5, np.nan]


def matrix_of(edges):
    values = np.full((4, 4), np.nan)
    values[np.triu_indices(4, 1)] = edges
    return pd.DataFrame(np.fmax(values, values.T), columns=NAMES)


@pytest.fixture
def files(tmp_path):
    """Two sessions, an atlas of four cubes 20 mm apart along x, and its table."""
    for name, edges, freedom in (("pre", PRE, 27), ("post", POST, 52)):
        write_table(matrix_of(edges), tmp_path / f"{name}.tsv")
        (tmp_path / f"{name}.json").write_text(json.dumps({"DegreesOfFreedom": freedom}))
    table = pd.DataFrame({"index": INDEX, "name": NAMES, "network": NETWORKS})
    write_table(table, tmp_path / "labels.tsv")
    labels = np.zeros((40, 20, 20))
    for place, index in enumerate(INDEX):
        labels[10 * place + 3 : 10 * place + 6, 8:11, 8:11] = index
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-40, -20, -20)
    head = labels + 100
    for name, data in (("atlas", labels), ("head", head), ("dseg", labels > 0)):
        nib.Nifti1Image(data.astype(np.float32), affine).to_filename(tmp_path / f"{name}.nii")
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """What the drawing functions are given."""
    given = {}
    for name in ("region_matrix", "connections_on_brain", "painted_rows"):
        draw = getattr(connectivity_figures, name)
        monkeypatch.setattr(
            connectivity_figures,
            name,
            lambda *inputs, _name=name, _draw=draw: (
                given.setdefault(_name, inputs) and _draw(*inputs)
            ),
        )
    return given


def test_the_matrix_is_sorted_by_network_on_both_sides(files, drawn):
    node = ConnectivityFigure(
        relmat_file=str(files / "pre.tsv"), atlas_labels_file=str(files / "labels.tsv")
    )
    assert node.run(cwd=str(files)).outputs.out_file == str(files / "connectivity.png")
    values, names, unit, groups, _ = drawn["region_matrix"]
    assert names == [NAMES[0], NAMES[2], NAMES[1], NAMES[3]]
    assert (unit, groups) == ("Fisher z", ["b", "b", "a", "a"])
    # first row: left insula with left cingulate, right insula, right cingulate
    np.testing.assert_allclose(values[0], [np.nan, 0.2, 0.1, 0.3])
    np.testing.assert_allclose(values, values.T)


def test_without_a_table_the_order_stays(files, drawn):
    ConnectivityFigure(relmat_file=str(files / "pre.tsv")).run(cwd=str(files))
    _, names, _, groups, _ = drawn["region_matrix"]
    assert names == NAMES
    assert groups is None


def test_seeds_are_averaged_and_circuits_of_one_seed_share_a_row():
    matrix = matrix_of(PRE).set_axis(NAMES)
    left, right, one, other = NAMES
    circuits = {
        "x": ((left, right), (one,)),
        "y": ((left, right), (other,)),
        "z": ((one,), (left,)),
    }
    rows = seed_rows(matrix, circuits)
    assert list(rows) == ["lh_insula, rh_insula: x, y", "lh_caudalanteriorcingulate: z"]
    seed, values = rows["lh_insula, rh_insula: x, y"]
    assert seed == (left, right)
    # .2 and .4 to the left cingulate, .3 and .5 to the right one
    assert values.to_dict() == pytest.approx({one: 0.3, other: 0.4})
    ((none, mean),) = seed_rows(matrix, {}).values()
    assert none == ()
    assert mean[left] == pytest.approx((0.1 + 0.2 + 0.3) / 3)


def draw_seeds(files, relmat):
    """Run the node that draws the seeds of the salience circuit from a matrix."""
    SeedFigure(
        relmat_file=str(files / relmat),
        boldref_file=str(files / "head.nii"),
        bold_dseg_file=str(files / "dseg.nii"),
        bold_atlas_file=str(files / "atlas.nii"),
        atlas_labels_file=str(files / "labels.tsv"),
        atlas="DesikanKilliany",
        circuits=["salience"],
    ).run(cwd=str(files))


def test_seeds_of_the_circuits_of_the_atlas_are_painted_on_their_labels(files, drawn):
    draw_seeds(files, "pre.tsv")
    volume, rows, focus, _ = drawn["painted_rows"]
    paint = rows["lh_insula, rh_insula: salience"]
    assert paint.value_by_index == pytest.approx({2: 0.3, 50: 0.4})
    assert paint.marked == (34, 82)
    assert focus.sum() == 4 * 27
    # 4 mm around the brain
    assert volume.data[:, 0].max() == 0
    assert volume.data[3, 8, 8] == 134


def test_change_is_later_minus_first_with_the_error_of_both_sessions(files):
    sessions = [("pre", str(files / "pre.tsv")), ("post", str(files / "post.tsv"))]
    change, error = change_of(sessions)
    assert change.loc[NAMES[0], NAMES[2]] == pytest.approx(0.7)
    assert change.loc[NAMES[0], NAMES[3]] == pytest.approx(-0.1)
    assert np.isnan(change.loc[NAMES[2], NAMES[3]])
    assert error == pytest.approx(np.sqrt(1 / 25 + 1 / 50))
    back, same = change_of(sessions[::-1])
    pd.testing.assert_frame_equal(back, -change)
    assert same == pytest.approx(error)
    (files / "post.json").unlink()
    assert np.isnan(change_of(sessions)[1])


def test_the_largest_changes_join_the_centres_of_their_regions(files, drawn):
    node = ConnectivityChangeFigures(
        relmat_files=[str(files / "pre.tsv"), str(files / "post.tsv")],
        session_labels=["pre", "post"],
        atlas_file=str(files / "atlas.nii"),
        atlas_labels_file=str(files / "labels.tsv"),
    )
    found = node.run(cwd=str(files)).outputs
    assert found.matrix_files == str(files / "connectivity_post.png")
    assert found.brain_files == str(files / "connectome_post.png")
    edges, places, _, unit = drawn["connections_on_brain"]
    assert edges[0] == (0, 2, pytest.approx(0.7))
    assert edges[1] == (0, 3, pytest.approx(-0.1))
    np.testing.assert_allclose(places[:, 0], [-32, -12, 8, 28])
    assert unit == "change of Fisher z"
    title = drawn["region_matrix"][4]
    assert title == "ses-pre to ses-post: noise alone makes at least ±0.48 in one edge of twenty"


def test_one_session_has_no_change(files):
    node = ConnectivityChangeFigures(
        relmat_files=[str(files / "pre.tsv")],
        session_labels=["pre"],
        atlas_file=str(files / "atlas.nii"),
        atlas_labels_file=str(files / "labels.tsv"),
    )
    found = node.run(cwd=str(files)).outputs
    assert not isdefined(found.matrix_files)
    assert not isdefined(found.brain_files)


def test_a_region_without_coverage_keeps_its_row(files):
    matrix = matrix_of(PRE)
    matrix.loc[1] = np.nan
    matrix[NAMES[1]] = np.nan
    write_table(matrix, files / "lost.tsv")
    read = read_matrix(str(files / "lost.tsv"))
    assert list(read.index) == list(read.columns) == NAMES
    assert read[NAMES[1]].isna().all()


def test_a_run_without_usable_connectivity_has_pictures_without_values(files, drawn):
    write_table(matrix_of([np.nan] * 6), files / "none.tsv")
    draw_seeds(files, "none.tsv")
    (paint,) = drawn["painted_rows"][1].values()
    assert np.isnan(list(paint.value_by_index.values())).all()
    change = ConnectivityChangeFigures(
        relmat_files=[str(files / "pre.tsv"), str(files / "none.tsv")],
        session_labels=["pre", "post"],
        atlas_file=str(files / "atlas.nii"),
        atlas_labels_file=str(files / "labels.tsv"),
    )
    assert change.run(cwd=str(files)).outputs.brain_files == str(files / "connectome_post.png")
    assert drawn["connections_on_brain"][0] == []
