"""Sites at the group level: refused, harmonised, or left as they are."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from workflows.interfaces.group_tables import load_table, save_table
from workflows.interfaces.sites import HarmoniseSites

KEYS = ["participant_id", "session_id", "modality"]
PEOPLE = [f"{number:02d}" for number in range(1, 25)]
REGIONS = [f"r{number}" for number in range(8)]


@pytest.fixture
def study(tmp_path):
    """24 people at two sites; site B measures 3 ml more and twice as widely, CBT grows by 1 ml."""
    rng = np.random.default_rng(5)
    site = np.array(["A", "B"] * 12)
    arm = np.repeat(["CBT", "WL"], 12)
    people = {"participant_id": [f"sub-{p}" for p in PEOPLE], "site": site, "group": arm}
    write_table(pd.DataFrame(people), tmp_path / "bids" / "participants.tsv")
    rows = []
    for place, label in enumerate(PEOPLE):
        own = rng.normal(0, 1, len(REGIONS))
        for session in ("pre", "post"):
            grown = 1.0 * (session == "post" and arm[place] == "CBT")
            noise = rng.normal(0, 0.3, len(REGIONS)) * (1 + (site[place] == "B"))
            values = 10 + own + grown + noise + 3 * (site[place] == "B")
            scan = (label, session, "T1w")
            rows += [
                (*scan, "volume", "DK", r, v, "ml", "ok")
                for r, v in zip(REGIONS, values, strict=True)
            ]
            rows.append((*scan, "cat12_iqr", "", "brain", 80.0 + place, "mark", "ok"))
    names = [*KEYS, "measure", "atlas", "region", "value", "unit", "qc"]
    measures = pd.DataFrame(rows, columns=names)
    visits = measures[KEYS].drop_duplicates().assign(days_from_baseline=0.0, status="used")
    return tmp_path, measures, visits.assign(reason="")


def run(study, monkeypatch, **inputs):
    folder, measures, visits = study
    (folder / "node").mkdir()
    monkeypatch.chdir(folder / "node")
    node = HarmoniseSites(
        measures_file=save_table(measures, folder / "m.tsv"),
        visits_file=save_table(visits, folder / "v.tsv"),
        bids_dir=str(folder / "bids"),
        session_order=["pre", "post"],
        column="site",
        arm_column="group",
        **inputs,
    )
    return node.run(cwd=str(folder / "node")).outputs


def with_edges(study):
    """The same values as edges of the scans, in another order of scans."""
    folder, measures, visits = study
    volume = measures[measures["measure"] == "volume"]
    table = volume.pivot_table(index=KEYS, columns="region", values="value", sort=False)
    table = table.iloc[::-1]
    np.save(folder / "connectivity_DK.npy", table.to_numpy())
    scans = save_table(table.reset_index()[KEYS], folder / "s.tsv")
    return {"connectivity_file": str(folder / "connectivity_DK.npy"), "scans_file": scans}


def volumes(file):
    table = load_table(file).query("measure == 'volume'")
    return table.pivot_table(index="participant_id", columns=["session_id", "region"],
                             values="value", dropna=False)  # fmt: skip


def site_gap(table, session="pre"):
    at_b = np.arange(len(table)) % 2 == 1
    return float(table[session][at_b].mean().mean() - table[session][~at_b].mean().mean())


def test_combat_takes_the_sites_away_and_keeps_the_change_of_the_arms(study, monkeypatch):
    outputs = run(study, monkeypatch, method="combat", **with_edges(study))
    before, after = volumes(outputs.raw_files), volumes(outputs.measures_file)
    assert site_gap(before) > 2
    assert abs(site_gap(after)) < 0.25
    change = (after["post"] - after["pre"]).mean(axis=1)
    assert change[:12].mean() - change[12:].mean() == pytest.approx(1.0, abs=0.2)
    assert len(load_table(outputs.problems_file)) == 0


def test_combat_keeps_how_much_change_varies(study, monkeypatch):
    outputs = run(study, monkeypatch, method="combat")

    def variance(file):
        change = volumes(file)["post"] - volumes(file)["pre"]
        return change.groupby(np.repeat(["CBT", "WL"], 12)).var().to_numpy().mean()

    before, after = variance(outputs.raw_files), variance(outputs.measures_file)
    assert after == pytest.approx(before, rel=0.15)


def test_edges_are_harmonised_like_regions_and_kept_in_their_rows(study, monkeypatch):
    outputs = run(study, monkeypatch, method="combat", **with_edges(study))
    edges = np.load(outputs.connectivity_file)
    assert edges.dtype == np.float32
    last = volumes(outputs.measures_file).loc["24", "post"][REGIONS].to_numpy()
    np.testing.assert_allclose(edges[0], last, rtol=1e-6)


def test_measures_of_quality_are_not_harmonised(study, monkeypatch):
    outputs = run(study, monkeypatch, method="combat")
    quality = load_table(outputs.measures_file).query("measure == 'cat12_iqr'")
    np.testing.assert_array_equal(quality["value"], np.repeat(80.0 + np.arange(24), 2))


def test_people_without_a_site_are_left_out_and_counted(study, monkeypatch):
    table = pd.read_csv(study[0] / "bids" / "participants.tsv", sep="\t")
    table.loc[0, "site"] = None
    write_table(table, study[0] / "bids" / "participants.tsv")
    outputs = run(study, monkeypatch, method="combat")
    after = volumes(outputs.measures_file)
    assert after.loc["01"].isna().all()
    assert after.loc["02":].notna().all(axis=None)
    problems = load_table(outputs.problems_file)
    assert problems["what"].tolist()[0].startswith("2 scans without site")
    assert problems["where"].tolist() == ["sub-01"]


@pytest.mark.parametrize("method", ["covariate", "combat"])
def test_a_site_that_is_an_arm_is_told_with_the_cross_table(study, monkeypatch, method):
    table = pd.read_csv(study[0] / "bids" / "participants.tsv", sep="\t")
    table["site"] = np.where(table["group"] == "CBT", "A", "B")
    write_table(table, study[0] / "bids" / "participants.tsv")
    outputs = run(study, monkeypatch, method=method)
    what = load_table(outputs.problems_file)["what"].tolist()[0]
    assert "participants in A: CBT 12, WL 0; B: CBT 0, WL 12" in what
    lost = load_table(outputs.measures_file).query("measure == 'volume'")["value"].isna()
    assert lost.all() == (method == "combat")


def test_a_scanner_that_is_a_session_is_refused_unless_sites_are_left_alone(study, monkeypatch):
    folder, _, visits = study
    ledger = visits.assign(scanner=np.where(visits["session_id"] == "pre", "old", "new"))
    ledger_file = save_table(ledger, folder / "ledger.tsv")
    outputs = run(study, monkeypatch, method="covariate", ledger_file=ledger_file)
    problem = load_table(outputs.problems_file).iloc[0]
    assert "scans in pre: old 24, new 0; post: old 0, new 24" in problem["what"]
    assert "group.sites.method: none" in problem["what_to_do"]
    assert load_table(outputs.measures_file).query("measure == 'volume'")["value"].isna().all()


def test_a_site_per_session_comes_from_the_sessions_files(study, monkeypatch):
    folder = study[0] / "bids"
    for label in PEOPLE:
        text = "session_id\tsite\nses-pre\tA\nses-post\tB\n"
        (folder / f"sub-{label}").mkdir()
        (folder / f"sub-{label}" / f"sub-{label}_sessions.tsv").write_text(text, encoding="utf-8")
    outputs = run(study, monkeypatch, method="covariate")
    assert "cannot be told apart" in load_table(outputs.problems_file)["what"].iloc[0]


def test_a_misspelt_site_column_is_told_with_the_nearest_name(study, monkeypatch):
    node = {"method": "covariate"}
    folder, measures, visits = study
    monkeypatch.chdir(folder)
    made = HarmoniseSites(
        measures_file=save_table(measures, folder / "m.tsv"),
        visits_file=save_table(visits, folder / "v.tsv"),
        bids_dir=str(folder / "bids"),
        column="sites",
        **node,
    ).run(cwd=str(folder))
    problem = load_table(made.outputs.problems_file).iloc[0]
    assert problem["what"] == "no column 'sites' (group.sites.column)"
    assert "did you mean 'site'?" in problem["what_to_do"]
