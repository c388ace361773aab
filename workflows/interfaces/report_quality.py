"""Quality of the images of the cohort: who stands out, in what, and how scans were acquired."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
import pandas as pd

from bids_utils.names import with_prefix
from workflows.compute.pair_quality import (
    ALL_QUALITY,
    MIN_PEOPLE,
    OUTLIER_Z,
    PAIR_COLUMNS,
    long_values,
    ranked_people,
    scored_values,
)
from workflows.compute.qc_fc import ALPHA, FEW_PEOPLE, STATISTICS
from workflows.drawing.motion_edges import motion_edges
from workflows.drawing.quality_strip import MOST_TOLD, quality_strip
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.group_tables import load_table
from workflows.interfaces.qc_fc import FAMILY, QC_FC, QC_FC_EDGES
from workflows.interfaces.report_numbers import numbers_file, numbers_of
from workflows.interfaces.report_pages import Chapter, Part, drawn, lines_of
from workflows.interfaces.report_tables import sheets

MOST_SAID = 10
LEAD = (
    "Images that stand out are shown here and nothing is left out because of it. Who looks at the "
    "pictures and decides otherwise names the image in the list of sessions.exclude."
)
MOST_PICTURES = 4
WHAT_QC_FC = (
    "For each connection, its change is correlated over people with their change of mean "
    "framewise displacement. Intervals come from leaving out one person at a time; chance is "
    "what 95 % of permutations of motion over people give."
)
MORE = "This is more than chance makes: motion is likely part of the change of connectivity."
NO_MORE = "This is what chance makes too; it does not show that there is no motion in the change."
SHORT = {measure.name: measure.better for measure in ALL_QUALITY}


def quality_chapter(results: GroupResults) -> Chapter:
    """People from worst to best, a picture of all measures, and notes on the images used."""
    parts = (_ranked(results), _changes(results), _motion(results), _acquired(results))
    return Chapter(
        "quality",
        "Quality of the images",
        "Quality",
        tuple(part for part in parts if not part.is_empty),
        lead=LEAD,
    )


def strip_scores(quality: pd.DataFrame) -> pd.DataFrame:
    """Robust z of each scan and measure as `quality_strip` draws it, worse to the right.

    Parameters
    ----------
    quality : DataFrame
        As quality.tsv has it, labels without prefix.
    """
    scored = scored_values(long_values(quality))
    several = scored.groupby("metric")["modality"].transform("nunique") > 1
    both = scored["metric"].map(SHORT) == "neither"
    return pd.DataFrame(
        {
            "row": np.where(several, scored["metric"] + " " + scored["modality"], scored["metric"]),
            "participant_id": _with_ids(scored)["participant_id"],
            "session_id": scored["session_id"],
            "value": scored["value"],
            "z": np.where(both, scored["z"], scored["bad_z"]),
            "both": both,
            "limit": scored["limit"],
            "stands_out": scored["flag"] != "",
        }
    )


def _ranked(results):
    quality, pairs = results.quality, results.quality_pairs
    if not len(quality):
        return Part()
    pairs = pairs if len(pairs) else pd.DataFrame(columns=PAIR_COLUMNS)
    table, scans = _with_ids(ranked_people(quality, pairs)), _with_ids(quality)
    flagged = table[table["n_flags"] > 0]
    said = [f"{row.participant_id}: {row.flags}." for row in flagged.head(MOST_SAID).itertuples()]
    if len(flagged) > MOST_SAID:
        said.append(f"And {len(flagged) - MOST_SAID} more people; see the table.")
    first = f"{len(flagged)} of {len(table)} people have an image or a pair that stands out."
    shown = table.assign(flags=table["flags"].replace("", "none"))
    return Part(
        lines=lines_of([first, *said]),
        pictures=_strip(quality, results.output_dir),
        sheets=sheets(people_from_worst_to_best_quality=shown, quality_of_each_scan=scans),
    )


def _strip(quality, output_dir):
    scores = strip_scores(quality)
    pages = {page.stem: f"../{quote(page.name)}" for page in output_dir.glob("sub-*.html")}
    scores["link"] = scores["participant_id"].map(pages).fillna("")
    if not scores["z"].notna().any():
        return ()
    n_out = int(scores["stands_out"].sum())
    alt = f"Robust z of every quality measure and scan; {n_out} values stand out"
    caption = (
        "A dot is a scan, a colour a session. To the right is worse; for measures with a line on "
        f"both sides either direction is unusual. Beyond the line (robust z of {OUTLIER_Z:g}, "
        "more in small cohorts; Iglewicz & Hoaglin 1993), or where a value is not plausible, scans "
        "are ringed, named and joined with the person's other sessions. Choose a dot to open the "
        "page of the person."
    )
    file = output_dir / "group" / "quality.tsv"
    if len(scores) > MOST_TOLD and file.is_file():
        numbers = numbers_file(file, file.parent)
    else:
        numbers = numbers_of("quality_scores", scores.drop(columns="link"))
    return (drawn(quality_strip(scores), alt, caption, (numbers,)),)


def _changes(results):
    pairs = results.quality_pairs
    if not len(pairs):
        return Part()
    flagged = pairs[pairs["flag"] != ""]
    n_people = pairs["participant_id"].nunique()
    few = f"Fewer than {MIN_PEOPLE} people: only limits that hold for one person were applied."
    text = f"{len(flagged)} changes of quality between two sessions stand out, of {len(pairs)}."
    return Part(
        "Quality that differs between the sessions",
        lines=lines_of([text, few if n_people < MIN_PEOPLE else ""]),
        sheets=sheets(changes_that_stand_out=_with_ids(flagged)),
    )


def qc_fc_sentence(rows: pd.DataFrame) -> str:
    """What the three rows of a pair of sessions in qc_fc.tsv say.

    Parameters
    ----------
    rows : DataFrame
        As `cohort_qc_fc` makes them, labels without prefix.
    """
    first = rows.iloc[0]
    where = f"{first['modality']}, ses-{first['baseline']} to ses-{first['followup']}"
    of = rows.set_index("statistic")
    size, share, distance = (of.loc[name] for name in STATISTICS)
    if np.isnan(size["value"]):
        return f"{where}: {first['n']} people are too few, or their motion changed alike."
    said = [
        f"{where}, {first['n']} people: median |r| {_estimate(size)}",
        f"{100 * share['value']:.0f} % of {first['n_edges']} edges have p < .05 (5 % are "
        f"expected; chance: {100 * share['chance_low']:.0f} to {100 * share['chance_high']:.0f} %)",
    ]
    if np.isfinite(distance["value"]):
        said.append(f"correlation of r with distance {_estimate(distance)}")
    return f"{'; '.join(said)}. {MORE if (rows['p'] < ALPHA).any() else NO_MORE}"


def _estimate(row):
    interval = f"[{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return (
        f"{row['value']:.2f} {interval} (chance: {row['chance_low']:.2f} to "
        f"{row['chance_high']:.2f})"
    )


def _motion(results):
    """Whether change of connectivity goes with change of motion."""
    paths = [results.output_dir / "group" / name for name in (QC_FC, QC_FC_EDGES)]
    if not all(path.is_file() for path in paths):
        return Part()
    table, edges = (load_table(path) for path in paths)
    families = [rows for _, rows in table.groupby(FAMILY, sort=False)]
    numbers = numbers_file(paths[1], paths[1].parent)
    pictures = [_edge_picture(own, numbers) for _, own in edges.groupby(FAMILY, sort=False)]
    few = f"Fewer than {FEW_PEOPLE} people: these numbers say little."
    return Part(
        "Motion and change of connectivity (QC-FC)",
        cautions=(few,) if (table["n"] < FEW_PEOPLE).any() else (),
        lines=lines_of([WHAT_QC_FC, *(qc_fc_sentence(rows) for rows in families)]),
        pictures=tuple(pictures[:MOST_PICTURES]),
        sheets=sheets(qc_fc=table),
    )


def _edge_picture(edges, numbers):
    first, n_people = edges.iloc[0], int(edges["n"].max())
    title = f"{first['modality']}, ses-{first['baseline']} to ses-{first['followup']}"
    r, distance_mm = (edges[name].to_numpy(dtype=float) for name in ("r", "distance_mm"))
    figure = motion_edges(distance_mm, r, n_people, f"{title}, {n_people} people")
    alt = f"Correlation of change of connectivity with change of motion over distance, {title}"
    caption = (
        "Left: darker where more connections lie. Without motion in the data the cloud is level "
        "and centred at 0, and the bars at the right fill the blue line. Motion often raises "
        "connections of near regions and lowers those of far ones."
    )
    return drawn(figure, alt, caption, (numbers,))


def _acquired(results):
    ledger = results.ledger
    if not {"status", "reason"} <= set(ledger):
        return Part()
    columns = ["participant_id", "session_id", "modality", "reason"]
    noted = ledger[(ledger["status"] == "used") & ledger["reason"].notna()].reindex(columns=columns)
    if not len(noted):
        return Part()
    differs = noted["reason"].str.contains("differs from ses-", regex=False)
    people = noted.loc[differs, "participant_id"].nunique()
    everybody = ledger.loc[ledger["status"] == "used", "participant_id"].nunique()
    text = (
        "Acquired otherwise in a later session (scanner, software, sequence, voxel size): "
        f"{people} of {everybody} people. Their change may come from that."
    )
    return Part(
        "Notes on images that are used",
        lines=lines_of([text if people else ""]),
        sheets=sheets(notes_on_images_that_are_used=noted),
    )


def _with_ids(table):
    """Table whose people are named as on disk, so that their pages are linked."""
    return table.assign(participant_id=[with_prefix(who, "sub") for who in table["participant_id"]])
