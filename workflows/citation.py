"""The methods text of a study: what was done with which settings and versions, with references."""

from __future__ import annotations

from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined

from configs.atlases import Atlas
from configs.settings import Settings

DISTRIBUTIONS = {
    "version": "braindelta",
    "nipype": "nipype",
    "nilearn": "nilearn",
    "simpleitk": "simpleitk",
    "greedy": "picsl-greedy",
}


def methods_text(settings: Settings, atlas: Atlas) -> str:
    """Methods section in Markdown for these settings and the versions that are installed."""
    environment = Environment(  # noqa: S701 - Markdown from our own settings, not HTML
        loader=PackageLoader("workflows"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    versions = {name: version(distribution) for name, distribution in DISTRIBUTIONS.items()}
    return environment.get_template("citation.md.j2").render(
        settings=settings,
        atlas_citation=atlas.citation,
        **versions,
    )
