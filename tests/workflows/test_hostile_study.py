"""A study whose names and files want to do harm."""

import os
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml

from bids_utils.derivatives import read_table, write_json, write_table, write_text
from workflows.cli import main
from workflows.interfaces.participant_page import write_page

TAG = "\"><img src=x onerror=alert(1)></td><script>alert(2)</script>{{7*7}}'`$(id)`"
CLIMB = "../../../evil"
ESCAPE = "\x1b]0;owned\x07[/red]\u202e"
FORMULA = "=cmd|' /C calc'!A0"


class Elements(HTMLParser):
    """Elements of a page with their attributes, and the scripts in it."""

    def __init__(self):
        super().__init__()
        self.found, self.scripts, self._type = [], [], None

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self._type = dict(attributes).get("type", "") if tag == "script" else None

    def handle_data(self, data):
        if self._type is not None:
            self.scripts.append((self._type, data))
            self._type = None


def check_words_are_words(page):
    """Nothing in a page runs, loads, was computed or hides because hostile words ask for it."""
    elements = Elements()
    elements.feed(page)
    attributes = [name for _, own in elements.found for name in own]
    assert not [name for name in attributes if name.startswith("on")]
    assert all(own.get("src", "data:").startswith("data:") for _, own in elements.found)
    assert sum(kind == "" for kind, _ in elements.scripts) == 1
    assert not any(kind == "" and "alert(2)" in text for kind, text in elements.scripts)
    assert "49'`" not in page
    assert not {"\x1b", "\u202e"} & set(page)


@pytest.fixture
def study(tmp_path):
    """Folder with a dataset of 24 people whose ids, arms, scores and regions are hostile."""
    generator = np.random.default_rng(1)
    people = [f"sub-{n:02d}" for n in range(22)] + [f"sub-{CLIMB}", f"sub-{ESCAPE}x"]
    score = f"BDI{TAG}"
    table = pd.DataFrame({"participant_id": people, "group": [f"A{TAG}", FORMULA] * 12})
    for session, mean in (("pre", 30), ("post", 20)):
        table[f"{score}_ses-{session}"] = np.round(mean + 5 * generator.standard_normal(24))
    table["comment"] = f"Erika Mustermann, 1980-02-03 {TAG}"
    bids = tmp_path / "in" / "bids"
    write_json({"Name": TAG, "BIDSVersion": "1.10.0"}, bids / "dataset_description.json")
    table.to_csv(bids / "participants.tsv", sep="\t", index=False, quoting=3, escapechar="\\")
    rows = [
        (person, f"ses-{session}", "volume", f"{atlas}", f"{region}", generator.normal(5))
        for person in people
        for session in ("pre", "post")
        for atlas in (CLIMB, TAG)
        for region in (TAG, f"b{ESCAPE}", FORMULA)
    ]
    columns = ["participant_id", "session_id", "measure", "atlas", "region", "value"]
    measures = pd.DataFrame(rows, columns=columns)
    measures.to_csv(tmp_path / "in" / "m.tsv", sep="\t", index=False, quoting=3, escapechar="\\")
    settings = {
        "sessions": {"order": ["pre", "post"], "interval_days": [84]},
        "group": {
            "arm_column": "group",
            "scores": [{"name": score}],
            "correction": {"n_permutations": 20},
        },
    }
    (tmp_path / "in" / "s.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True))
    return tmp_path


@pytest.fixture
def results(study, capsys):
    """Folder, and what was printed, of the group level."""
    before = set(study.rglob("*"))
    places = [str(study / "in" / "bids"), str(study / "a" / "b" / "c" / "out"), "group"]
    options = [
        "--measures",
        str(study / "in" / "m.tsv"),
        "--settings",
        str(study / "in" / "s.yaml"),
    ]
    code = main([*places, *options])
    printed = capsys.readouterr()
    assert code in (0, 10), printed.err
    new = set(study.rglob("*")) - before
    return study / "a" / "b" / "c" / "out", printed.out + printed.err, new


@pytest.mark.slow
def test_a_hostile_study_is_analysed_without_harm(results):
    out, printed, new = results
    allowed = [out, *out.parents]
    assert [path for path in new if out not in path.parents and path not in allowed] == []
    assert not any("evil" in str(path) for path in out.rglob("*"))
    assert "\x1b]" not in printed
    assert "\u202e" not in printed
    page = (out / "group" / "report.html").read_text(encoding="utf-8")
    check_words_are_words(page)
    assert "&lt;script&gt;alert(2)" in page
    assert "Mustermann" not in page


@pytest.mark.slow
def test_tables_of_a_hostile_study_hold_no_formulas_and_no_free_text(results):
    out, _, _ = results
    for path in out.rglob("*.tsv"):
        text = path.read_text(encoding="utf-8")
        assert "Mustermann" not in text
        assert not any(cell.startswith(("=", "@")) for cell in text.replace("\n", "\t").split("\t"))
    flow = read_table(out / "group" / "flow.tsv", ["arm"])
    assert f"'{FORMULA}" in set(flow["arm"])


def test_the_page_of_a_participant_shows_hostile_words_as_words(tmp_path):
    rows = [
        {
            "participant_id": "sub-01",
            "session_id": f"ses-{session}",
            "modality": "T1w",
            "run": f"sub-01_ses-{session}_T1w",
            "status": "used",
            "reason": f"{TAG} {ESCAPE}",
            "days_from_baseline": days,
            "scanner": f"{TAG} Trio",
        }
        for session, days in (("pre", 0.0), ("post", 80.0))
    ]
    write_table(pd.DataFrame(rows), tmp_path / "ledger.tsv")
    for session, volume in (("pre", 5.0), ("post", 5.5)):
        stem = f"sub-01_ses-{session}"
        regions = {"index": [1, 2], "name": [TAG, FORMULA], "structure": "cortex"}
        table = pd.DataFrame(regions | {"volume": volume})
        place = tmp_path / "sub-01" / f"ses-{session}" / "anat"
        write_table(table, place / f"{stem}_atlas-A_desc-volume_morph.tsv")
    write_text(f"# Methods\n\n{TAG} {ESCAPE}\n", tmp_path / "logs" / "CITATION.md")
    page = write_page(tmp_path, "01", [f"{TAG}: cannot be read"]).read_text(encoding="utf-8")
    check_words_are_words(page)
    assert page.count("&lt;script&gt;alert(2)") >= 6


@pytest.fixture
def images(make_dataset):
    """Return a function that makes a dataset of two people and two sessions."""

    def make(**more):
        names = [
            f"sub-{person}/ses-{session}/anat/sub-{person}_ses-{session}_T1w.nii.gz"
            for person in ("01", "02")
            for session in ("pre", "post")
        ]
        return make_dataset({**dict.fromkeys(names, ""), **more})

    return make


def plan(root, tmp_path, settings="sessions: {order: [pre, post]}"):
    (tmp_path / "s.yaml").write_text(settings)
    words = [str(root), str(tmp_path / "out"), "plan", "--settings", str(tmp_path / "s.yaml")]
    return main([*words, "--skip-bids-validation"])


def test_ids_that_climb_out_of_the_dataset_are_rows_of_the_ledger_and_no_paths(images, tmp_path):
    table = f"participant_id\nsub-01\nsub-02\n{CLIMB}\n/etc/passwd\n"
    plan(images(**{"participants.tsv": table}), tmp_path)
    ledger = read_table(tmp_path / "out" / "ledger.tsv")
    assert {"sub-01", "sub-02", f"sub-{CLIMB}", "sub-/etc/passwd"} == set(ledger["participant_id"])
    assert {path.name for path in tmp_path.iterdir()} == {"bids", "out", "s.yaml"}
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"ledger.tsv"}


