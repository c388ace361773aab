import pytest

from configs.settings import AnatSettings
from workflows.template import (
    init_brain_wf,
    init_pairs_wf,
    init_sessions_wf,
    init_template_wf,
)


def edges(workflow):
    """Connections as 'node.field > node.field'."""
    return {
        f"{source.name}.{start} > {target.name}.{end}"
        for source, target, data in workflow._graph.edges(data=True)
        for start, end in data["connect"]
    }


def test_a_mask_is_refined_on_the_bias_corrected_head():
    workflow = init_sessions_wf(AnatSettings(n4_resolution_mm=3))
    assert {
        "conform.out_file > n4.in_file",
        "rough_mask.mask_file > n4.mask_file",
        "n4.out_file > mask.in_file",
        "mask.out_file > outputnode.head_files",
        "mask.mask_file > check.mask_files",
        "check.mask_files > outputnode.mask_files",
        "inputnode.t1w_files > mask.source_file",
        "conform.extracted > rough_mask.extracted",
    } <= edges(workflow)
    assert workflow.get_node("n4").inputs.resolution_mm == 3
    steps = [workflow.get_node(name) for name in ("conform", "rough_mask", "n4", "mask")]
    assert [step.iterfield[0] for step in steps] == ["in_file"] * 4


def test_both_images_of_a_pair_keep_their_masks():
    found = edges(init_pairs_wf())
    assert {
        f"pairs.{r}{k}_files > rigid.{r}{k}_file"
        for r in ("fixed", "moving")
        for k in ("", "_mask")
    } <= found
    assert init_pairs_wf().get_node("rigid").inputs.dof == 6


@pytest.mark.parametrize(("n_sessions", "registered"), [(1, False), (2, True), (4, True)])
def test_one_session_is_not_registered_to_anything(n_sessions, registered):
    workflow = init_template_wf(n_sessions, AnatSettings())
    assert (workflow.get_node("pairs_wf") is not None) == registered
    pairs = "pairs_wf.outputnode.pair_xfms > mean_space.pair_xfms"
    assert (pairs in edges(workflow)) == registered


def test_each_session_is_resampled_once_from_its_own_head():
    workflow = init_template_wf(2, AnatSettings(template_resolution_mm=1.5))
    assert {
        "sessions_wf.outputnode.head_files > to_template.in_file",
        "mean_space.session2template_xfms > to_template.xfm_file",
        "to_template.out_file > template.in_files",
        "brain_wf.outputnode.mask_file > outputnode.mask_file",
    } <= edges(workflow)
    assert workflow.get_node("mean_space").inputs.resolution_mm == 1.5


def test_limits_of_the_brain_volume_come_from_the_settings():
    refine = init_brain_wf(AnatSettings(min_brain_ml=500, max_brain_ml=2000)).get_node("refine")
    assert (refine.inputs.min_ml, refine.inputs.max_ml) == (500, 2000)
