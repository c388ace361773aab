"""Each work that a page names by author and year is in the list of references."""

import re

import pytest
from markdown_blocks import REPOSITORY

from workflows.interfaces.group_columns import DESCRIPTIONS

DOCS = REPOSITORY / "docs"
CITED = re.compile(
    r"((?:[Vv]an )?[A-Z][\w'’-]+)"
    r"(?:,? (?:&|and) [A-Z][\w'’-]+|(?:,? et al\.))?,? \(?((?:19|20)\d\d)\b"
)
NOT_FIRST = {"Keele"}
LIST = (DOCS / "references.md").read_text(encoding="utf-8")
ENTRIES = [line for line in LIST.splitlines() if re.search(r"\((19|20)\d\d\)", line)]


def is_listed(author, year):
    return any(line.startswith(author) and f"({year})" in line for line in ENTRIES)


def cited(text):
    return {(author, year) for author, year in CITED.findall(text) if author not in NOT_FIRST}


@pytest.mark.parametrize("page", ["methods.md", "function.md", "atlases.md", "outputs.md"])
def test_each_citation_of_a_page_has_its_reference(page):
    text = " ".join((DOCS / page).read_text(encoding="utf-8").split())
    missing = {work for work in cited(text) if not is_listed(*work)}
    assert not missing


def test_each_citation_of_a_column_has_its_reference():
    missing = {work for text in DESCRIPTIONS.values() for work in cited(text)}
    assert {work for work in missing if not is_listed(*work)} == set()


def test_each_reference_of_the_methods_text_is_listed():
    text = (REPOSITORY / "workflows" / "templates" / "references.md").read_text(encoding="utf-8")
    works = [
        re.search(r"^- ((?:[Vv]an )?[\w'-]+) .*?\((\d{4})\)", line) for line in text.splitlines()
    ]
    named = [found.groups() for found in works if found]
    assert len(named) > 20
    assert [work for work in named if not is_listed(*work)] == []


def test_references_are_in_the_order_of_the_alphabet_and_have_an_address_or_are_print():
    names = [re.match(r"(van )?[\w'’]+", line.lower())[0] for line in ENTRIES]
    plain = [re.sub(r"[^a-z]", "", name) for name in names]
    assert plain == sorted(plain)
    without = [line.split()[0] for line in ENTRIES if "](https://" not in line]
    assert without == ["Akahira", "Blomqvist", "Holm", "Iglewicz", "Jenkinson", "McGee"]


def test_a_citation_is_recognised():
    text = "as (Power et al. 2012, Glen et al., 2020), Baker & Matthews, 2004; Van Dijk 2010"
    years = {("Power", "2012"), ("Glen", "2020"), ("Baker", "2004"), ("Van Dijk", "2010")}
    assert cited(text) == years
