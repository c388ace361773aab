"""Links of the Markdown lead to files and headings, also where the pages are read as Markdown."""

import re

import pytest
from markdown_blocks import REPOSITORY, pages

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*)$", re.MULTILINE)
GENERATED = {"settings.md", "columns.md", "known.md", "command.md"}


def anchor(heading):
    """Anchor of a heading, as the code host and the site make it."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
    return kept.strip().replace(" ", "-")


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.M | re.S))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_each_local_link_leads_somewhere(page):
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        path, _, place = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.is_file(), f"{page.name}: {target}"
        assert file.resolve().is_relative_to(REPOSITORY), target
        if place and file.suffix == ".md" and file.name not in GENERATED:
            headings = HEADING.findall(file.read_text(encoding="utf-8"))
            assert place in {anchor(text) for text in headings}, f"{page.name}: {target}"
