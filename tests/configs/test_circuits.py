import pytest

from bids_utils.errors import SettingsError
from configs.atlases import find_atlas
from configs.circuits import chosen_circuits, known_circuits
from configs.label_tables import read_label_table

DESIKAN = read_label_table(find_atlas("DesikanKilliany"))["name"].tolist()
SCHAEFER = [
    "17Networks_LH_SalVentAttnA_Ins_1",
    "17Networks_RH_SalVentAttnA_FrMed_1",
    "17Networks_LH_SalVentAttnA_Ins_2",
    "17Networks_RH_SalVentAttnA_Ins_1",
    "17Networks_LH_SalVentAttnA_FrMed_1",
]


def test_all_circuits_of_an_atlas_name_regions_it_has():
    chosen = chosen_circuits(None, "DesikanKilliany", DESIKAN)
    assert list(chosen) == list(known_circuits())
    assert chosen["amygdala_insula"] == (
        ("lh_amygdala", "rh_amygdala"),
        ("lh_insula", "rh_insula"),
    )
    for sources, targets in chosen.values():
        assert not set(sources) & set(targets)


def test_a_name_with_an_asterisk_stands_for_all_that_begin_like_it():
    sources, targets = chosen_circuits(("salience",), "Schaefer100x17", SCHAEFER)["salience"]
    assert sources == (SCHAEFER[0], SCHAEFER[2], SCHAEFER[3])
    assert targets == (SCHAEFER[4], SCHAEFER[1])


def test_the_order_is_that_of_the_settings_and_none_is_a_choice():
    asked = ("reward", "salience")
    assert tuple(chosen_circuits(asked, "DesikanKilliany", DESIKAN)) == asked
    assert chosen_circuits((), "DesikanKilliany", DESIKAN) == {}
    assert chosen_circuits(None, "Mine", ["a"]) == {}


@pytest.mark.parametrize(
    ("name", "atlas", "regions", "message"),
    [
        ("saliense", "DesikanKilliany", DESIKAN, "did you mean 'salience'"),
        ("reward", "Schaefer100x17", SCHAEFER, "only in DesikanKilliany"),
        ("reward", "DesikanKilliany", ["lh_accumbens"], "no region 'lh_accumbensarea'"),
        ("salience", "Schaefer100x17", SCHAEFER[:2], "no region '17Networks_RH_SalVentAttnA_Ins_"),
    ],
)
def test_what_cannot_be_had_is_named(name, atlas, regions, message):
    with pytest.raises(SettingsError, match=message.replace("*", r"\*")):
        chosen_circuits((name,), atlas, regions)
