"""Chromium without a network, and the pages of a study in it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import study_pages

DESKTOP = {"width": 1280, "height": 900}


@dataclass
class Seen:
    """What a page asked for and complained about."""

    asked: list = field(default_factory=list)
    said: list = field(default_factory=list)


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    """Derivatives with a report of the group and pages of people.

    Those of BRAINDELTA_TRIAL (the folder of a finished demo), or of a made-up study.
    """
    trial = os.environ.get("BRAINDELTA_TRIAL")
    return (
        Path(trial) / "derivatives" if trial else study_pages.make(tmp_path_factory.mktemp("study"))
    )


@pytest.fixture
def opened(chromium):
    """Open a file in a new window: returns the page and what was seen."""
    contexts = []

    def open_page(path, unfolded=False, **options):
        context = chromium.new_context(offline=True, **{"viewport": DESKTOP, **options})
        contexts.append(context)
        page, seen = context.new_page(), Seen()
        page.on("request", lambda request: seen.asked.append(request.url))
        page.on("console", lambda message: seen.said.append(message.text))
        page.on("pageerror", lambda error: seen.said.append(str(error)))
        page.goto(path.as_uri())
        if unfolded:
            page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        return page, seen

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def group_file(out):
    return out / "group" / "report.html"


@pytest.fixture
def person_file(out):
    return out / "sub-01.html"


@pytest.fixture(params=["group", "person"])
def any_file(request, group_file, person_file):
    return group_file if request.param == "group" else person_file
