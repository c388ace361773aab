"""What a reader can do: sort, search, switch, turn the brain, point, rate, save."""

import base64
import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bids_utils.derivatives import read_table
from bids_utils.exclusions import read_exclusions, unmatched

pytestmark = pytest.mark.browser


def column(page, table, heading):
    """Texts of a column of a table."""
    return page.evaluate(
        """([id, heading]) => {
          const t = document.getElementById(id);
          const i = [...t.tHead.rows[0].cells].findIndex((c) => c.textContent.trim() === heading);
          const rows = [...t.tBodies[0].rows].filter((r) => !r.hidden);
          return rows.map((r) => r.cells[i].textContent.trim());
        }""",
        [table, heading],
    )


def model_of(page):
    """Name of the first model of regions under All results, and the id of its table."""
    title = page.locator("#tables ~ details summary b", has_text=re.compile("^change$"))
    return title.locator("xpath=ancestor::details").locator("table").get_attribute("id")


def saved(page, act):
    with page.expect_download() as download:
        act()
    return download.value


def pixels(locator):
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)


def test_a_table_is_sorted_by_number_and_back(opened, group_file):
    page, _ = opened(group_file, unfolded=True)
    table = model_of(page)
    head = page.locator(f"#{table} th", has_text=re.compile("^estimate$"))
    for direction, sign in (("ascending", 1), ("descending", -1)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == direction
        values = [float(text) for text in column(page, table, "estimate") if text != "n/a"]
        assert len(values) > 5
        assert values == sorted(values, key=lambda value: sign * value)


def test_a_table_is_searched_and_says_how_many_rows_are_left(opened, group_file):
    page, _ = opened(group_file, unfolded=True)
    table = model_of(page)
    page.fill(f'input[data-table="{table}"]', "HIPPOCAMPUS")
    found = column(page, table, "region")
    assert found
    assert all("hippocampus" in region for region in found)
    said = page.locator(f'[data-count="{table}"]').text_content()
    assert said == f"{len(found)} rows"


def test_sessions_are_switched_by_radio_and_by_the_button(opened, person_file):
    page, _ = opened(person_file)
    views = page.locator(".sessions .view")
    shown = lambda: [views.nth(k).is_visible() for k in range(2)]  # noqa: E731
    assert shown() == [True, False]
    page.check("#show2")
    assert shown() == [False, True]
    page.emulate_media(reduced_motion="reduce")
    page.click("#flicker")
    assert shown() == [True, False]


@pytest.fixture(params=["group", "person"])
def brain(request, opened, group_file, person_file):
    page, _ = opened(group_file if request.param == "group" else person_file)
    box = page.locator(".brain").first
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    return page, box


def test_the_brain_is_drawn_and_turns_by_key_button_and_drag(brain):
    page, box = brain
    canvas = box.locator("canvas")
    canvas.focus()
    before = pixels(canvas)
    assert before.std() > 10

    def turned(act):
        nonlocal before
        act()
        page.wait_for_timeout(300)
        after = pixels(canvas)
        share = (np.abs(after - before).sum(axis=2) > 30).mean()
        before = after
        return share

    def drag():
        place = canvas.bounding_box()
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 80, y + 20, steps=4)
        page.mouse.up()

    assert turned(lambda: page.keyboard.press("ArrowRight")) > 0.02
    assert turned(lambda: box.get_by_role("button", name="above").click()) > 0.1
    assert turned(drag) > 0.05
    assert turned(lambda: box.get_by_label("Show", exact=True).select_option("deep")) > 0.1
    assert turned(lambda: page.wait_for_timeout(50)) < 0.01


def test_left_of_the_brain_seen_from_the_left_has_the_front_at_the_left(brain):
    page, box = brain
    box.get_by_role("button", name="left", exact=True).click()
    page.wait_for_timeout(200)
    assert box.locator(".side").all_text_contents() == ["A", "P"]
    box.get_by_role("button", name="above").click()
    page.wait_for_timeout(200)
    assert box.locator(".side").all_text_contents() == ["L", "R"]
    box.get_by_role("button", name="front").click()
    page.wait_for_timeout(200)
    assert box.locator(".side").all_text_contents() == ["R", "L"]


def test_the_brain_tells_the_region_under_the_pointer(brain):
    page, box = brain
    box.get_by_role("button", name="above").click()
    page.wait_for_timeout(400)
    place = box.locator("canvas").bounding_box()
    regions = set(box.get_by_label("Region", exact=True).locator("option").all_text_contents())
    for side, shares in (("lh_", (0.37, 0.44, 0.48)), ("rh_", (0.52, 0.56, 0.63))):
        told = set()
        for x in shares:
            for y in np.linspace(0.15, 0.85, 8):
                page.mouse.move(place["x"] + x * place["width"], place["y"] + y * place["height"])
                told.add(box.locator("output").text_content().partition(":")[0])
        assert told & regions
        assert all(name.startswith(side) for name in told & regions)


