"""Everybody with images: what was used, what stands out, the page, and the reader's rating."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from bids_utils.names import with_prefix
from workflows.compute.pair_quality import PAIR_COLUMNS, ranked_people
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_pages import Chapter, Part, lines_of
from workflows.interfaces.report_tables import sheet

KEY = "index"
NOT_RATED = "not rated"
LEAD = (
    "Each person has a page with pictures to judge. Ratings that you give there stay in this "
    "browser; from here all of them can be saved as a list for sessions.exclude."
)


def index_chapter(results: GroupResults) -> Chapter:
    """A row a person; nothing without images."""
    table = index_table(results.ledger, results.quality, results.quality_pairs)
    parts = ()
    if len(table):
        shown = replace(sheet("People", table, len(table), fold=False), key=KEY)
        n_flagged = int((table["stands out"] > 0).sum()) if "stands out" in table else 0
        said = f"{len(table)} people; in {n_flagged} something stands out."
        parts = (Part(lines=lines_of([said]), sheets=(shown,)),)
    return Chapter("index", "People and their images", "People", parts, lead=LEAD)


def index_table(ledger: pd.DataFrame, quality: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """People with the worst quality first, else in the order of the ledger.

    Parameters
    ----------
    ledger : DataFrame
        As ledger.tsv has it.
    quality, pairs : DataFrame
        As quality.tsv and quality_pairs.tsv have them; may have no rows.
    """
    if not {"participant_id", "session_id", "status"} <= set(ledger):
        return pd.DataFrame()
    rows = []
    for who, own in ledger.groupby("participant_id", sort=False):
        found = own[own["status"] != "missing"]
        used = int((own["status"] == "used").sum())
        rows.append((who, found["session_id"].nunique(), used, len(own) - used))
    names = ["participant_id", "sessions", "images used", "not used or missing"]
    table = pd.DataFrame(rows, columns=names)
    if len(quality):
        ranked = ranked_people(quality, pairs if len(pairs) else pd.DataFrame(columns=PAIR_COLUMNS))
        ranked["participant_id"] = [with_prefix(who, "sub") for who in ranked["participant_id"]]
        words = {"n_flags": "stands out", "largest_z": "largest robust z", "flags": "what"}
        table = ranked.rename(columns=words).merge(table, on="participant_id", how="right")
        table = table.sort_values(
            ["stands out", "largest robust z"], ascending=False, kind="stable"
        )[[*names, *words.values()]]
        table["what"] = table["what"].replace("", "none")
    return table.assign(rating=NOT_RATED).reset_index(drop=True)
