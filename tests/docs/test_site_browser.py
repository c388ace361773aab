"""The built site in Chromium, without a network: no errors, nothing asked from elsewhere."""

import subprocess
import sys

import pytest
from markdown_blocks import REPOSITORY

pytestmark = pytest.mark.browser
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    docs = str(REPOSITORY / "docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", docs, str(folder)]
    subprocess.run(command, check=True)
    return folder


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_load_whole_and_fit_the_screen(built, chromium, size, scheme):
    context = chromium.new_context(offline=True, viewport=size, color_scheme=scheme)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    for file in sorted(built.glob("*.html")):
        page.goto(file.as_uri())
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{file.name} is {width} wide"
        broken = "Array.from(document.images).filter(i => !i.complete || !i.naturalWidth).length"
        assert page.evaluate(broken) == 0, file.name
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert said == []
    context.close()


def test_the_search_finds_a_setting(built, chromium):
    context = chromium.new_context(offline=True, viewport=DESKTOP)
    page = context.new_page()
    page.goto((built / "search.html").as_uri() + "?q=rescan")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    found = page.locator("#search-results li a").all_inner_texts()
    assert any("setting" in text.lower() for text in found)
    context.close()