def test_a_region_of_the_brain_has_the_estimate_of_the_table(opened, group_file):
    page, _ = opened(group_file)
    box = page.locator(".brain").first
    title = box.locator("p").first.text_content()
    told = {}
    for name in box.get_by_label("Region", exact=True).locator("option").all_text_contents()[1:]:
        box.get_by_label("Region", exact=True).select_option(name)
        told[name] = float(box.locator("output").text_content().partition(": ")[2].split()[0])
    numbers = box.locator("xpath=ancestor::figure").locator("a[download]").first
    table = downloaded(numbers, group_file)
    expected = table.dropna(subset=["estimate"]).set_index("region")["estimate"]
    assert title.startswith("change in")
    assert len(told) >= 10
    for name, value in told.items():
        assert value == pytest.approx(expected[name], rel=0.006)


def downloaded(link, page_file):
    """Table behind a link, inside the page or beside it."""
    address = link.get_attribute("href")
    if address.startswith("data:"):
        text = base64.b64decode(address.partition("base64,")[2]).decode()
    else:
        text = (page_file.parent / address).read_text(encoding="utf-8")
    return pd.read_csv(io.StringIO(text), sep="\t", na_values="n/a", quoting=csv.QUOTE_NONE)


def test_every_picture_has_its_numbers(opened, any_file):
    page, _ = opened(any_file)
    without = page.locator("figure:has(img):not(:has(a[download]))").count()
    assert without == 0
    links = page.locator("figure a[download]")
    for k in range(links.count()):
        assert len(downloaded(links.nth(k), any_file)) > 0


def test_numbers_behind_a_forest_are_those_of_the_model_to_the_last_digit(opened, group_file):
    page, _ = opened(group_file)
    link = page.locator("#regions ~ div.pictures a[download]").last
    got = downloaded(link, group_file)
    file = group_file.parent / "models" / f"{got['model'].iloc[0]}.tsv"
    expected = pd.read_csv(file, sep="\t", na_values="n/a", quoting=csv.QUOTE_NONE)
    expected = expected[expected["family"] == got["family"].iloc[0]]
    expected = expected.set_index(["region", "term"])
    for row in got.itertuples():
        own = expected.loc[(row.region, row.term)]
        assert (own["estimate"], own["ci_low"], own["p_fdr"]) == (
            row.estimate,
            row.ci_low,
            row.p_fdr,
        )


def test_numbers_are_saved_as_a_file(opened, group_file, tmp_path):
    page, _ = opened(group_file)
    link = page.locator('figure a[download][href^="data:"]').first
    download = saved(page, link.click)
    assert download.suggested_filename == link.get_attribute("download")
    download.save_as(tmp_path / "numbers.tsv")
    assert len(read_table(tmp_path / "numbers.tsv")) == len(downloaded(link, group_file))


def test_values_of_a_forest_are_told_by_arrow_keys_and_by_pointer(opened, group_file):
    page, _ = opened(group_file)
    frame = page.locator("#regions ~ div.pictures .pointed").last
    frame.focus()
    page.keyboard.press("ArrowDown")
    first = frame.locator(".tip").text_content()
    assert re.match(r"\S+: [+−]\d.*\[.*\], n = \d+", first)
    page.keyboard.press("ArrowDown")
    assert frame.locator(".tip").text_content() != first
    page.keyboard.press("ArrowUp")
    assert frame.locator(".tip").text_content() == first
    ring = frame.locator(".ring").bounding_box()
    page.mouse.move(5, 5)
    page.mouse.move(ring["x"] + 11, ring["y"] + 8)
    assert frame.locator(".tip").text_content() == first
    page.keyboard.press("Escape")
    assert not frame.locator(".tip").is_visible()


def test_cells_of_a_matrix_are_those_of_its_file(opened, out, person_file):
    page, _ = opened(person_file)
    frame = page.locator('.pointed:has(img[alt*="matrix of Fisher z"])').first
    frame.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    told = frame.locator(".tip").text_content()
    row, column_name, value = re.match(r"(\S+) – (\S+): (-?[\d.e-]+) Fisher z", told).groups()
    (path, *_) = sorted((out / "sub-01" / "ses-pre" / "func").glob("*pearson*_relmat.tsv"))
    matrix = read_table(path)
    matrix.index = matrix.columns
    assert float(value) == pytest.approx(matrix.loc[row, column_name], rel=0.006)


def rate(page, row, rating, reason=""):
    line = page.locator("#ratings tbody tr").nth(row)
    line.locator("select").select_option(rating)
    line.locator("input").fill(reason)


