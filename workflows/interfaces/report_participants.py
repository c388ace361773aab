"""Who took part, who was lost and why, and whether those who left differed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.completers import NOT_SHOWN
from workflows.compute.outcome_words import dropout_sentence
from workflows.compute.small_cells import FEWEST, hidden_cells
from workflows.drawing.participant_flow import participant_flow
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_numbers import numbers_of
from workflows.interfaces.report_pages import (
    Chapter,
    Part,
    cell_text,
    drawn,
    lines_of,
)
from workflows.interfaces.report_tables import sheets

FEW = f"<{FEWEST}"
HIDDEN = "hidden"
ANALYSED = "analysed"
COUNTS = ("completers_count", "dropouts_count")
EFFECTS = ("effect_size", "effect_low", "effect_high")
GROUPS = ("completers", "dropouts")
MOST_NAMED = 4


def participant_chapter(results: GroupResults) -> Chapter:
    """Flow of participants, losses with reasons, and completers against dropouts."""
    parts = (_flow(results), _lost(results), _dropouts(results), _unused(results))
    return Chapter(
        "people",
        "Participants",
        "Participants",
        tuple(part for part in parts if not part.is_empty),
        otherwise="flow.tsv is missing: the flow of participants is not known.",
    )


def shown_completers(table: pd.DataFrame) -> pd.DataFrame:
    """Completers and dropouts with counts below 5, and what gives them away, hidden.

    Parameters
    ----------
    table : DataFrame
        COMPLETER_COLUMNS.
    """
    shown = table.drop(columns="note").astype(object).where(table.notna(), None)
    for _, rows in table.groupby("characteristic", sort=False):
        if rows["level"].fillna("").isin(["", "n/a"]).all():
            continue
        for column in COUNTS:
            _hide_counts(shown, rows, column)
        if shown.loc[rows.index, list(COUNTS)].isin([FEW, HIDDEN]).any(axis=None):
            shown.loc[rows.index, list(EFFECTS)] = None
    for group in GROUPS:
        few = (table[f"n_{group}"] > 0) & (table[f"n_{group}"] < FEWEST)
        shown.loc[few, [f"{group}_mean", f"{group}_sd"]] = None
        shown.loc[few, f"n_{group}"] = FEW
    return shown


def _hide_counts(shown, rows, column):
    """Hide small counts of one category over arms and levels, in place."""
    counts = rows.pivot_table(
        index="arm", columns="level", values=column, sort=False, aggfunc="first"
    )
    hidden = hidden_cells(counts.to_numpy(dtype=float))
    for index, row in rows.iterrows():
        place = counts.index.get_loc(row["arm"]), counts.columns.get_loc(row["level"])
        if hidden[place]:
            small = np.isfinite(row[column]) and row[column] < FEWEST
            shown.loc[index, column] = FEW if small else HIDDEN


def _flow(results):
    flow = results.flow
    if not len(flow):
        return Part()
    steps = flow[(flow["step"] != ANALYSED) & flow["n"].notna()]
    counted = steps[steps["reason"].fillna("") == ""]
    pictures = ()
    if len(counted):
        alt = "Flow of participants from the list to usable images and scores, per arm"
        words = "The same numbers are in the table below. Steps without arrows do not depend on "
        figure, numbers = participant_flow(steps), numbers_of("flow", steps)
        pictures = (drawn(figure, alt, f"{words}each other.", (numbers,)),)
    n_problems = len(results.problems)
    text = f"{n_problems} problems were noted; they are listed under Problems."
    return Part(
        lines=lines_of([_listed(counted), text if n_problems else ""]),
        pictures=pictures,
        sheets=sheets(participants_per_step=_wide(counted)),
    )


def _listed(counted):
    """First and last step of the flow in words."""
    all_of = counted[(counted["arm"] == "all") & (counted["detail"].fillna("") == "")]
    if not len(all_of):
        return ""
    first, last = all_of.iloc[0], all_of.iloc[-1]
    if len(all_of) == 1:
        return f"{first['n']:.0f} people {first['step']}."
    return f"{first['n']:.0f} people {first['step']}; {last['n']:.0f} {last['step']}."


def _wide(counted):
    """One row a step, one column an arm."""
    table = counted.assign(detail=counted["detail"].fillna(""))
    keys = ["step", "detail"]
    wide = table.pivot_table(index=keys, columns="arm", values="n", sort=False, aggfunc="first")
    return wide.reset_index().rename_axis(columns=None)


def _lost(results):
    flow = results.flow
    if not len(flow):
        return Part()
    rows = flow[flow["reason"].fillna("") != ""]
    said = []
    for (n, reason, arm), alike in rows.groupby(["n", "reason", "arm"], sort=False):
        names = _few(list(dict.fromkeys(cell_text(detail) for detail in alike["detail"])))
        of = f" ({arm})" if arm != "all" else ""
        said.append(f"{names}: {cell_text(float(n))}, {reason}{of}")
    return Part("Why participants are missing", lines=lines_of(said))


def _few(names):
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more families" if more > 0 else "")


def _dropouts(results):
    table = results.outcomes["completers"]
    if not len(table):
        return Part()
    if not (table["n_dropouts"] > 0).any():
        return Part("Completers and dropouts", lines=lines_of([dropout_sentence(table)]))
    said = [dropout_sentence(table), f"{NOT_SHOWN[0].upper()}{NOT_SHOWN[1:]}."]
    few = f"Counts of fewer than {FEWEST} people, and those that would give them away, are hidden."
    return Part(
        "Completers and dropouts",
        lines=lines_of([*said, few]),
        sheets=sheets(completers_and_dropouts=shown_completers(table)),
    )


def _unused(results):
    ledger = results.ledger
    if not len(ledger):
        return Part()
    columns = ["participant_id", "session_id", "modality", "status", "reason"]
    rows = ledger[ledger["status"] != "used"].reindex(columns=columns)
    return Part(sheets=sheets(images_that_are_not_used=rows))
