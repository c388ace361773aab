"""The page of a participant: pictures in time order, each in words for who cannot see it."""

import base64
import io
import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bids_utils.derivatives import write_table
from bids_utils.names import parse_name
from workflows.drawing.canvas import blank_figure, save_png
from workflows.drawing.hover import add_spots
from workflows.interfaces.participant_page import CAPTIONS, ledger_of, write_page

# A PNG of one black pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001487a07a90000000049454e44ae426082"
)


@pytest.fixture
def page(tmp_path):
    """Write the page of a participant with these sessions in time order."""

    def write(*sessions):
        rows = [f"sub-01\tses-{s}\tT1w\tused\tn/a\tA\t{30 * n}" for n, s in enumerate(sessions)]
        head = "participant_id\tsession_id\tmodality\tstatus\treason\tscanner\tdays_from_baseline"
        (tmp_path / "ledger.tsv").write_text("\n".join([head, *rows]) + "\n")
        figures = tmp_path / "sub-01" / "figures"
        figures.mkdir(parents=True)
        names = [f"ses-{s}_desc-session" for s in sessions] + ["desc-thickness", "desc-mask"]
        for desc in ("volumechange", "thicknesschange"):
            names += [f"ses-{s}_desc-{desc}" for s in sessions[1:]]
        for name in names:
            (figures / f"sub-01_{name}_T1w.png").write_bytes(PIXEL)
        return write_page(tmp_path, "01").read_text(encoding="utf-8")

    return write


def test_changes_are_shown_in_time_order_volume_before_thickness(page):
    shown = page("pre", "post", "fu")
    titles = re.findall(r"<h3>(ses-\w+): Change of (\w+ ?\w*) since", shown)
    assert titles == [
        ("ses-post", "volume"),
        ("ses-fu", "volume"),
        ("ses-post", "cortical thickness"),
        ("ses-fu", "cortical thickness"),
    ]


def test_a_single_session_has_neither_change_nor_a_button_to_switch(page):
    shown = page("pre")
    assert 'id="change"' not in shown
    assert '<button class="plain" type="button" id="flicker"' not in shown
    assert CAPTIONS["thickness"].title in shown


def test_sessions_to_switch_between_are_in_time_order(page):
    shown = page("pre", "post")
    labels = re.findall(r'id="show(\d)"(?: checked)?> (ses-\w+)', shown)
    assert labels == [("1", "ses-pre"), ("2", "ses-post")]


def test_every_picture_is_told_in_words(page):
    shown = page("pre", "post")
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', shown)
    assert len(alts) == len(re.findall("<img ", shown)) == 6
    assert f"ses-post: {CAPTIONS['volumechange'].shows}" in alts
    assert f"T1w: {CAPTIONS['thickness'].shows}" in alts


def test_the_page_loads_nothing_from_elsewhere(page):
    shown = page("pre", "post")
    assert re.findall(r' (?:src|href)="(?!data:|#)[^"]*"', shown) == []


@pytest.fixture
def bold_page(tmp_path):
    """Page of two sessions with a task in one and two runs, and the change between them."""
    rows = [f"sub-01\tses-{s}\tbold\tused\tn/a\tA\t{d}" for s, d in (("pre", 0), ("post", 9))]
    head = "participant_id\tsession_id\tmodality\tstatus\treason\tscanner\tdays_from_baseline"
    (tmp_path / "ledger.tsv").write_text("\n".join([head, *rows]) + "\n")
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir(parents=True)
    runs = ["ses-pre_task-rest", "ses-post_task-rest_run-1", "ses-post_task-rest_run-2"]
    names = [f"{run}_desc-{desc}" for run in runs for desc in ("motion", "edges", "carpet")]
    names += [f"ses-{s}_task-rest_desc-{d}" for s in ("pre", "post") for d in ("seeds",)]
    names += [f"ses-post_task-rest_desc-{d}" for d in ("connectomechange", "connectivitychange")]
    for name in names:
        (figures / f"sub-01_{name}_bold.png").write_bytes(PIXEL)
    minutes = (6.0, 4.2, 3.0)
    for run, value, reason in zip(runs, minutes, (None, None, "asleep"), strict=True):
        session = parse_name(f"sub-01_{run}_bold.nii.gz").get("ses")
        folder = tmp_path / "sub-01" / f"ses-{session}" / "func"
        used = {"usable": "false" if reason else "true", "reason": reason}
        table = pd.DataFrame([{"clean_minutes": value, "flip_cost_ratio": 1.1} | used])
        write_table(table, folder / f"sub-01_{run}_desc-qc_bold.tsv")
    return write_page(tmp_path, "01").read_text(encoding="utf-8")


