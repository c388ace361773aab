"""Mechanisms and processes: diagrams, indirect effects, and what the order in time allows."""

from __future__ import annotations

import pandas as pd

from workflows.compute.mechanism_words import (
    contrasts_of,
    is_mass,
    mass_sentences,
    mechanism_sentences,
)
from workflows.compute.process_words import process_cautions, process_sentences
from workflows.compute.temporal_order import MECHANISM
from workflows.compute.term_words import measure_name, place_name, strongest
from workflows.drawing.forest import ForestText, forest_plot
from workflows.drawing.mediation_paths import MediationText, mediation_diagram
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_numbers import numbers_of
from workflows.interfaces.report_pages import Chapter, Part, drawn, lines_of
from workflows.interfaces.report_tables import sheets

N_ROWS = 20
TEXTS = ("term", "mediator", "path", "label", "reason", "note", "outcome", "interval")
ASSOCIATION = (
    "Association, not a mechanism: the order in time of these measurements does not allow more."
)
UNCORRECTED = "p values of processes are not corrected for their number."


def mechanism_chapter(results: GroupResults) -> Chapter:
    """One part a mechanism, planned ones first."""
    made = [(name, _texts(table)) for name, table in _tables(results, "mechanism")]
    parts = [_mechanism(results, name, rows) for name, rows in _planned_first(made)]
    return Chapter(
        "mechanisms",
        "Mechanisms",
        "Mechanisms",
        tuple(parts),
        lead="From treatment over a mediator to the outcome.",
    )


def process_chapter(results: GroupResults) -> Chapter:
    """One part a process, planned ones first."""
    made = [(name, _texts(table)) for name, table in _tables(results, "process")]
    parts = [
        _process(results, name, rows) for name, rows in _planned_first(made) if "analysis" in rows
    ]
    return Chapter(
        "processes",
        "Processes, session by session",
        "Processes",
        tuple(parts),
        lead=UNCORRECTED,
    )


def headline(results: GroupResults) -> list[str]:
    """First sentence of each planned mechanism and contrast, with its claim."""
    said = []
    for name, table in _tables(results, "mechanism"):
        rows = _texts(table)
        if not bool(rows["planned"].iloc[0]):
            continue
        if is_mass(rows):
            said.append(f"Mechanism {name}: {' '.join(mass_sentences(rows, _alpha(results)))}")
            continue
        for contrast in contrasts_of(rows):
            sentences = mechanism_sentences(rows, contrast)
            said.append(f"Mechanism {name}: {' '.join(dict.fromkeys(_ends(sentences)))}")
    return said


def _ends(sentences):
    return [sentences[0], sentences[-1]] if sentences else []


def _alpha(results):
    return results.settings.group.alpha


def _tables(results, kind):
    for name, table in results.extras_of(kind).items():
        if {"path", "analysis"} & set(table):
            yield name, table


def _texts(table):
    """Empty texts instead of missing ones."""
    known = [name for name in TEXTS if name in table]
    filled = {name: table[name].astype(object).where(table[name].notna(), "") for name in known}
    return table.assign(**filled)


def _planned_first(made):
    return sorted(made, key=lambda pair: not bool(pair[1]["planned"].iloc[0]))


def _mechanism(results, name, rows):
    odd = (rows["label"] != MECHANISM).any()
    planned = "planned" if bool(rows["planned"].iloc[0]) else "not planned"
    cautions = (ASSOCIATION,) if odd else ()
    title = f"{name.replace('_', ' ')} ({planned})"
    if is_mass(rows):
        said, pictures = mass_sentences(rows, _alpha(results)), _mass_pictures(results, rows)
    else:
        said = [
            sentence
            for contrast in contrasts_of(rows)
            for sentence in mechanism_sentences(rows, contrast)
        ]
        pictures = [
            _diagram(rows, contrast) for contrast in contrasts_of(rows) if _can_draw(rows, contrast)
        ]
    notes = [note for note in dict.fromkeys(rows["note"]) if note]
    said = [*dict.fromkeys(said), *(f"{note[0].upper()}{note[1:]}." for note in notes)]
    return Part(title, cautions, lines_of(said), tuple(pictures), sheets(paths_and_effects=rows))


def _can_draw(rows, contrast):
    own = rows[rows["term"].isin(["", contrast])]
    return bool((own["path"] == "a").any() and (own["path"] == "b").any())


def _diagram(rows, contrast):
    outcome = str(rows["outcome"].iloc[0])
    figure = mediation_diagram(rows, contrast, MediationText(contrast, outcome))
    own = rows[rows["term"].isin(["", contrast])]
    return drawn(
        figure,
        f"Paths from {contrast} over {', '.join(_mediators(rows))} to {outcome}",
        "a: treatment to mediator; b: mediator to outcome with treatment held constant; c': what "
        "is left of the treatment. In units of the measures.",
        (numbers_of(f"paths_{contrast}", own),),
    )


def _mediators(rows):
    return list(dict.fromkeys(rows.loc[rows["path"] == "a", "mediator"]))


def _mass_pictures(results, rows):
    """Forest of the indirect effects over regions, one picture a contrast."""
    group, pictures = results.settings.group, []
    for contrast, own in rows.groupby("term", sort=False):
        top = strongest(own, N_ROWS)
        if not len(top):
            continue
        table = top.assign(
            label=[place_name(row) for _, row in top.iterrows()],
            significant=top["p_fdr"] <= group.alpha,
        )
        what = measure_name(str(own["measure"].iloc[0]))
        words = f"indirect effect of {contrast} through change in {what}"
        text = ForestText(words, interval=f"{100 * group.confidence:g} % interval")
        pictures.append(
            drawn(
                forest_plot(table, text),
                f"Indirect effects of {contrast} through {len(top)} regions with intervals",
                f"The {len(top)} of {len(own)} regions with the smallest p values; intervals are "
                "not corrected for the number of regions.",
                (numbers_of(f"indirect_effects_{contrast}", own),),
            )
        )
    return pictures


def _process(results, name, rows):
    planned = "planned" if bool(rows["planned"].iloc[0]) else "not planned"
    notes = results.extras.get(f"process_{name}_notes", pd.DataFrame())
    fit = [str(note) for note in dict.fromkeys(notes["note"])] if "note" in notes else []
    said = process_sentences(rows, _alpha(results))
    said += [f"Note: {note}." for note in fit if note]
    title = f"{name.replace('_', ' ')} ({planned})"
    cautions = (" ".join(process_cautions(rows)),)
    return Part(title, cautions, lines_of(said), sheets=sheets(all_paths=rows))
