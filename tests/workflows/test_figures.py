"""The workflows of pictures: fields of the anatomy and function, and names of the files."""

from pathlib import Path

from bids_utils.plan import BoldRun
from configs.settings import Settings
from workflows.anat import init_anat_wf
from workflows.figures import (
    ANAT_FIGURE_OUTPUTS,
    BOLD_FIGURE_OUTPUTS,
    CONNECTIVITY_CHANGE_OUTPUTS,
    CONNECTIVITY_FIGURE_OUTPUTS,
    LATER_SESSION,
    init_anat_figures_wf,
    init_bold_figures_wf,
    init_connectivity_change_wf,
    init_connectivity_figures_wf,
)
from workflows.func import init_bold_wf
from workflows.interfaces.participant_page import CAPTIONS
from workflows.task import TASK_FIGURE_OUTPUTS


def test_each_picture_has_its_own_name_and_a_caption():
    rows = (*ANAT_FIGURE_OUTPUTS, *BOLD_FIGURE_OUTPUTS, *TASK_FIGURE_OUTPUTS)
    own = {row.field for row in rows}
    more = (*CONNECTIVITY_FIGURE_OUTPUTS, *CONNECTIVITY_CHANGE_OUTPUTS)
    rows += tuple(row for row in more if row.field not in own)
    descs = [dict(row.entities)["desc"] for row in rows]
    assert len(set(descs)) == len(descs)
    assert set(descs) == set(CAPTIONS)
    assert {row.datatype for row in rows} == {"figures"}


def test_inputs_of_the_run_pictures_are_outputs_of_the_run():
    figures = init_bold_figures_wf(2.0, 0.4)
    wanted = set(figures.get_node("inputnode").inputs.copyable_trait_names())
    run = BoldRun(Path("bold.nii.gz"), (("sub", "01"), ("task", "rest")), 2.0, 100)
    bold = init_bold_wf(run, Settings())
    assert wanted <= set(bold.get_node("outputnode").inputs.copyable_trait_names())
    assert wanted >= {"boldref_file", "bold_dseg_file", "carpet_file"}
    motion = figures.get_node("motion_figure").inputs
    assert (motion.repetition_time_s, motion.fd_threshold_mm) == (2.0, 0.4)


def test_titles_of_sessions_keep_their_order_in_time():
    workflow = init_anat_figures_wf(("pre", "post", "fu"))
    assert workflow.get_node("session_figures").inputs.titles == ["ses-pre", "ses-post", "ses-fu"]
    sources = {
        (edge[0].name, edge[1].name): data["connect"]
        for *edge, data in workflow._graph.edges(data=True)
    }
    assert ("session_t1w_files", "in_files") in sources[("inputnode", "session_figures")]
    assert ("template_mni_file", "in_file") in sources[("inputnode", "mni_figure")]
    assert ("out_files", "session_figures") in sources[("session_figures", "outputnode")]


def test_pictures_of_change_know_the_sessions_in_time_order_and_leave_out_the_first():
    workflow = init_anat_figures_wf(("pre", "post", "fu"))
    for name in ("volume_change", "thickness_change"):
        node = workflow.get_node(f"change_figures_wf.{name}")
        assert node.inputs.session_labels == ["pre", "post", "fu"]
    later = {row.field for row in ANAT_FIGURE_OUTPUTS if row.scope == LATER_SESSION}
    assert later == {"volume_change_figures", "thickness_change_figures"}


def test_inputs_of_the_anatomical_pictures_are_outputs_of_the_anatomy():
    wanted = init_anat_figures_wf(("pre",)).get_node("inputnode").inputs.copyable_trait_names()
    anatomy = init_anat_wf(1, Settings()).get_node("outputnode").inputs.copyable_trait_names()
    assert set(wanted) <= set(anatomy)


def test_pictures_of_connectivity_know_the_atlas_its_circuits_and_the_sessions_in_time_order():
    workflow = init_connectivity_figures_wf("Mine", ("salience",))
    seeds = workflow.get_node("seeds_figure").inputs
    assert (seeds.atlas, seeds.circuits) == ("Mine", ["salience"])
    everything = init_connectivity_figures_wf("Mine", None).get_node("seeds_figure").inputs
    assert everything.circuits is None
    outputs = workflow.get_node("outputnode").inputs.copyable_trait_names()
    assert set(outputs) == {row.field for row in CONNECTIVITY_FIGURE_OUTPUTS}
    change = init_connectivity_change_wf(("pre", "post", "fu"))
    assert change.get_node("change_figures").inputs.session_labels == ["pre", "post", "fu"]
    edges = {
        (edge[0].name, edge[1].name): data["connect"]
        for *edge, data in change._graph.edges(data=True)
    }
    assert edges[("change_figures", "outputnode")] == [
        ("matrix_files", "connectivity_change_figures"),
        ("brain_files", "connectome_change_figures"),
    ]
