"""Bad input at the group level: told with its place and what to do, and the others still run."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from workflows.cli import main

PEOPLE = [f"sub-{number:02d}" for number in range(1, 25)]
SESSIONS = ("pre", "post")
REGIONS = ("amygdala", "hippocampus", "putamen")
NAMES = ["participant_id", "session_id", "modality", "measure", "region", "value", "unit"]
BDI = {"name": "BDI", "scale": "BDI-II"}
VOLUME = {"measure": "volume", "region": "amygdala"}
SAME = {"name": "SAME", "role": "process"}


@dataclass(frozen=True)
class Run:
    """Exit code, what was printed on one line, and the folder of the results."""

    code: int
    text: str
    group: object

    def table(self, name):
        return read_table(self.group / f"{name}.tsv")

    def told(self, where, *words, kind="problem"):
        """Whether one row of the problems is about a place and has all words."""
        rows = self.table("problems").query("kind == @kind and where == @where")
        rows = rows[["what", "what_to_do"]].apply(lambda row: "; ".join(row.astype(str)), axis=1)
        return any(all(word in text for word in words) for text in rows)


def people():
    """Two arms of twelve, one person in an arm of their own, and columns nothing can use."""
    rng, n = np.random.default_rng(3), len(PEOPLE)
    table = pd.DataFrame({"participant_id": PEOPLE, "group": ["CBT", "WL"] * (n // 2)})
    table["age"] = rng.normal(40, 10, n).round(1)
    table["age_months"] = 12 * table["age"]
    table["therapist"] = [f"T{number}" for number in range(n)]
    table["sleep"] = np.where(np.arange(n) % 4 < 2, rng.normal(7, 1, n).round(1), np.nan)
    table["few"] = np.where(np.arange(n) < 5, np.arange(n), np.nan)
    for session in SESSIONS:
        table[f"BDI_ses-{session}"] = rng.normal(30, 5, n).round().astype(object)
        table[f"GAF_ses-{session}"] = rng.normal(60, 5, n).round()
    return table


def measures(regions=REGIONS):
    rng, rows = np.random.default_rng(5), []
    for who in PEOPLE:
        base = rng.normal(10, 1, len(regions))
        for session in SESSIONS:
            values = base + rng.normal(0, 0.2, len(regions))
            rows += [
                (who, f"ses-{session}", "T1w", "volume", region, value, "ml")
                for region, value in zip(regions, values, strict=True)
            ]
    return pd.DataFrame(rows, columns=NAMES)


def other_regions(table):
    """A region that is the same for all, one nobody has, one that swings within people."""
    own = table[table["region"] == "amygdala"]
    rng = np.random.default_rng(1)
    swing = own["participant_id"].map(dict(zip(PEOPLE, rng.normal(0, 1, 24), strict=True)))
    swing = 5 + np.where(own["session_id"] == "ses-pre", swing, -swing)
    swing += rng.normal(0, 0.1, len(own))
    return [
        own.assign(region="still", value=4.0),
        own.assign(region="unseen", value=np.nan),
        own.assign(region="swing", value=swing),
    ]


def questionnaire(followup="ses-post", last=()):
    """Lines of a phenotype file: a score at both sessions and at one nobody was scanned at."""
    lines = ["participant_id\tsession_id\tPHQ"]
    for place, who in enumerate(PEOPLE):
        lines += [f"{who}\tses-pre\t{15 + place % 7}", f"{who}\t{followup}\t{8 + place % 5}"]
    return "\n".join([*lines, *last, ""])


def settings(**group):
    sessions = {"order": list(SESSIONS), "interval_days": [70]}
    sessions |= {"moments": {"pre": "before", "post": "after"}}
    common = {"arm_column": "group", "reference_arm": "WL", "scores": [BDI]}
    return {
        "sessions": sessions,
        "group": common | {"correction": {"n_permutations": 9}} | group,
    }


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Return a function that runs the group level on tables."""

    def call(capsys, made, participants=None, scores=None, sources=()):
        folder = tmp_path_factory.mktemp("bad")
        (folder / "bids" / "phenotype").mkdir(parents=True)
        if participants is not None:
            write_table(participants, folder / "bids" / "participants.tsv")
        for name, text in (scores or {}).items():
            (folder / "bids" / "phenotype" / name).write_bytes(text)
        options = ["--settings", str(folder / "s.yaml")]
        for name, table in sources:
            write_table(table, folder / name)
            options += ["--measures", str(folder / name)]
        (folder / "s.yaml").write_text(json.dumps(made), encoding="utf-8")
        options += [] if sources else ["--scores-only"]
        with pytest.MonkeyPatch.context() as patch:
            # The page of these cohorts is tested elsewhere and takes longer than their models.
            patch.setattr("workflows.run.write_group_report", lambda folder: folder)
            code = main([str(folder / "bids"), str(folder / "out"), "group", *options])
        printed = capsys.readouterr()
        text = " ".join((printed.out + printed.err).split())
        return Run(code, text, folder / "out" / "group")

    return call


