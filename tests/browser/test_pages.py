"""Both pages in Chromium: complete, quiet, readable in light, dark, print and on a phone."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}}
BROKEN = "[...document.images].filter((i) => !i.complete || i.naturalWidth === 0).length"
AXE = "axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)"


def test_the_page_asks_for_nothing_but_itself_and_has_no_errors(opened, any_file):
    page, seen = opened(any_file, unfolded=True)
    page.mouse.wheel(0, 20000)
    page.wait_for_timeout(300)
    outside = [url for url in seen.asked if not url.startswith(("data:", "blob:"))]
    assert outside == [any_file.as_uri()]
    assert seen.said == []


def test_all_pictures_are_decoded_and_told_in_words(opened, any_file):
    page, _ = opened(any_file)
    assert page.locator("img").count() >= 3
    assert page.evaluate(BROKEN) == 0
    assert all(
        len(words) > 10
        for words in page.locator("img").evaluate_all("all => all.map((i) => i.alt)")
    )


def test_a_page_is_smaller_than_ten_megabytes(any_file):
    assert any_file.stat().st_size < 10e6


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"]
)
def test_no_rule_of_axe_is_broken(opened, any_file, options):
    axe = os.environ.get("BRAINDELTA_AXE")
    if not axe:
        pytest.skip("BRAINDELTA_AXE does not name axe.min.js; see .ci/browser")
    page, _ = opened(any_file, unfolded=True, **options)
    page.wait_for_timeout(300)
    page.evaluate(Path(axe).read_text(encoding="utf-8"))
    broken = page.evaluate(AXE)
    assert [(rule["id"], rule["nodes"][0]["html"][:150]) for rule in broken] == []


def test_dark_paper_is_dark_and_the_choice_is_kept(opened, any_file):
    page, _ = opened(any_file, color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.select_option("#theme", "dark")
    assert page.evaluate(paper) == "rgb(20, 24, 28)"
    page.reload()
    assert page.evaluate(paper) == "rgb(20, 24, 28)"
    page.select_option("#theme", "")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == "rgb(20, 24, 28)"


def test_nothing_is_wider_than_a_phone(opened, any_file):
    page, _ = opened(any_file, unfolded=True, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_print_is_black_on_white_without_controls(opened, any_file):
    page, _ = opened(any_file, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert page.locator(".tools:visible").count() == 0
    assert page.locator("img:visible").count() >= 3
    assert len(page.pdf()) > 50_000


def test_headings_go_down_one_step_at_a_time(opened, any_file):
    page, _ = opened(any_file)
    names = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all("all => all.map((h) => h.tagName)")
    levels = [int(name[1]) for name in names]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_everything_is_there_without_scripts_and_no_dead_control(opened, any_file):
    page, _ = opened(any_file, java_script_enabled=False)
    assert page.locator("img").count() >= 3
    for control in (".brain", "#theme", ".tools", "[data-copy]", "#flicker"):
        assert page.locator(f"{control}:visible").count() == 0


def test_the_first_tab_leads_past_the_menu(opened, any_file):
    page, _ = opened(any_file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")


def test_a_script_of_somebody_else_does_not_run(opened, any_file):
    page, _ = opened(any_file)
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hurt = 1';"
        " document.body.append(s); document.body.insertAdjacentHTML('beforeend',"
        " '<img src=x onerror=\"window.hurt = 2\">'); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.hurt") is None
