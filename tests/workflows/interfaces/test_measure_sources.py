"""Measures of several tools together, as the first node of the group level."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.readers.records import SourceRequest
from workflows.interfaces.group_tables import load_table
from workflows.interfaces.measure_sources import CollectSources, collect_sources

HEADER = "participant_id\tsession_id\tmodality\tmeasure\tatlas\tregion\tvalue\tunit"
ROW = "{}\t{}\tT1w\tthickness\tDK\tlh_cuneus\t{}\tmm"
MATRIX = np.array([[1, 0.1, 0.2], [0.1, 1, -0.3], [0.2, -0.3, 1]])
ALL = SourceRequest()


@pytest.fixture
def table(tmp_path):
    def make(name, *rows):
        path = tmp_path / name
        path.write_text("\n".join([HEADER, *(ROW.format(*row) for row in rows)]) + "\n")
        return ("table", str(path))

    return make


@pytest.fixture
def connectivity(tmp_path):
    def make(atlas="A", sessions=("pre", "post"), lost=""):
        for session in sessions:
            frame = pd.DataFrame(MATRIX, columns=list("abc"), index=list("abc"))
            if session == lost:
                frame.loc["a"] = frame["a"] = np.nan
            stem = f"sub-01_ses-{session}_task-rest_seg-{atlas}_stat-pearsoncorrelation_relmat"
            path = tmp_path / "xcpd" / f"{stem}.tsv"
            path.parent.mkdir(exist_ok=True)
            frame.to_csv(path, sep="\t", index_label="Node", na_rep="n/a")
        return ("xcpd", str(tmp_path / "xcpd"))

    return make


def texts(found):
    return "\n".join(f"{p.where}: {p.what}; {p.what_to_do}" for p in found.problems)


def test_sources_are_put_together_and_the_first_one_holds(table):
    sources = [
        table("a.tsv", ("01", "pre", 2.0)),
        table("b.tsv", ("01", "pre", 3.0), ("02", "pre", 4.0)),
    ]
    found, _ = collect_sources(sources, ALL)
    assert found.measures["value"].tolist() == [2, 4]
    assert "1 values come from two sources (thickness)" in texts(found)


def test_a_source_that_cannot_be_read_is_told_and_the_others_go_on(table, tmp_path):
    sources = [("mriqc", str(tmp_path / "no")), table("a.tsv", ("01", "pre", 2.0))]
    found, _ = collect_sources(sources, ALL)
    assert found.measures["value"].tolist() == [2]
    assert "there is nothing there" in texts(found)


def test_no_source_that_can_be_read_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="nothing there"):
        collect_sources([("mriqc", str(tmp_path / "no"))], ALL)
    with pytest.raises(SettingsError, match="did you mean 'mriqc'"):
        collect_sources([("mricq", str(tmp_path))], ALL)


def test_mean_connectivity_counts_only_regions_seen_in_every_session(connectivity):
    found, atlas = collect_sources([connectivity(lost="post")], ALL)
    assert atlas == "A"
    means = found.measures.query("measure == 'mean_connectivity'")
    rows = means.set_index(["session_id", "region"])["value"]
    assert rows["pre", "b"] == rows["post", "b"] == pytest.approx(np.arctanh(-0.3))
    assert np.isnan(rows["post", "a"])
    assert set(means["unit"]) == {"z"}


def test_networks_in_the_names_of_regions_give_their_means(tmp_path):
    names = ["LH_Vis_1", "LH_Cont_1", "RH_Vis_1"]
    frame = pd.DataFrame(MATRIX, columns=names, index=names)
    stem = "sub-01_ses-pre_task-rest_seg-4S_stat-pearsoncorrelation_relmat"
    (tmp_path / "xcpd").mkdir()
    frame.to_csv(tmp_path / "xcpd" / f"{stem}.tsv", sep="\t", index_label="Node")
    found, _ = collect_sources([("xcpd", str(tmp_path / "xcpd"))], ALL)
    values = found.measures.set_index(["measure", "region"])["value"]
    z = np.arctanh(frame.to_numpy()[[0, 0, 1], [2, 1, 2]])
    assert values["within_network", "Vis"] == pytest.approx(z[0])
    assert values["between_network", "Vis-Cont"] == pytest.approx((z[1] + z[2]) / 2)


def test_the_edges_of_the_wanted_atlas_are_taken(connectivity):
    connectivity("A")
    source = connectivity("B", sessions=("pre",))
    found, atlas = collect_sources([source], ALL)
    assert (atlas, len(found.scans)) == ("A", 2)
    assert "the edges of A are tested" in texts(found)
    found, atlas = collect_sources([source], ALL, "B")
    assert (atlas, len(found.scans)) == ("B", 1)
    assert set(found.measures["atlas"]) == {"A", "B"}


def test_the_node_writes_what_the_group_level_reads(connectivity, table, tmp_path, monkeypatch):
    sources = [table("a.tsv", ("01", "post", 2.5), ("01", "pre", 2.0)), connectivity()]
    folder = tmp_path / "node"
    folder.mkdir()
    monkeypatch.chdir(folder)
    node = CollectSources(
        sources=sources,
        bids_dir=str(tmp_path),
        session_order=["pre", "post"],
        interval_days=[70.0],
        request={"participants": ("01",)},
    )
    outputs = node.run(cwd=str(folder)).outputs
    measures, visits = load_table(outputs.measures_file), load_table(outputs.visits_file)
    assert measures.query("measure == 'thickness'")["value"].tolist() == [2.5, 2.0]
    days = visits.set_index(["session_id", "modality"])["days_from_baseline"]
    assert days["post", "bold"] == days["post", "T1w"] == 70
    assert days["pre", "T1w"] == 0
    edges, values = load_table(outputs.edges_file), np.load(outputs.connectivity_file)
    assert edges[["region_a", "region_b", "atlas"]].values.tolist()[2] == ["b", "c", "A"]
    assert values[:, 2] == pytest.approx(np.arctanh([-0.3, -0.3]))
    assert len(load_table(outputs.scans_file)) == 2


def run(tmp_path, monkeypatch, **inputs):
    folder = tmp_path / "node"
    folder.mkdir()
    monkeypatch.chdir(folder)
    node = CollectSources(bids_dir=str(tmp_path), session_order=["pre", "post"], **inputs)
    outputs = node.run(cwd=str(folder)).outputs
    files = (outputs.measures_file, outputs.visits_file, outputs.problems_file)
    return tuple(load_table(file) for file in files)


def test_without_any_source_the_tables_are_empty_with_their_columns(tmp_path, monkeypatch):
    measures, visits, problems = run(tmp_path, monkeypatch, sources=[])
    assert len(measures) == len(visits) == len(problems) == 0
    assert {"participant_id", "value", "qc"} <= set(measures.columns)
    assert {"participant_id", "status", "days_from_baseline"} <= set(visits.columns)


def test_a_doubled_prefix_is_read_once_and_told(table, tmp_path, monkeypatch):
    source = table("a.tsv", ("sub-sub-01", "pre", 2.0), ("sub-02", "pre", 3.0))
    measures, _, problems = run(tmp_path, monkeypatch, sources=[source])
    assert measures["participant_id"].tolist() == ["01", "02"]
    assert "sub-sub-01" in problems["what"].iloc[0]


def test_a_scan_without_any_value_is_missing_and_not_forgotten(table, tmp_path, monkeypatch):
    source = table("a.tsv", ("01", "pre", 2.0), ("01", "post", "n/a"))
    _, visits, _ = run(tmp_path, monkeypatch, sources=[source])
    found = visits.set_index("session_id")[["status", "reason"]].T.to_dict("list")
    assert found == {"pre": ["used", ""], "post": ["missing", "all of its values are missing"]}


def test_own_derivatives_come_first_and_sources_are_added(table, tmp_path, monkeypatch):
    anat = tmp_path / "out" / "sub-01" / "ses-pre" / "anat"
    anat.mkdir(parents=True)
    stem = "sub-01_ses-pre"
    volume = anat / f"{stem}_atlas-DK_desc-volume_morph.tsv"
    columns = ("region", "structure", "volume", "deformation", "residual")
    header = [*columns, "volume_standard_error", "deformation_standard_error"]
    row = ["lh_cuneus", "cortex", "7", "8", "1", "n/a", "n/a"]
    volume.write_text("\t".join(header) + "\n" + "\t".join(row) + "\n")
    lines = anat / f"{stem}_atlas-DK_desc-thickness_morph.tsv"
    lines.write_text("region\tstructure\tthickness\nlh_cuneus\tcortex\t2.1\n")
    tissue = anat / f"{stem}_desc-tissue_morph.tsv"
    tissue.write_text("measure\tvalue\ngm_ml\t600\n")
    ledger = tmp_path / "out" / "ledger.tsv"
    header = "participant_id\tsession_id\tmodality\trun\tstatus\treason\tdays_from_baseline"
    rows = [f"sub-01\tses-pre\tT1w\t{stem}_T1w\tused\tn/a\t0"]
    rows.append("sub-01\tses-post\tT1w\tsub-01_ses-post_T1w\texcluded\tblurred\t70")
    ledger.write_text("\n".join([header, *rows, ""]))
    measures, visits, _ = run(
        tmp_path,
        monkeypatch,
        sources=[table("a.tsv", ("01", "pre", 2.0), ("01", "post", 2.5), ("02", "pre", 3.0))],
        ledger_file=str(ledger),
        derivative_files=[str(volume), str(lines), str(tissue)],
        atlas="DK",
    )
    first = measures.query("participant_id == '01' and region == 'lh_cuneus'")
    names = first[["session_id", "measure", "value"]].to_numpy().tolist()
    own = [["pre", "deformation", 8], ["pre", "volume", 7], ["pre", "thickness", 2.1]]
    assert names == [*own, ["post", "thickness", 2.5]]
    status = visits.set_index(["participant_id", "session_id"])["status"]
    assert status.to_dict() == {
        ("01", "pre"): "used",
        ("01", "post"): "used",
        ("02", "pre"): "used",
    }
