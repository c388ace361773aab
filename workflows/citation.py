"""The methods text of a study: what was really done, with settings, versions and references."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from bids_utils.derivatives import read_table
from configs.atlases import Atlas
from configs.settings import Settings
from workflows.compute.results import CORRELATIONS, LONG_KINDS
from workflows.provenance import RunSteps, Steps
from workflows.questions import model_specs

DISTRIBUTIONS = {
    "version": "braindelta",
    "nipype": "nipype",
    "nilearn": "nilearn",
    "simpleitk": "simpleitk",
    "greedy": "picsl-greedy",
}
PERMUTED = "Freedman-Lane"
REFERENCE = re.compile(r"- (?P<author>\S+) .*?\((?P<year>\d{4})\)")


@dataclass(frozen=True)
class Ran:
    """What was done for participants whose images were read, and where other measures come from.

    `planned` says that nothing was done yet and the steps are those of the plan. `sources` are
    names of other tools or tables.
    """

    steps: tuple[Steps, ...] = ()
    sources: tuple[str, ...] = ()
    planned: bool = False

    @property
    def n_people(self) -> int:
        """Number of participants."""
        return len(self.steps)

    @property
    def anatomy(self) -> bool:
        """Whether T1w images were processed."""
        return any(own.anatomy for own in self.steps)

    @property
    def bold(self) -> tuple[RunSteps, ...]:
        """All BOLD runs."""
        return tuple(run for own in self.steps for run in own.bold)

    @property
    def images(self) -> bool:
        """Whether any image was processed."""
        return self.anatomy or bool(self.bold)

    @property
    def raw_bold(self) -> bool:
        """Whether raw BOLD was processed."""
        return any(run.fmriprep is None for run in self.bold)

    @property
    def in_home_space(self) -> bool:
        """Whether labels in the space of our own images were used."""
        return self.anatomy or self.raw_bold

    @property
    def fmriprep(self) -> bool:
        """Whether BOLD of fMRIPrep was read."""
        return any(run.fmriprep is not None for run in self.bold)

    @property
    def fmriprep_versions(self) -> list[str]:
        """Versions of fMRIPrep as its results tell them."""
        return sorted({run.fmriprep for run in self.bold if run.fmriprep})

    @property
    def slice_timing(self) -> str:
        """Raw runs whose slices were brought to one moment: all, some or none (empty)."""
        done = [run.slice_timing for run in self.bold if run.fmriprep is None]
        return ("all" if all(done) else "some") if any(done) else ""

    @property
    def tasks(self) -> list[str]:
        """Tasks that were modelled."""
        return sorted({run.task for run in self.bold if run.task_model})


@dataclass(frozen=True)
class GroupRan:
    """Which analyses of the group level gave results."""

    is_linear: bool = False
    is_adjusted: bool = False
    is_randomised: bool = False
    is_mixed: bool = False
    is_correlated: bool = False
    is_tested: bool = False
    is_permuted: bool = False
    has_networks: bool = False
    is_harmonised: bool = False
    scores: tuple[str, ...] = ()
    mechanisms: bool = False
    processes: frozenset[str] = frozenset()
    predictions: frozenset[str] = frozenset()


def group_ran(group_dir: Path, settings: Settings) -> GroupRan:
    """Analyses whose results are in the folder of the group level; refused ones left none."""
    models = group_dir / "models"
    made = {file.stem for file in models.glob("*.tsv")}
    specs = [spec for spec in model_specs(settings) if {spec.name, f"{spec.name}_edges"} & made]
    kinds = {spec.kind for spec in specs}
    group = settings.group
    adjusted = kinds & {"baseline_adjusted"}
    return GroupRan(
        is_linear=bool(kinds & {"change", "baseline_adjusted"}),
        is_adjusted=bool(adjusted),
        is_randomised=bool(adjusted and group.randomised and group.arm_column),
        is_mixed=bool(kinds & LONG_KINDS),
        is_correlated=bool(kinds & CORRELATIONS),
        is_tested=bool(specs),
        is_permuted=any(_is_permuted(models / f"{name}.tsv") for name in made),
        has_networks=any(name.endswith("_networks") for name in made),
        is_harmonised=(group_dir / "measures_raw.tsv").is_file(),
        scores=tuple(_scores(group_dir / "outcomes.tsv")),
        mechanisms=any(f"mechanism_{own.name}" in made for own in group.mechanisms),
        processes=frozenset(o.model for o in group.processes if f"process_{o.name}" in made),
        predictions=frozenset(
            own.method
            for own in group.predictions
            if any(name.startswith(f"prediction_{own.name}") for name in made)
        ),
    )


def methods_text(settings: Settings, atlas: Atlas, ran: Ran, group: GroupRan | None = None) -> str:
    """Methods section in Markdown, with the references that it names.

    Parameters
    ----------
    settings : Settings
        With which all of it was done.
    atlas : Atlas
        As it was chosen.
    ran : Ran
        What was done with images.
    group : GroupRan, optional
        What was done at the group level; None: nothing.
    """
    environment = Environment(  # nosec B701 # noqa: S701 - Markdown from our own settings, not HTML
        loader=PackageLoader("workflows"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    versions = {name: version(distribution) for name, distribution in DISTRIBUTIONS.items()}
    template = environment.get_template("citation.md.j2")
    text = template.render(settings=settings, atlas=atlas, ran=ran, group=group, **versions)
    listed = "\n".join(named_references(text, all_references()))
    return f"{text}\n## References\n\n{listed}\n"


def all_references() -> list[str]:
    """Lines of all references that a methods text may name."""
    text = (files("workflows") / "templates" / "references.md").read_text(encoding="utf-8")
    return text.splitlines()


def named_references(text: str, references: Iterable[str]) -> list[str]:
    """References of which a text names the first author and, soon after, the year."""
    joined = " ".join(text.split())
    found = []
    for line in references:
        match = REFERENCE.match(line)
        if match is None:
            raise ValueError(f"references: not like '- Author A. (2020). ...': {line}")
        author, year = match["author"], match["year"]
        if re.search(rf"\b{author}\b[^0-9;:]{{0,30}}{year}", joined):
            found.append(line)
    return found


def _is_permuted(file: Path) -> bool:
    table = read_table(file, ("fwe_method",), ("fwe_method",))
    methods = table.get("fwe_method", pd.Series(dtype=object)).dropna().astype(str)
    return bool(methods.str.startswith(PERMUTED).any())


def _scores(file: Path) -> list[str]:
    """Scores with outcomes of people, in the order of the table."""
    if not file.is_file():
        return []
    return list(dict.fromkeys(read_table(file, ("score",), ("score",))["score"]))
