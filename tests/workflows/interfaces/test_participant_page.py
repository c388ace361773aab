"""The page of a participant: pictures in time order, each in words for who cannot see it."""

import re

import pytest

from workflows.interfaces.participant_page import CAPTIONS, write_page

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
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', shown) == []