def test_links_that_run_in_circles_and_pipes_leave_the_others_alone(images, tmp_path, capsys):
    root = images()
    (root / "sub-01" / "sub-01").symlink_to(root / "sub-01")
    (root / "sub-03").symlink_to("sub-03")
    (root / "sub-01" / "ses-pre" / "anat" / "loop").symlink_to("..")
    os.mkfifo(root / "sub-02" / "ses-pre" / "anat" / "sub-02_ses-pre_acq-x_T1w.nii.gz")
    os.mkfifo(root / "sub-02" / "ses-pre" / "anat" / "sub-02_ses-pre_acq-x_T1w.json")
    (root / "T1w.json").symlink_to("/dev/zero")
    plan(root, tmp_path)
    ledger = read_table(tmp_path / "out" / "ledger.tsv")
    assert set(ledger["participant_id"]) == {"sub-01", "sub-02"}
    assert "the file is empty" in " ".join(ledger["reason"].astype(str))


@pytest.mark.parametrize("label", ["../../x", "/etc", "sub-", "a/b", "x" * 5000, "\x1b[2J"])
def test_labels_on_the_command_line_that_nobody_has_are_refused(images, tmp_path, capsys, label):
    root = images()
    words = [str(root), str(tmp_path / "out"), "plan", "--skip-bids-validation"]
    assert main([*words, "--participant-label", label]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../evil", "/tmp/x", "a b", "", ".", "a\nb", "é"])
@pytest.mark.parametrize("part", ["models: [{name: %s}]", "processes: [{name: %s}]"])
def test_names_that_become_files_hold_letters_digits_and_hyphens_only(
    images, tmp_path, capsys, name, part
):
    group = part.replace("%s", yaml.safe_dump(name, allow_unicode=True).split("\n...")[0].strip())
    assert plan(images(), tmp_path, f"group: {{{group}}}") == 2
    assert "name: String should match" in capsys.readouterr().err


def test_a_task_that_climbs_out_of_the_dataset_is_no_task(images, tmp_path, capsys):
    settings = "sessions: {order: [pre, post]}\nfunc: {tasks: [{task: ../../x}]}"
    assert plan(images(), tmp_path, settings) in (0, 2, 3, 11)
    assert not any(path.name == "x" for path in tmp_path.rglob("*"))
