"""The methods text of a study: what was done with which settings and versions, with references."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Provenance:
    """Where the measures come from: our own images, and names of other tools or tables.

    `preprocessed` says that BOLD comes from fMRIPrep.
    """

    images: bool = True
    sources: tuple[str, ...] = ()
    preprocessed: bool = False


def methods_text(settings: Settings, atlas: Atlas, provenance: Provenance) -> str:
    """Methods section in Markdown for these settings and the versions that are installed."""
    environment = Environment(  # noqa: S701 - Markdown from our own settings, not HTML
        loader=PackageLoader("workflows"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    group = settings.group
    versions = {name: version(distribution) for name, distribution in DISTRIBUTIONS.items()}
    return environment.get_template("citation.md.j2").render(
        settings=settings,
        atlas=atlas,
        provenance=provenance,
        randomised=group.randomised and group.arm_column,
        permutations=group.correction.n_permutations,
        networks=group.correction.network_threshold,
        scores=", ".join(score.name for score in group.scores if score.role == "outcome"),
        combat=group.sites.column and group.sites.method == "combat",
        mechanisms=group.mechanisms,
        processes=group.processes,
        predictions=group.predictions,
        tangent=any(model.method == "tangent" for model in group.predictions),
        seed=settings.random_seed,
        **versions,
    )
