from pathlib import Path

import pandas as pd
import pytest

from bids_utils.errors import SettingsError
from configs.atlases import Atlas, find_atlas
from configs.label_tables import read_label_table, region_networks, region_table
from configs.settings import AtlasSettings


@pytest.fixture
def read(tmp_path):
    """Return a function that reads the text of a table, with what else is known."""

    def read_text(text, name="labels.tsv", **known):
        path = tmp_path / name
        path.write_text(text)
        fixed = {"licence": "", "citation": "", "citation_short": ""}
        atlas = Atlas("Mine", "Colin27", Path("x.nii"), path, **fixed, **known)
        return read_label_table(atlas)

    return read_text


def test_columns_are_put_in_order_and_what_is_not_said_is_missing(read):
    table = read("name\tcolour\tindex\tstructure\nleft one\tred\t7\tcortex\nn1\tblue\t3\tn/a\n")
    assert table.columns.tolist() == ["index", "name", "hemisphere", "structure", "network"]
    assert table["index"].tolist() == [7, 3]
    assert table["name"].tolist() == ["left one", "n1"]
    assert table["hemisphere"].isna().all()
    assert table["structure"].isna().tolist() == [False, True]


def test_labels_stand_for_names_and_the_background_is_left_out(read):
    table = read("index\tlabel\n0\tbackground\n12.0\tL_V1\n")
    assert table[["index", "name"]].to_numpy().tolist() == [[12, "L_V1"]]


def test_side_and_structure_come_from_the_registry_where_the_table_has_none(read):
    known = {"structure": "cortex", "sides": (("L", "LH_"), ("R", "RH_"))}
    table = read("index\tname\n1\tRH_LH_a\n2\tLH_b\n3\tmiddle\n", **known)
    assert table["hemisphere"].tolist()[:2] == ["R", "L"]
    assert pd.isna(table["hemisphere"].iloc[2])
    assert table["structure"].tolist() == ["cortex"] * 3
    said = read("index\tname\themisphere\n1\tRH_a\tL\n", **known)
    assert said["hemisphere"].tolist() == ["L"]


def test_a_colour_table_of_freesurfer_is_read_with_its_comments(read):
    text = "#No. Label R G B A\n\n0  Unknown 0 0 0 0\n17 Left-Hippo 220 216 20 0\n18\tL-Amy 1 2\n"
    table = read(text, "lut.txt")
    assert table[["index", "name"]].to_numpy().tolist() == [[17, "Left-Hippo"], [18, "L-Amy"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("number\tname\n1\ta\n", "has the columns number, name; .* needs index and name"),
        ("index\tname\n1.5\ta\n2\tb\n", r"index 1.5 is not a whole number"),
        ("index\tname\n-3\ta\n", r"index -3 is not a whole number"),
        ("index\tname\nn/a\ta\n", r"index n/a is not a whole number"),
        ("index\tname\n4\ta\n4\tb\n", r"index 4 stands in more than one line"),
        ("index\tname\n1\tsame\n2\tsame\n", r"name same stands in more than one line"),
        ("index\tname\n1\tn/a\n", r"no name for index 1"),
        ("index\tname\n0\tUnknown\n", "holds no regions"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_name(read, text, message):
    with pytest.raises(SettingsError, match=rf"labels.tsv: {message}"):
        read(text)


def test_names_of_the_schaefer_atlas_tell_the_network(read):
    names = ["17Networks_LH_DefaultA_PFCm_1", "RH_Vis_12", "7Networks_RH_Vis", "LH_Hippo_1"]
    rows = [f"{index}\t{name}\n" for index, name in enumerate(names, 1)]
    table = read("index\tname\n" + "".join(rows))
    assert region_networks(table) == {
        "17Networks_LH_DefaultA_PFCm_1": "DefaultA",
        "RH_Vis_12": "Vis",
    }


def test_a_column_of_networks_is_taken_as_it_is(read):
    table = read("index\tname\tnetwork\n7\t7Networks_RH_Vis_1\tmine\n3\tb\tn/a\n")
    assert region_networks(table) == {"7Networks_RH_Vis_1": "mine"}


def test_every_region_of_the_cortex_of_desikan_killiany_has_a_network_on_both_sides():
    table = read_label_table(find_atlas("DesikanKilliany"))
    networks = region_networks(table)
    assert set(networks) == set(table.loc[table["structure"] != "brainstem", "name"])
    known = {
        "insula": "VentralAttention",
        "pericalcarine": "Visual",
        "rostralanteriorcingulate": "Default",
        "precentral": "Somatomotor",
        "superiorparietal": "DorsalAttention",
        "amygdala": "Subcortical",
    }
    for name, network in known.items():
        assert networks[f"lh_{name}"] == networks[f"rh_{name}"] == network


def test_the_table_of_an_atlas_that_is_gone_is_that_of_the_derivatives(tmp_path):
    settings = AtlasSettings(name="DesikanKillianyy")
    assert region_table(settings, tmp_path) is None
    kept = tmp_path / "atlas" / "tpl-MNI152NLin2009aSym_atlas-DesikanKillianyy_dseg.tsv"
    kept.parent.mkdir()
    kept.write_text("index\tname\tnetwork\n3\ta\tX\n")
    assert region_networks(region_table(settings, tmp_path)) == {"a": "X"}
    known = region_table(AtlasSettings(), tmp_path)
    assert region_networks(known)["lh_cuneus"] == "Visual"