def test_runs_are_in_time_order_with_their_pictures_and_changes_stand_apart(bold_page):
    titles = re.findall(r"<h[23][^>]*>([^<]+)</h", bold_page)
    start = titles.index("BOLD: ses-pre task-rest")
    assert titles[start : start + 5] == [
        "BOLD: ses-pre task-rest",
        *(CAPTIONS[desc].title for desc in ("edges", "motion", "carpet", "seeds")),
    ]
    runs = [title for title in titles if title.startswith("BOLD:")]
    assert runs[0] == "BOLD: ses-pre task-rest"
    assert sorted(runs[1:]) == [
        "BOLD: ses-post task-rest",
        "BOLD: ses-post task-rest run-1",
        "BOLD: ses-post task-rest run-2",
    ]
    change = titles.index("Change")
    assert titles[change + 1 : change + 3] == [
        f"ses-post task-rest: {CAPTIONS[desc].title}"
        for desc in ("connectivitychange", "connectomechange")
    ]


def test_what_is_not_plausible_in_a_run_is_said_at_its_pictures(bold_page):
    notes = re.findall(r'<p class="note" role="note"><b>Note:</b> ([^<]+)</p>', bold_page)
    flip = "flip_cost_ratio 1.1, above 1"
    expected = [flip, "clean_minutes 4.2, below 5", flip]
    expected += ["not used: asleep", "clean_minutes 3, below 5", flip]
    assert notes == expected
    section = bold_page.partition("BOLD: ses-post task-rest run-1</h2>")[2]
    assert "clean_minutes 4.2, below 5" in section.partition("</section>")[0]


def ledger_text(*sessions):
    head = "participant_id\tsession_id\tmodality\trun\tstatus\treason"
    rows = [f"sub-01\tses-{s}\tT1w\tsub-01_ses-{s}_T1w\tused\tn/a" for s in sessions]
    return "\n".join([head, *rows]) + "\n"


def test_a_job_for_one_person_shows_the_sessions_of_its_own_ledger(tmp_path):
    own = tmp_path / "logs" / "sub-01" / "ledger.tsv"
    own.parent.mkdir(parents=True)
    own.write_text(ledger_text("pre", "post"))
    assert ledger_of(tmp_path, "01")["session_id"].tolist() == ["ses-pre", "ses-post"]
    assert "2 of 2 images used" in write_page(tmp_path, "01").read_text(encoding="utf-8")


def test_the_ledger_that_was_written_last_counts(tmp_path):
    whole, own = tmp_path / "ledger.tsv", tmp_path / "logs" / "sub-01" / "ledger.tsv"
    own.parent.mkdir(parents=True)
    whole.write_text(ledger_text("pre"))
    own.write_text(ledger_text("pre", "post"))
    os.utime(whole, (1000, 1000))
    os.utime(own, (2000, 2000))
    assert len(ledger_of(tmp_path, "01")) == 2
    os.utime(whole, (3000, 3000))
    assert len(ledger_of(tmp_path, "01")) == 1


def test_each_used_image_can_be_rated_by_the_name_the_exclude_list_knows(tmp_path):
    (tmp_path / "ledger.tsv").write_text(ledger_text("pre", "post").replace("used", "missing", 1))
    shown = write_page(tmp_path, "01").read_text(encoding="utf-8")
    rows = re.findall(
        r'<tr data-participant="([^"]*)" data-session="([^"]*)" '
        r'data-modality="([^"]*)" data-run="([^"]*)"',
        shown,
    )
    assert rows == [("sub-01", "ses-post", "T1w", "sub-01_ses-post_T1w")]


