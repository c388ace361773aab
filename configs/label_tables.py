"""Tables of the regions of an atlas: BIDS TSV files, and colour tables of FreeSurfer."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bids_utils.errors import SettingsError
from bids_utils.plain_files import read_utf8
from bids_utils.tables import MISSING, read_text_table
from configs.atlases import HOME_SPACE, Atlas, chosen_atlas
from configs.settings import AtlasSettings

COLUMNS = ("index", "name", "hemisphere", "structure", "network")
NETWORK_SETS = ("7Networks_", "17Networks_")
YEO_NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default", "TempPar")
SHOWN = 5


def read_label_table(atlas: Atlas) -> pd.DataFrame:
    """Regions of an atlas: index (int), name, hemisphere, structure, network.

    What is not said is n/a. A column `label` stands for a missing `name`; names of the Schaefer
    atlas (17Networks_LH_DefaultA_PFCm_1) tell the network. Background (index 0) is left out.

    Raises
    ------
    SettingsError
        Columns are missing, an index is not a whole number, a name is empty, or (not in
        colour tables, which serve many images) something is there twice.
    DatasetError
        The file cannot be read.
    """
    path = atlas.labels_file
    is_colour_table = path.suffix == ".txt"
    raw = _read_colour_table(path) if is_colour_table else read_text_table(path)
    if "name" not in raw and "label" in raw:
        raw = raw.rename(columns={"label": "name"})
    if not {"index", "name"} <= set(raw.columns):
        raise SettingsError(
            f"{path}: has the columns {', '.join(raw.columns)}; a table of regions needs index "
            "and name"
        )
    table = raw.reindex(columns=list(COLUMNS)).assign(index=_whole(raw["index"], path))
    table = table[table["index"] != 0].reset_index(drop=True)
    if atlas.structure is not None and "structure" not in raw:
        table["structure"] = atlas.structure
    if atlas.sides and "hemisphere" not in raw:
        table["hemisphere"] = [_side(name, atlas.sides) for name in table["name"]]
    if "network" not in raw:
        table["network"] = [network_in_name(name) for name in table["name"]]
    if not is_colour_table:
        check_regions(table, path)
    return table


def region_table(settings: AtlasSettings, output_dir: Path) -> pd.DataFrame | None:
    """Regions of the atlas of a study, as `read_label_table` gives them.

    Where the atlas itself is not there any more, its table in a derivative dataset; None if that
    is not there either.
    """
    name = settings.name
    kept = output_dir / "atlas" / f"tpl-{HOME_SPACE}_atlas-{name}_dseg.tsv"
    try:
        atlas = chosen_atlas(settings)
    except SettingsError:
        if not kept.is_file():
            return None
        atlas = Atlas(name, HOME_SPACE, kept, kept, "", "", "")
    return read_label_table(atlas)


def region_networks(table: pd.DataFrame) -> dict[str, str]:
    """Network of each region that has one, in the order of the table of `read_label_table`."""
    known = table[table["network"].notna()]
    return dict(zip(known["name"].astype(str), known["network"].astype(str), strict=True))


def network_in_name(region: str) -> str | None:
    """Network that the name of a region of the Schaefer atlas tells; None for other names.

    Such as DefaultA of 17Networks_LH_DefaultA_PFCm_1, or Vis of LH_Vis_3 (the names in XCP-D).
    """
    name = str(region)
    for start in NETWORK_SETS:
        name = name.removeprefix(start)
    hemisphere, _, place = name.partition("_")
    network, _, parcel = place.partition("_")
    is_known = hemisphere in ("LH", "RH") and network.startswith(YEO_NETWORKS)
    return network if is_known and parcel else None


def check_regions(table: pd.DataFrame, path: Path) -> None:
    """Refuse a table without regions, with one twice, or with a region without name.

    Raises
    ------
    SettingsError
        The message names the file, the regions and what to do.
    """
    if table.empty:
        raise SettingsError(f"{path}: holds no regions; give one line for each label of the image")
    nameless = table.loc[table["name"].isna(), "index"]
    if len(nameless):
        raise SettingsError(f"{path}: no name for index {shown(nameless)}; name each region")
    for column in ("index", "name"):
        twice = table.loc[table[column].duplicated(), column]
        if len(twice):
            raise SettingsError(
                f"{path}: {column} {shown(twice)} stands in more than one line; each region "
                f"needs its own {column}"
            )


def shown(values: pd.Series) -> str:
    """The first few values, and how many more there are."""
    listed = [str(value) for value in values.drop_duplicates()]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _whole(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[numbers.isna() | (numbers < 0) | (numbers % 1 != 0)].fillna("n/a")
    if len(wrong):
        raise SettingsError(
            f"{path}: index {shown(wrong)} is not a whole number above 0; index is the value of "
            "the region in the image"
        )
    return numbers.astype(int)


def _side(name: str, sides: tuple[tuple[str, str], ...]) -> str | None:
    return next((side for side, start in sides if str(name).startswith(start)), None)


def _read_colour_table(path: Path) -> pd.DataFrame:
    """Lines `index name R G B A`; lines that start with # are comments."""
    lines = [line.split() for line in read_utf8(path).splitlines()]
    rows = [cells[:2] for cells in lines if len(cells) > 1 and not cells[0].startswith("#")]
    table = pd.DataFrame(rows, columns=["index", "name"], dtype=object)
    return table[~table["name"].str.lower().isin(MISSING)] if len(table) else table