@pytest.fixture(scope="module")
def quiet(request):
    """Captured output for a fixture that serves the whole module."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    class Quiet:
        def readouterr(self):
            return capture.read_global_capture()

    return Quiet()


FAULTS = settings(
    covariates=["sleep"],
    scores=[BDI | {"role": "process"}, {"name": "PHQ"}, SAME, {"name": "GAFF", "role": "process"}],
    models=[
        {"name": "fine", "formula": "arm + age"},
        {"name": "collinear", "formula": "arm + age + age_months"},
        {"name": "crowded", "formula": "arm + therapist"},
        {"name": "unknown", "formula": "arm + agee"},
        {"name": "contrast", "contrasts": {"x": {"CBT": 1, "WLL": -1}}},
        {"name": "nowhere", "formula": "arm", "regions": ["amigdala"]},
    ],
    mechanisms=[
        {
            "name": "late",
            "mediators": [VOLUME | {"session": "post"}],
            "outcome": {"score": "PHQ", "session": "post"},
            "n_bootstraps": 100,
        },
        {
            "name": "undated",
            "mediators": [{"column": "age_months"}],
            "outcome": {"score": "PHQ", "session": "post"},
            "n_bootstraps": 100,
        },
        {
            "name": "misspelt",
            "mediators": [VOLUME | {"change": ["pre", "pots"]}],
            "outcome": {"score": "PHQ", "session": "post"},
        },
    ],
    predictions=[
        {
            "name": "small",
            "target": {"column": "few", "moment": "after"},
            "brain": [{"measure": "volume", "session": "pre"}],
        }
    ],
)


@pytest.fixture(scope="module")
def bad(call, quiet):
    """One run with many faults that do not touch each other."""
    made, faults = people(), json.loads(json.dumps(FAULTS))
    made.loc[0, "BDI_ses-pre"] = 99
    made.loc[1, "BDI_ses-pre"] = "n.d."
    made.loc[2, "BDI_ses-pre"] = "inf"
    made["SAME_ses-pre"] = made["SAME_ses-post"] = 10
    made.loc[24] = made.loc[0]
    made.loc[24, ["participant_id", "group", "BDI_ses-pre"]] = ["sub-25", "ODD", 20]
    volumes = measures()
    odd = volumes[volumes["participant_id"] == "sub-01"].assign(participant_id="sub-25")
    volumes = pd.concat([volumes, *other_regions(volumes), odd])
    late = (volumes["participant_id"] == "sub-06") & (volumes["session_id"] == "ses-pre")
    repeated = ["sub-03\tses-pre\t17", "sub-04\tses-pre\t3", "sub-05\tses-fu\t6"]
    faults["sessions"]["moments"]["pots"] = "after"
    return call(
        quiet,
        faults,
        made,
        {"phq.tsv": questionnaire(last=repeated).encode()},
        [("m.tsv", volumes[~late])],
    )


PLACES = [
    ("participants.tsv", "BDI_ses-pre of sub-01", "is 99, outside of the scale (0 to 63)", "n/a"),
    ("participants.tsv", "BDI_ses-pre of sub-02", "'n.d.', not a number", "correct it"),
    ("participants.tsv", "BDI_ses-pre of sub-03", "'inf', not a number", "correct it"),
    ("participants.tsv", "arm 'ODD' has one participant", "left out of the models"),
    ("phenotype/phq.tsv", "several rows for sub-03 in ses-pre", "equal values count once"),
    ("phenotype/phq.tsv", "PHQ of sub-04 in ses-pre has several values: 18 and 3", "not used"),
    ("group.scores", "no column 'GAFF' in participants.tsv", "did you mean 'GAF'?"),
    ("group.scores", "all 25 values of SAME in ses-pre are 10", "check the column"),
    ("score PHQ", "its reliability is not known", "give reliability (0 to 1) or scale"),
    ("sessions.moments", "nobody has a measure or a score of session 'pots'", "'post'"),
    ("model collinear: group.models", "'age_months'", "sum of the other terms", "age", "leave"),
    ("model crowded: group.models", "terms for 23 participants", "use fewer covariates"),
    ("model unknown: participants.tsv", "no column 'agee' (group.models)", "mean 'age'?"),
    ("model contrast: group.models", "'x': no participant with data in arm 'WLL'", "'WL'?"),
    ("model nowhere: measures, regions", "no region 'amigdala'", "'amygdala'?"),
    ("mechanism late", "volume amygdala at post", "reported as an association"),
    ("mechanism undated", "not known when 'age_months' was measured", "sessions.moments"),
    ("mechanism misspelt: settings of the variable", "no session 'pots'", "'post'?"),
    ("prediction small", "6 participants with outcome and predictors, 20 needed", "group results"),
]


@pytest.mark.parametrize("told", PLACES, ids=lambda told: f"{told[0]} {told[1]}")
def test_a_fault_is_told_with_its_place_and_what_to_do(bad, told):
    assert bad.told(*told), bad.table("problems").to_string()


def test_the_other_models_run_and_the_code_is_10(bad):
    assert bad.code == 10, bad.text
    fine = bad.table("models/fine").query("region == 'hippocampus'").iloc[0]
    assert (fine["n"], np.isfinite(fine["p"])) == (23, True)
    assert "problem: model unknown: participants.tsv: no column 'agee'" in bad.text
    names = {path.stem for path in (bad.group / "models").glob("*.tsv")}
    failed = {"collinear", "crowded", "unknown", "contrast", "nowhere", "mechanism_misspelt"}
    assert not names & {*failed, "prediction_small"}
    assert {"mechanism_late", "mechanism_undated", "mixed", "symptoms_PHQ"} <= names
    assert bad.table("models/mechanism_late")["label"].eq("association").all()


def test_regions_without_variation_or_values_keep_their_row_and_say_why(bad):
    rows = bad.table("models/fine").set_index("region")
    assert rows.loc["still", "note"] == "no variation between participants"
    assert rows.loc["unseen", "note"] == "not tested: 0 participants, 6 needed"
    assert rows.loc[["still", "unseen"], "p"].isna().all()
    mixed = bad.table("models/mixed").set_index("region")
    assert mixed.loc["swing", "note"].startswith("negative variance between people")
    assert np.isfinite(mixed.loc["swing", "p"])


def test_a_negative_variance_is_counted_in_a_note(bad):
    table = bad.table("problems").query("where == 'model mixed'")
    told = table[table["what"].str.contains("is negative in 1 test(s) of mixed: T1w", regex=False)]
    assert told["kind"].tolist() == ["note"]


def test_people_without_baseline_or_covariate_are_counted(bad):
    lost = bad.table("flow").query("step == 'not analysed' and arm == 'all'")
    lost = lost[lost["detail"] == "change: T1w volume"].set_index("reason")["n"]
    assert lost["sleep is unknown"] == 12
    assert lost["ses-pre: not found"] == 1
    n = bad.table("models/change").set_index("region").loc["amygdala", "n"]
    assert n + lost.sum() == 25


def test_a_session_that_no_scan_has_is_a_note(bad):
    assert bad.told("scores", "ses-fu has scores (PHQ) but no scan", kind="note")


RENAMED = {"sub-03": "sub-sub-03", "sub-04": "sub-4", "sub-05": "sub-P05"}
LATIN = "participant_id\tM\u00fcde\nsub-01\t3\n".encode("latin-1")
MISFITS = [
    ("participants.tsv", "Oslo: CBT 12, WL 0", "Bern: CBT 0, WL 12", "cannot be told apart"),
    ("participants.tsv", "'sub-4'", "probably 'sub-04' (leading zeros)", "write it the same"),
    ("participants.tsv", "'sub-P05'", "probably 'sub-05'", "letters before the number"),
    ("m.tsv", "participant_id: the prefix stands there twice (sub-sub-03)", "correct them"),
    ("sources (--derivatives)", "48 values come from two sources (volume)", "named first"),
    ("infinite.tsv, line 4", "'inf' is infinite", "write a number or n/a"),
    ("header.tsv", "there is no row", "correct the source"),
    ("phenotype/old.tsv", "not UTF-8", "scores of this file are not used"),
    ("scores", "no session 'Post' of PHQ", "write ses-post in the file"),
    ("model change: group.covariates", "'site[Oslo]'", "sum of the other terms"),
    ("model fine: exchangeability blocks", "who may be exchanged", "p_fwe is Holm's"),
]


def test_sites_names_and_sources_that_do_not_fit_are_told(call, capsys):
    volumes = measures().replace({"participant_id": RENAMED})
    again = measures(("putamen", "insula")).replace({"participant_id": RENAMED})
    infinite = measures(("caudate",))
    infinite.loc[2, "value"] = np.inf
    sources = [("m.tsv", volumes), ("again.tsv", again)]
    sources += [("infinite.tsv", infinite), ("header.tsv", volumes[:0])]
    made = people()
    made["site"] = made["group"].map({"CBT": "Oslo", "WL": "Bern"})
    asked = settings(
        sites={"column": "site"},
        scores=[BDI | {"role": "process"}, {"name": "PHQ", "scale": "PHQ-9"}],
        models=[{"name": "fine", "formula": "arm"}],
    )
    scores = {"phq.tsv": questionnaire("ses-Post").encode(), "old.tsv": LATIN}
    run = call(capsys, asked, made, scores, sources)
    assert run.code == 10, run.text
    for where, *words in MISFITS:
        place = str(run.group.parents[1] / where) if where.split(",")[0] in dict(sources) else where
        assert run.told(place, *words), (where, run.table("problems").to_string())
    fine = run.table("models/fine").set_index("region")
    assert (fine.loc["putamen", "n"], fine.loc["putamen", "fwe_method"]) == (22, "Holm")
    assert set(fine.index.dropna()) == {*REGIONS, "insula"}


def test_without_participants_the_outcomes_are_still_counted(call, capsys):
    score = {"name": "PHQ", "scale": "PHQ-9"}
    run = call(capsys, settings(scores=[score]), None, {"phq.tsv": questionnaire().encode()})
    assert run.code == 10, run.text
    assert run.told("participants.tsv", "not there", "with the column 'group'")
    assert len(run.table("outcomes")) == 24
    assert run.table("problems")["where"].tolist().count("participants.tsv") == 1


def test_a_table_with_a_header_only_ends_with_3(call, capsys):
    run = call(capsys, settings(), people(), {}, [("m.tsv", measures()[:0])])
    assert run.code == 3
    assert "m.tsv: there is no row of a wanted participant, session and measure" in run.text


def test_an_order_that_no_scan_has_ends_with_3(call, capsys):
    made = settings()
    made["sessions"] |= {"order": ["pre", "pots"], "moments": {}}
    run = call(capsys, made, people(), {}, [("m.tsv", measures())])
    assert run.code == 3
    assert "with: pre; without, or not in sessions.order: post" in run.text


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"scores": [{"name": "BDI", "scale": "BDI2"}]}, "'BDI2' is unknown; did you mean 'BDI'"),
        ({"compared": ["pre", "pots"]}, "compared: two sessions of order"),
    ],
)
def test_impossible_settings_end_with_2_before_anything_is_read(call, capsys, part, words):
    made = settings()
    made["sessions" if "compared" in part else "group"] |= part
    run = call(capsys, made, people())
    assert run.code == 2
    assert words in run.text
