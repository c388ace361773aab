"""The site builds without a warning, asks nothing of the network and loses no page."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from markdown_blocks import REPOSITORY

DOCS = REPOSITORY / "docs"
needs_sphinx = pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None, reason="needs pip install .[docs]"
)
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
NOT_LOADED = {"canonical", "next", "prev", "search", "index", "author"}


class PageReader(HTMLParser):
    """What a page loads, where it leads, and the places in it."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        if fields.get("id"):
            self.places.add(fields["id"])
        if tag == "a" and fields.get("href"):
            self.links.append(fields["href"])
        if tag in LOADED and fields.get(LOADED[tag]) and fields.get("rel") not in NOT_LOADED:
            self.loaded.append(fields[LOADED[tag]])


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the built site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", "-b", "html"]
    done = subprocess.run(
        [*command, str(DOCS), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site):
    return {
        file.relative_to(site).as_posix(): PageReader(file.read_text(encoding="utf-8"))
        for file in site.rglob("*.html")
    }


@needs_sphinx
def test_each_page_is_built_and_can_be_reached_from_the_first(pages):
    sources = {f"{file.stem}.html" for file in DOCS.glob("*.md")}
    assert sources <= set(pages)
    reached = {urlsplit(link).path for link in pages["index.html"].links}
    assert sources <= reached | {"index.html"}


@needs_sphinx
def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, page in pages.items():
        for address in page.loaded:
            assert not urlsplit(address).netloc, f"{name} loads {address}"
    for file in site.rglob("*.css"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", text), file


@needs_sphinx
def test_each_link_within_the_site_leads_to_a_place(site, pages):
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            assert target.is_file(), f"{name}: {link}"
            key = target.resolve().relative_to(site.resolve()).as_posix()
            if parts.fragment and key in pages:
                places = pages[key].places
                assert unquote(parts.fragment) in places, f"{name}: {link}"


@needs_sphinx
def test_formulas_are_mathml(site):
    text = (site / "methods.html").read_text(encoding="utf-8")
    assert text.count("<math") > 15
    assert "$$" not in text
