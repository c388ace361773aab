"""Several sites: what cannot be told apart is refused, the rest is harmonised if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    OutputMultiPath,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.names import strip_label
from bids_utils.phenotype import read_participants
from bids_utils.tables import read_text_table
from workflows.compute.design import level_text
from workflows.compute.families import is_quality
from workflows.compute.problems import ModelError, Problem, nearest_names
from workflows.compute.site_checks import check_scanners_and_sessions, check_sites_and_arms
from workflows.compute.site_design import part_of, rows_of, scan_design
from workflows.compute.site_harmonisation import (
    Scans,
    apply_harmonisation,
    fit_harmonisation,
    relative_scales,
)
from workflows.interfaces.group import save_problems
from workflows.interfaces.group_tables import load_table, save_table

KEYS = ["participant_id", "session_id", "modality"]
BLOCK = 4096
LEFT_OUT = "brain measures are left out; with group.sites.method: none they are used as they are"


@dataclass(frozen=True)
class SitePlan:
    """What the settings say of sites; `sessions` are in the order of time."""

    column: str
    method: str
    arm_column: str
    covariates: tuple[str, ...]
    sessions: tuple[str, ...]


class _HarmoniseSitesInputSpec(BaseInterfaceInputSpec):
    column = traits.Str("", usedefault=True, desc="column with the site; empty: one site")
    method = traits.Str("none", usedefault=True, desc="none, covariate or combat")
    arm_column = traits.Str("", usedefault=True, desc="column of the arm, or empty")
    covariates = traits.List(traits.Str, desc="columns whose effects are kept")
    session_order = traits.List(traits.Str, desc="session labels, the earliest first")
    measures_file = File(exists=True, mandatory=True, desc="long table of measures")
    visits_file = File(exists=True, mandatory=True, desc="scans looked for")
    connectivity_file = File(exists=True, desc="Fisher z, n_scans x n_edges (.npy)")
    scans_file = File(exists=True, desc="scan of each row of connectivity_file")
    ledger_file = File(exists=True, desc="ledger with the scanners, if there is one")
    bids_dir = traits.Str(mandatory=True, desc="dataset with participants.tsv")
    table_files = InputMultiPath(File(exists=True), desc="tables of the dataset that are read")


class _HarmoniseSitesOutputSpec(TraitedSpec):
    measures_file = File(exists=True, desc="measures to be used")
    connectivity_file = File(exists=True, desc="Fisher z to be used (.npy)")
    raw_files = OutputMultiPath(File(exists=True), desc="measures as they were, if changed")
    problems_file = File(exists=True, desc="what cannot be told apart or was not harmonised")


class HarmoniseSites(SimpleInterface):
    """Brain measures without shift and scale of the sites; unchanged if not wanted."""

    input_spec = _HarmoniseSitesInputSpec
    output_spec = _HarmoniseSitesOutputSpec

    def _run_interface(self, runtime):
        folder, plan = Path(runtime.cwd), site_plan(self.inputs)
        people = read_participants(Path(self.inputs.bids_dir))
        scans = load_scans(self.inputs, plan, people)
        problems, is_refused = check_sites(scans, plan, people)
        self._results |= given(self.inputs)
        if is_refused or (plan.column and plan.method == "combat"):
            design = None if is_refused else kept_design(scans, plan, people)
            problems += self._replaced(folder, (scans, design))
        self._results["problems_file"] = save_problems(folder, problems)
        return runtime

    def _replaced(self, folder: Path, known: tuple[pd.DataFrame, Scans | None]) -> list[Problem]:
        measures, found = harmonised_measures(load_table(self.inputs.measures_file), known)
        problems = unknown_scans(*known) + found
        self._results["measures_file"] = save_table(measures, folder / "measures.tsv")
        raw = load_table(self.inputs.measures_file)
        self._results["raw_files"] = [save_table(raw, folder / "measures_raw.tsv")]
        if isdefined(self.inputs.connectivity_file):
            path = folder / Path(self.inputs.connectivity_file).name
            rows = load_table(self.inputs.scans_file)
            problems += harmonise_edges(self.inputs.connectivity_file, path, (rows, *known))
            self._results["connectivity_file"] = str(path)
        return problems


def site_plan(inputs: TraitedSpec) -> SitePlan:
    """Settings of the node as a record."""
    return SitePlan(
        inputs.column,
        inputs.method,
        inputs.arm_column,
        tuple(inputs.covariates or ()),
        tuple(inputs.session_order or ()),
    )


def given(inputs: TraitedSpec) -> dict[str, str | list[str]]:
    """Files as they are."""
    files = {"measures_file": inputs.measures_file, "raw_files": []}
    if isdefined(inputs.connectivity_file):
        files["connectivity_file"] = inputs.connectivity_file
    return files


def load_scans(inputs: TraitedSpec, plan: SitePlan, people: pd.DataFrame) -> pd.DataFrame:
    """Used scans with site, scanner and arm; empty text where unknown."""
    visits = load_table(inputs.visits_file)
    scans = visits.loc[visits["status"] == "used", KEYS].drop_duplicates().reset_index(drop=True)
    who, unknown = scans["participant_id"], pd.Series("", index=people.index, dtype=object)
    own = people[plan.column].map(level_text) if plan.column in people else unknown
    arm = people[plan.arm_column].map(level_text) if plan.arm_column in people else unknown
    at_session = session_sites(Path(inputs.bids_dir), plan.column, who.drop_duplicates())
    places = zip(who, scans["session_id"], strict=True)
    site = [at_session.get(place) or own.get(place[0], "") for place in places]
    scans = scans.assign(site=pd.Series(site, dtype=object), arm=list(who.map(arm).fillna("")))
    return scans.assign(scanner=_scanners(inputs, scans))


def session_sites(bids_dir: Path, column: str, people: pd.Series) -> dict[tuple[str, str], str]:
    """Site by (participant, session), where the sessions files have a column of that name."""
    sites = {}
    for label in people if column else ():
        path = bids_dir / f"sub-{label}" / f"sub-{label}_sessions.tsv"
        table = read_text_table(path) if path.is_file() else pd.DataFrame()
        if column in table and "session_id" in table:
            for session, text in zip(table["session_id"], table[column], strict=True):
                sites[str(label), strip_label(str(session), "ses")] = level_text(text)
    return sites


def check_sites(
    scans: pd.DataFrame, plan: SitePlan, people: pd.DataFrame
) -> tuple[list[Problem], bool]:
    """What cannot be told apart, and whether brain measures must not be used for that."""
    problems, is_refused = [], False
    try:
        _check_column(scans, plan, people)
        _check_scanners(scans)
    except ModelError as error:
        is_refused = bool(plan.column) and plan.method != "none"
        problems.append(_with_advice(error.problem, is_refused))
    try:
        small = _check_arms(plan, people)
        problems += small if plan.method != "none" else ()
    except ModelError as error:
        is_harmonised = plan.method == "combat"
        problems.append(_with_advice(error.problem, is_harmonised))
        is_refused |= is_harmonised
    return problems, is_refused


def kept_design(scans: pd.DataFrame, plan: SitePlan, people: pd.DataFrame) -> Scans:
    """Sites and kept covariates of the scans."""
    names = [name for name in (plan.arm_column, *plan.covariates) if name in people]
    wanted = dict.fromkeys(name for name in names if name != plan.column)
    sessions = plan.sessions or tuple(dict.fromkeys(scans["session_id"]))
    return scan_design(scans, people[list(wanted)], sessions, plan.arm_column)


def unknown_scans(scans: pd.DataFrame, design: Scans | None) -> list[Problem]:
    """Scans without site or covariates, which have no harmonised values."""
    if design is None:
        return []
    unknown = (scans["site"] == "") | ~np.isfinite(design.covariates).all(axis=1)
    people = list(dict.fromkeys(scans.loc[unknown, "participant_id"]))
    if not people:
        return []
    what = f"{int(unknown.sum())} scans without site, arm or covariate: not harmonised, left out"
    names = ", ".join(f"sub-{label}" for label in people)
    return [Problem(what, names, "complete participants.tsv")]


def harmonised_measures(
    measures: pd.DataFrame, known: tuple[pd.DataFrame, Scans | None]
) -> tuple[pd.DataFrame, list[Problem]]:
    """Table with harmonised values; measures of quality are as they were.

    Without a design the values are missing. What is not harmonised is missing too.
    """
    scans, design = known
    values, problems = measures["value"].to_numpy(dtype=float).copy(), []
    names = ["modality", "measure", "atlas"]
    for family, rows in measures.groupby(names, sort=False, dropna=False).indices.items():
        if is_quality(family[1]):
            continue
        part = measures.iloc[rows]
        keys, regions = pd.MultiIndex.from_frame(part[KEYS]), part["region"]
        row, column = pd.MultiIndex.from_frame(scans[KEYS]).get_indexer(keys), pd.factorize(regions)
        table = np.full((len(scans) + 1, len(column[1])), np.nan)
        table[row, column[0]] = values[rows]
        table[-1] = np.nan
        there = np.isfinite(table[:-1]).any(axis=1)
        made, found = _harmonised(table[:-1][there], there, design, " ".join(filter(None, family)))
        table[:-1] = np.nan
        table[np.flatnonzero(there)] = made
        values[rows], problems = table[row, column[0]], problems + found
    qc = np.where(np.isfinite(values), measures["qc"], "missing")
    return measures.assign(value=values, qc=qc), problems


def harmonise_edges(
    source: str, target: Path, known: tuple[pd.DataFrame, pd.DataFrame, Scans | None]
) -> list[Problem]:
    """Write harmonised edges as 32-bit numbers, block by block; what was not harmonised."""
    rows, scans, design = known
    values = np.load(source, mmap_mode="r")
    kept = np.lib.format.open_memmap(target, "w+", np.float32, values.shape)
    kept[:] = np.nan
    place = pd.MultiIndex.from_frame(scans[KEYS]).get_indexer(pd.MultiIndex.from_frame(rows[KEYS]))
    problems = []
    for modality, own in rows.groupby("modality", sort=False).indices.items():
        own = own[place[own] >= 0]
        if design is None or not len(own):
            continue
        part = rows_of(design, place[own])
        where = f"{modality} connectivity"
        try:
            learned = relative_scales(fit_harmonisation(_small_copy(values, own), part))
        except ModelError as error:
            problems.append(_at(error.problem, where))
            continue
        usable = _usable(part)
        for start in range(0, values.shape[1], BLOCK):
            columns = slice(start, start + BLOCK)
            block = np.asarray(values[own[usable], columns], dtype=float)
            made = apply_harmonisation(part_of(learned, columns), block, rows_of(part, usable))
            kept[own[usable], columns] = made
        problems += _notes(learned.note, where)
    kept.flush()
    return problems


def _small_copy(values, rows):
    """Some rows as 32-bit numbers, without a copy of 64 bits in between."""
    made = np.empty((len(rows), values.shape[1]), dtype=np.float32)
    for place, row in enumerate(rows):
        made[place] = values[row]
    return made


def _harmonised(values, there, design, where):
    """Values of some scans, harmonised, and what was not."""
    made = np.full(values.shape, np.nan)
    if design is None:
        return made, []
    part = rows_of(design, there)
    usable = _usable(part)
    try:
        learned = relative_scales(fit_harmonisation(values, part))
        made[usable] = apply_harmonisation(learned, values[usable], rows_of(part, usable))
    except ModelError as error:
        return made, [_at(error.problem, where)]
    return made, _notes(learned.note, where)


def _usable(part):
    return (part.site != "") & np.isfinite(part.covariates).all(axis=1)


def _notes(note, where):
    texts = pd.Series(note[note != ""], dtype=object).value_counts()
    return [
        Problem(f"{n} of {len(note)} values per scan: {text}", where, "they are left out")
        for text, n in texts.items()
    ]


def _at(problem, where):
    return Problem(problem.what, f"harmonisation of {where}", f"{problem.what_to_do}; {LEFT_OUT}")


def _with_advice(problem, is_refused):
    advice = f"{problem.what_to_do}; {LEFT_OUT}" if is_refused else problem.what_to_do
    return Problem(problem.what, problem.where, advice)


def _check_scanners(scans):
    known = scans[scans["scanner"] != ""]
    if known.empty:
        return
    arm = known["arm"] if (known["arm"] != "").any() else pd.Series("all", index=known.index)
    person = pd.factorize(known["participant_id"])[0]
    scanner, session = (known[name].to_numpy(dtype=object) for name in ("scanner", "session_id"))
    check_scanners_and_sessions(scanner, session, person, arm.to_numpy(dtype=object))


def _check_arms(plan, people):
    if plan.column not in people or plan.arm_column not in people:
        return ()
    site, arm = (people[name].map(level_text) for name in (plan.column, plan.arm_column))
    known = ((site != "") & (arm != "")).to_numpy(dtype=bool)
    if not known.any():
        return ()
    return check_sites_and_arms(site.to_numpy(dtype=object), arm.to_numpy(dtype=object))


def _check_column(scans, plan, people):
    if not plan.column or plan.column in people or (scans["site"] != "").any():
        return
    hint = nearest_names(plan.column, people.columns)
    what = f"no column '{plan.column}' (group.sites.column)"
    raise ModelError(Problem(what, "participants.tsv", hint))


def _scanners(inputs, scans):
    """Scanner of each scan by the ledger; the site where the ledger knows none."""
    if not isdefined(inputs.ledger_file):
        return scans["site"]
    ledger = load_table(inputs.ledger_file)
    if "scanner" not in ledger or ledger["scanner"].isna().all():
        return scans["site"]
    keys = ["participant_id", "session_id"]
    known = ledger.dropna(subset="scanner").drop_duplicates(keys).set_index(keys)["scanner"]
    found = known.reindex(pd.MultiIndex.from_frame(scans[keys])).fillna("").astype(str)
    return found.to_numpy(dtype=object)
