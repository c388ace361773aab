"""The methods text tells what was done and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from configs.atlases import Atlas, find_atlas
from configs.settings import AtlasSettings, Settings
from workflows.citation import Provenance, methods_text

SITES = {"sites": {"column": "site", "method": "combat"}}
MECHANISM = {
    "name": "m",
    "mediators": [{"score": "WAI", "session": "s4"}],
    "outcome": {"score": "BDI", "session": "post"},
}


OWN = Atlas(
    name="Mine",
    space="Colin27",
    file=Path("x.nii.gz"),
    labels_file=Path("x.tsv"),
    licence="CC0-1.0",
    citation="Me (2020)",
    citation_short="Me",
    brain_file=Path("brain.nii.gz"),
)


def text_of(group=None, **provenance):
    settings = Settings.model_validate({"group": group or {}})
    return methods_text(settings, find_atlas("DesikanKilliany"), Provenance(**provenance))


def test_measures_of_other_tools_are_not_said_to_come_from_our_images():
    text = text_of(images=False, sources=("freesurfer",))
    assert "Brain measures were read from freesurfer" in text
    assert "skull-stripped" not in text
    assert "**Function.**" not in text
    assert "skull-stripped" in text_of()


def test_what_counts_as_volume_is_said_for_cortex_and_for_subcortical_structures():
    text = " ".join(text_of().split())
    assert "The volume of a cortical region in a session is its grey matter" in text
    assert "that of a subcortical structure all its tissue" in text


@pytest.mark.parametrize(
    ("group", "sentence"),
    [
        (SITES, "removed by longitudinal ComBat"),
        ({"mechanisms": [MECHANISM]}, "Mediation"),
        ({"scores": [{"name": "BDI"}]}, "reliable change of BDI follow Jacobson"),
        ({"correction": {"n_permutations": 777}}, "777 permutations"),
    ],
)
def test_only_what_was_asked_is_described(group, sentence):
    assert sentence in " ".join(text_of(group).split())
    assert sentence not in " ".join(text_of().split())


def test_regions_are_named_with_source_licence_and_the_space_they_were_carried_from():
    settings = Settings(atlas=AtlasSettings(name="Mine"))
    text = " ".join(methods_text(settings, OWN, Provenance()).split())
    assert "of the atlas Mine (Me (2020); licence: CC0-1.0), carried from Colin27 by" in text
    home = methods_text(settings, replace(OWN, brain_file=None), Provenance())
    assert "carried from" not in home
    assert "licence: BSD-3-Clause" in " ".join(text_of().split())