def test_numbers_behind_a_picture_are_those_of_its_run(tmp_path):
    (tmp_path / "ledger.tsv").write_text(ledger_text("1", "10"))
    folder = tmp_path / "sub-01"
    for session in ("1", "10"):
        start = f"sub-01_ses-{session}_task-rest"
        func = folder / f"ses-{session}" / "func"
        write_table(pd.DataFrame({"fd": [0.5]}), func / f"{start}_desc-confounds_timeseries.tsv")
    (folder / "figures").mkdir()
    (folder / "figures" / "sub-01_ses-1_task-rest_desc-motion_bold.png").write_bytes(PIXEL)
    shown = write_page(tmp_path, "01").read_text(encoding="utf-8")
    names = re.findall(r'download="([^"]*timeseries.tsv)"', shown)
    assert names == ["sub-01_ses-1_task-rest_desc-confounds_timeseries.tsv"]


def test_what_a_picture_says_is_read_from_its_file(tmp_path):
    figure = blank_figure(1, 1)
    add_spots(figure.subplots(), [0.5], [0.5], ["volume 3 </script>: 0.2 mm"])
    (tmp_path / "ledger.tsv").write_text(ledger_text("pre"))
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir(parents=True)
    save_png(figure, figures / "sub-01_ses-pre_task-rest_desc-motion_bold.png")
    shown = write_page(tmp_path, "01").read_text(encoding="utf-8")
    (told,) = re.findall(r'<script type="application/json">(.*?)</script>', shown)
    assert json.loads(told)["spots"][0][2] == "volume 3 </script>: 0.2 mm"


def test_numbers_of_all_sessions_are_in_time_order(tmp_path):
    (tmp_path / "ledger.tsv").write_text(ledger_text("pre", "fu"))
    folder = tmp_path / "sub-01"
    for session in ("fu", "pre"):
        name = f"sub-01_ses-{session}_atlas-A_desc-volume_morph.tsv"
        write_table(pd.DataFrame({"region": ["a"]}), folder / f"ses-{session}" / "anat" / name)
    (folder / "figures").mkdir()
    (folder / "figures" / "sub-01_desc-atlas_T1w.png").write_bytes(PIXEL)
    shown = write_page(tmp_path, "01").read_text(encoding="utf-8")
    assert re.findall(r'download="sub-01_ses-(\w+)_atlas', shown) == ["pre", "fu"]


def test_a_page_with_many_large_pictures_stays_under_ten_megabytes(tmp_path):
    (tmp_path / "ledger.tsv").write_text(ledger_text("pre"))
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir(parents=True)
    noise = np.random.default_rng(3).normal(120, 12, (520, 1100)).clip(0, 255).astype(np.uint8)
    for run in range(20):
        name = f"sub-01_ses-pre_task-rest_run-{run}_desc-edges_bold.png"
        Image.fromarray(noise).save(figures / name)
    page = write_page(tmp_path, "01")
    assert sum(file.stat().st_size for file in figures.iterdir()) > 8e6
    assert page.stat().st_size < 10e6
    source = re.search(r'src="data:image/webp;base64,([^"]*)"', page.read_text(encoding="utf-8"))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.group(1)))).convert("L"))
    assert np.corrcoef(shown.ravel(), noise.ravel())[0, 1] > 0.9


def test_what_stands_out_is_told_in_the_order_of_time(page, tmp_path):
    page("pre", "post")
    for session in ("post", "pre"):
        name = f"sub-01_ses-{session}_task-rest_desc-qc_bold.tsv"
        table = pd.DataFrame({"usable": ["false"], "reason": [f"dark {session}"]})
        write_table(table, tmp_path / "sub-01" / f"ses-{session}" / "func" / name)
    text = write_page(tmp_path, "01").read_text(encoding="utf-8")
    told = re.findall(r"<li>(ses-\w+) task-rest: not used", text)
    assert told == ["ses-pre", "ses-post"]