def test_a_rating_becomes_a_list_that_the_program_reads(opened, out, person_file, tmp_path):
    page, _ = opened(person_file)
    rate(page, 1, "exclude", "moved\ta lot\n in the end")
    rate(page, 2, "good")
    rate(page, 3, "exclude", "=1+1")
    download = saved(page, page.get_by_role("button", name="Save the exclude list").click)
    assert download.suggested_filename == "sub-01_exclude.tsv"
    download.save_as(tmp_path / "exclude.tsv")
    found = read_exclusions(tmp_path / "exclude.tsv")
    assert [(row.participant, row.modality) for row in found] == [("01", "bold"), ("01", "bold")]
    assert [row.session for row in found] == ["pre", "post"]
    assert found[0].reason == "moved a lot in the end"
    assert found[1].reason == "'=1+1"
    ledger = read_table(out / "ledger.tsv", text_columns=("run", "reason", "status"))
    assert unmatched(found, ledger) == ()


def test_ratings_are_kept_and_the_group_shows_all_of_them(
    opened, group_file, person_file, tmp_path
):
    page, _ = opened(person_file)
    rate(page, 0, "exclude", "blurred")
    rate(page, 1, "unsure")
    rate(page, 2, "exclude")
    page.reload()
    assert page.locator("#ratings select").first.input_value() == "exclude"
    assert page.locator("#ratings input").first.input_value() == "blurred"
    assert "3 of 4 images rated, 2 to exclude." in page.locator("#save").text_content()
    page.goto(group_file.as_uri())
    row = page.locator('table[data-key="index"] tr', has_text="sub-01")
    assert row.locator("td").last.text_content() == "1 unsure, 2 exclude"
    download = saved(page, page.locator("#collect").get_by_text("Save the exclude list").click)
    download.save_as(tmp_path / "exclude.tsv")
    found = read_exclusions(tmp_path / "exclude.tsv")
    assert [(row.participant, row.session, row.reason) for row in found] == [
        ("01", "pre", "blurred"),
        ("01", "post", "rated exclude after looking at the pictures"),
    ]


def test_ratings_of_other_browsers_are_read_into_the_group(
    opened, group_file, person_file, tmp_path
):
    page, _ = opened(person_file)
    rate(page, 0, "good", "sharp")
    rate(page, 1, "exclude", "<b>hurt</b>")
    saved(page, page.get_by_text("Save all ratings").click).save_as(tmp_path / "ratings.tsv")
    (tmp_path / "other.tsv").write_text("a\tb\n1\t2\n")
    elsewhere, seen = opened(group_file)
    row = elsewhere.locator('table[data-key="index"] tr', has_text="sub-01").locator("td").last
    assert row.text_content() == "not rated"
    files = elsewhere.locator("#collect input[type=file]")
    files.set_input_files([tmp_path / "ratings.tsv", tmp_path / "other.tsv"])
    elsewhere.wait_for_function(
        "document.querySelector('#collect').textContent.includes('2 images')"
    )
    assert row.text_content() == "1 good, 1 exclude"
    assert "Not a list of ratings: other.tsv." in elsewhere.locator("#collect").text_content()
    download = saved(elsewhere, elsewhere.get_by_text("Save the exclude list").click)
    download.save_as(tmp_path / "exclude.tsv")
    assert [row.reason for row in read_exclusions(tmp_path / "exclude.tsv")] == ["<b>hurt</b>"]
    assert seen.said == []


def test_people_lead_to_their_pages(opened, group_file):
    page, _ = opened(group_file)
    page.locator('table[data-key="index"] a', has_text="sub-01").click()
    assert page.locator("h1").text_content() == "sub-01"


def test_the_methods_are_copied_as_text(opened, group_file):
    page, _ = opened(group_file, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the text").click()
    page.wait_for_function("document.querySelector('[data-copy] + span').textContent !== ''")
    assert page.locator("[data-copy] + span").text_content() in (
        "Copied.",
        "The text is selected: copy it with Ctrl+C.",
    )
    assert "Benjamini" in page.locator("#methodstext").text_content()
    assert "**" not in page.locator("#methodstext").text_content()


def test_a_dot_of_the_quality_picture_names_its_scan_and_opens_the_page(opened, group_file):
    page, _ = opened(group_file)
    frame = page.locator('.pointed:has(img[alt^="Robust z of every"])')
    frame.focus()
    for _ in range(60):
        page.keyboard.press("ArrowDown")
        told = frame.locator(".tip").text_content()
        if told.startswith("sub-01 "):
            break
    assert re.match(r"sub-01 ses-\w+: \w+.* -?[\d.e-]+, robust z -?[\d.]+", told)
    page.keyboard.press("Enter")
    page.wait_for_url("**/sub-01.html")
    assert page.locator("h1").text_content() == "sub-01"
