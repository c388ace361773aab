"""The methods text tells what was done and nothing else."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from configs.atlases import Atlas, find_atlas
from configs.settings import AtlasSettings, Settings
from workflows.citation import (
    GroupRan,
    Ran,
    all_references,
    group_ran,
    methods_text,
    named_references,
)
from workflows.provenance import RunSteps, Steps

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
REST = RunSteps("sub-01_ses-pre_task-rest", "rest", False, None, False)
DERIVED = replace(REST, fmriprep="23.2.1")
ANATOMY, BOTH = Steps(("pre", "post"), ()), Steps(("pre", "post"), (REST,))
EVERYTHING = GroupRan(
    *([True] * 9), ("BDI",), True, frozenset({"cross_lagged", "latent_change"}),
    frozenset({"tangent"}),
)  # fmt: skip


def text_of(*steps, group=None, settings=None, **ran):
    atlas = find_atlas("DesikanKilliany")
    text = methods_text(settings or Settings(), atlas, Ran(steps, **ran), group)
    return " ".join(text.split())


def test_measures_of_other_tools_are_not_said_to_come_from_our_images():
    text = text_of(sources=("freesurfer",), group=GroupRan(is_linear=True))
    assert "Brain measures were read from freesurfer" in text
    for word in ("skull-stripped", "**Function.**", "Regions are those", "Greve"):
        assert word not in text


def test_what_counts_as_volume_is_said_for_cortex_and_for_subcortical_structures():
    text = text_of(ANATOMY)
    assert "The volume of a cortical region in a session is its grey matter" in text
    assert "that of a subcortical structure all its tissue" in text


def test_only_steps_that_ran_are_told():
    assert "**Function.**" not in text_of(ANATOMY)
    assert "**Anatomy.**" not in text_of(Steps((), (DERIVED,)))
    assert "**Statistics.**" not in text_of(BOTH)
    assert "Images of 2 people were processed" in text_of(BOTH, ANATOMY)
    assert "as planned" not in text_of(BOTH)


def test_what_was_not_run_yet_is_called_planned():
    text = text_of(BOTH, planned=True)
    assert text.startswith("# Methods, as planned Nothing of this was run yet")
    assert "Images were processed with" in text


@pytest.mark.parametrize(
    ("done", "sentence"),
    [
        ((True, True), "Slices were brought to the middle of the volume. BOLD"),
        ((True, False), "middle of the volume in the runs whose slice times are known. BOLD"),
        ((False, False), "steady state were left out. BOLD"),
    ],
)
def test_slice_timing_is_told_as_it_was_applied(done, sentence):
    runs = tuple(replace(REST, slice_timing=one) for one in done)
    assert sentence in text_of(Steps(("pre",), runs))


def test_fmriprep_is_named_with_the_version_of_its_results():
    text = text_of(Steps((), (DERIVED, DERIVED)))
    assert "preprocessed by fMRIPrep 23.2.1 (Esteban et al., 2019)" in text
    assert "realigned" not in text
    both = text_of(Steps(("pre",), (DERIVED, REST)))
    assert "BOLD of some runs was preprocessed by fMRIPrep 23.2.1" in both
    assert "BOLD volumes of the other runs were realigned" in both
    unknown = text_of(Steps((), (replace(DERIVED, fmriprep=""),)))
    assert "preprocessed by fMRIPrep (Esteban" in unknown


def test_only_tasks_that_were_modelled_are_named():
    runs = (REST, replace(REST, task="faces", task_model=True), replace(REST, task="nback"))
    assert "Tasks (faces) were modelled" in text_of(Steps(("pre",), runs))
    assert "Tasks (" not in text_of(BOTH)


@pytest.mark.parametrize(
    ("done", "sentence"),
    [
        ({"is_harmonised": True}, "removed by longitudinal ComBat (Beer"),
        ({"mechanisms": True}, "Mediation models are linear"),
        ({"scores": ("BDI",)}, "reliable change of BDI follow Jacobson"),
        ({"is_tested": True, "is_permuted": True}, "by up to 5000 permutations of"),
        ({"is_tested": True}, "the family-wise error by Holm"),
        ({"is_mixed": True}, "linear mixed model"),
        ({"is_adjusted": True, "is_linear": True}, "adjusted for baseline."),
        ({"has_networks": True}, "network-based statistic (Zalesky"),
        ({"processes": frozenset({"latent_change"})}, "within- and between-person parts; latent"),
        ({"predictions": frozenset({"tangent"})}, "tangent space; Varoquaux"),
    ],
)
def test_only_analyses_with_results_are_told(done, sentence):
    assert sentence in text_of(ANATOMY, group=GroupRan(**done))
    assert sentence not in text_of(ANATOMY, group=GroupRan())


def test_permutations_within_sites_are_told_where_there_are_sites():
    done = GroupRan(is_tested=True, is_permuted=True)
    sites = Settings.model_validate({"group": {"sites": {"column": "site"}}})
    assert "2014) within sites, else" in text_of(ANATOMY, group=done, settings=sites)
    assert "2014), else" in text_of(ANATOMY, group=done)


def test_regions_are_named_with_source_licence_and_the_space_they_were_carried_from():
    settings = Settings(atlas=AtlasSettings(name="Mine"))
    text = " ".join(methods_text(settings, OWN, Ran((ANATOMY,))).split())
    assert "of the atlas Mine (Me (2020); licence: CC0-1.0), carried from Colin27 by" in text
    home = methods_text(settings, replace(OWN, brain_file=None), Ran((ANATOMY,)))
    assert "carried from" not in home
    assert "carried from" not in methods_text(settings, OWN, Ran((Steps((), (DERIVED,)),)))
    assert "licence: BSD-3-Clause" in text_of(ANATOMY)


def test_each_work_that_is_named_has_a_reference_and_no_other_is_listed():
    settings = Settings.model_validate({"func": {"connectivity": "partial"}})
    steps = (BOTH, Steps((), (DERIVED,)))
    text = text_of(*steps, group=EVERYTHING, settings=settings)
    body, _, listed = text.partition("## References")
    assert named_references(body, all_references()) == all_references()
    named = set(re.findall(r"((?:19|20)\d\d)[);]", body.replace("et al., ", "")))
    assert named <= set(re.findall(r"\((\d{4})\)", listed))
    few = text_of(ANATOMY).partition("## References")[2]
    assert "Tustison" in few
    for author in ("Beer", "Esteban", "Zalesky", "Hamaker", "Power"):
        assert author not in few


def write_model(folder, name, method="Holm"):
    write_table(pd.DataFrame({"fwe_method": [method]}), folder / "models" / f"{name}.tsv")


def test_a_refused_analysis_is_not_told(tmp_path):
    group = {"mechanisms": [MECHANISM], "scores": [{"name": "BDI"}], "arm_column": "arm"}
    settings = Settings.model_validate({"group": group})
    write_model(tmp_path, "change", "Freedman-Lane, largest |t|, 34 all relabellings")
    write_table(pd.DataFrame({"score": ["BDI", "BDI"]}), tmp_path / "outcomes.tsv")
    found = group_ran(tmp_path, settings)
    assert found == GroupRan(is_linear=True, is_tested=True, is_permuted=True, scores=("BDI",))
    write_model(tmp_path, "mechanism_m")
    write_model(tmp_path, "symptoms_BDI_edges")
    more = group_ran(tmp_path, settings)
    assert (more.mechanisms, more.is_correlated, more.is_mixed) == (True, True, False)
