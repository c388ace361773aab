"""Order of the regions of an atlas in a matrix: those of a network side by side."""

from __future__ import annotations

import pandas as pd

OTHER = "other"
SIDES = ("L", "R", "B")


def grouped_regions(table: pd.DataFrame) -> tuple[list[int], list[str]]:
    """Row numbers of a table of regions in the order of a matrix, and the group of each.

    Groups are networks, where any is known; else parts of the brain of each side. They come in
    the order in which they first appear, and regions without one come last as "other". Within a
    group the left side comes before the right; else the order stays.

    Parameters
    ----------
    table : pd.DataFrame
        A row a region; hemisphere, structure and network as far as they are known.

    Returns
    -------
    rows : list of int
        Number of the row that stands at each place.
    groups : list of str
        Group of the region at each place.
    """
    known = table.reindex(columns=["hemisphere", "structure", "network"])
    known = known.astype(object).where(known.notna(), "")
    groups = [str(name) for name in known["network"]]
    if not any(groups):
        pairs = zip(known["structure"], known["hemisphere"], strict=True)
        groups = [" ".join(part for part in pair if part) for pair in pairs]
    groups = [name or OTHER for name in groups]
    names = [name for name in dict.fromkeys(groups) if name != OTHER]
    place = {name: number for number, name in enumerate([*names, OTHER])}
    side = {name: number for number, name in enumerate(SIDES)}
    sides = [side.get(name, len(SIDES)) for name in known["hemisphere"]]
    rows = sorted(range(len(groups)), key=lambda row: (place[groups[row]], sides[row]))
    return rows, [groups[row] for row in rows]
