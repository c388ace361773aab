"""Change of the brain: regions with forest and map, connections with matrix and networks."""

from __future__ import annotations

import pandas as pd

from workflows.compute.families import EDGES, is_quality
from workflows.compute.findings import caution
from workflows.compute.term_words import is_association, measure_name, term_kind
from workflows.interfaces.group_pictures import (
    brain_map,
    connection_picture,
    forest_picture,
    matrix_picture,
)
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_pages import Chapter, Line, Part, lines_of
from workflows.interfaces.report_tables import sheets

MAX_PLANNED, MAX_OTHER, MAX_EDGES = 6, 12, 4
SINGLE_EDGES = (
    "A network is tested as a whole: which single connections in it changed cannot be named."
)
STANDARD = {
    "change": "change",
    "baseline_adjusted": "follow-up given baseline",
    "mixed": "all sessions",
}
SAME_UNIT = ("difference", "simple", "mean")


def region_chapter(results: GroupResults) -> Chapter:
    """Planned changes with brain map and forest; other models folded."""
    planned, other = [], []
    for rows in results.families(scores=False):
        if str(rows["measure"].iloc[0]) == EDGES or is_quality(str(rows["measure"].iloc[0])):
            continue
        tested = rows[rows["p"].notna()]
        if not len(tested) or is_association(rows):
            continue
        if bool(rows["planned"].iloc[0]) and len(planned) < MAX_PLANNED:
            planned.append(_region_part(results, rows, folded=False))
        elif not rows["planned"].iloc[0] and len(other) < MAX_OTHER:
            other.append(_region_part(results, rows, folded=True))
    return Chapter(
        "regions",
        "Brain change by region",
        "Regions",
        (*planned, *other),
        otherwise="No change of regions was tested.",
    )


def edge_chapter(results: GroupResults) -> Chapter:
    """Planned changes of connections, and networks of connections."""
    parts: list[Part] = []
    for rows in results.families(scores=False):
        wanted = str(rows["measure"].iloc[0]) == EDGES and bool(rows["planned"].iloc[0])
        if wanted and not is_association(rows) and len(parts) < MAX_EDGES:
            parts += [_edge_part(results, own) for own in _terms(rows)][:2]
    parts += [_network_part(results, name, table) for name, table in _networks(results)]
    return Chapter(
        "connections",
        "Connections between regions",
        "Connections",
        tuple(part for part in parts if not part.is_empty),
        otherwise="No change of connections was tested.",
    )


def network_sentences(table: pd.DataFrame, alpha: float) -> list[str]:
    """How many networks of connections were found in each family and term."""
    said = []
    for (family, term), rows in table.groupby(["family", "term"], sort=False):
        found = rows[rows["p_fwe"] <= alpha]
        first = rows.sort_values(["p_fwe", "n_edges"], ascending=[True, False]).iloc[0]
        size = f"{first['n_edges']:.0f} connections of {first['n_nodes']:.0f} regions"
        lead = f"{family}, {term}: "
        if len(found):
            lead += f"{len(found)} of {len(rows)} networks after correction; the strongest has "
            said.append(f"{lead}{size} (p = {first['p_fwe']:.2g}).")
        else:
            lead += f"none of {len(rows)} networks after correction; the strongest had "
            said.append(f"{lead}{size} (p = {first['p_fwe']:.2g}).")
    return [*said, SINGLE_EDGES] if said else said


def part_title(rows: pd.DataFrame) -> str:
    """Measure, model and, where there is one only, the term."""
    name = measure_name(str(rows["measure"].iloc[0]))
    model = str(rows["model"].iloc[0])
    modality = str(rows["modality"].iloc[0])
    where = f" ({modality.removeprefix('bold_')})" if modality.startswith("bold_") else ""
    terms = list(dict.fromkeys(rows["term"].astype(str)))
    of = f": {terms[0]}" if len(terms) == 1 else ""
    return f"{name[0].upper()}{name[1:]}{where}{of} ({STANDARD.get(model, f'model {model}')})"


def sentences_of(results: GroupResults, rows: pd.DataFrame) -> tuple[Line, ...]:
    """What is said of a family: one sentence a term; the same caution only once."""
    family, said, cautions = str(rows["family"].iloc[0]), [], set()
    for finding in results.findings:
        if finding.family == family:
            new = finding.caution if finding.caution not in cautions else ""
            cautions.add(finding.caution)
            said.append(Line(finding.sentence, new))
    return tuple(said)


def _region_part(results, rows, folded):
    group = results.settings.group
    pictures = []
    if not folded:
        pictures += [brain_map(own, group.alpha, results.output_dir) for own in _terms(rows)[:1]]
    pictures += [forest_picture(own, group.alpha, group.confidence) for own in _same_unit(rows)]
    formulas = dict.fromkeys(str(text) for text in rows["formula"] if text and text == text)
    said = f"Model: {'; '.join(formulas)}." if formulas else ""
    return Part(
        part_title(rows),
        lines=(*sentences_of(results, rows), *lines_of([said])),
        pictures=tuple(picture for picture in pictures if picture is not None),
        folded=folded,
    )


def _edge_part(results, rows):
    if not rows["p"].notna().any():
        return Part()
    alpha = results.settings.group.alpha
    pictures = [
        matrix_picture(rows, results.output_dir),
        connection_picture(rows, alpha, results.output_dir),
    ]
    own = [
        Line(finding.sentence, finding.caution)
        for finding in results.findings
        if finding.family == rows["family"].iloc[0] and finding.term == rows["term"].iloc[0]
    ]
    shown = tuple(picture for picture in pictures if picture is not None)
    return Part(part_title(rows), lines=tuple(own), pictures=shown)


def _networks(results):
    return [
        (name, table)
        for name, table in results.extras.items()
        if {"component", "family", "p_fwe"} <= set(table) and len(table)
    ]


def _network_part(results, name, table):
    said = network_sentences(table, results.settings.group.alpha)
    cautions = () if not len(table) else _network_cautions(results, table)
    title = f"Networks of connections ({name.removesuffix('_networks')})"
    return Part(title, cautions, lines_of(said), sheets=sheets(networks=table))


def _network_cautions(results, table):
    """Cautions of the tests the networks were made of."""
    families, said = set(table["family"]), []
    for rows in results.families(scores=False):
        if rows["family"].iloc[0] in families:
            said += [caution(own, results.settings.group.randomised) for own in _terms(rows)[:1]]
    return tuple(text for text in dict.fromkeys(said) if text)


def _terms(rows):
    return [own for _, own in rows.groupby("term", sort=False)]


def _same_unit(rows):
    """Parts of a family whose terms can share an axis: differences, and each slope alone."""
    alike, alone = [], []
    for own in _terms(rows):
        (alike if term_kind(own) in SAME_UNIT else alone).append(own)
    return [*([pd.concat(alike)] if alike else []), *alone]
