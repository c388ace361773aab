"""What reaches the nodes that work on a series in its final place."""

from pathlib import Path

from bids_utils.plan import BoldRun
from configs.settings import FuncSettings
from workflows.series import init_series_wf

RUN = BoldRun(Path("/data/sub-01/func/sub-01_task-rest_bold.nii.gz"), (), 1.75, 200)


def test_dummy_volumes_and_the_moment_of_the_slices_reach_who_needs_them():
    workflow = init_series_wf(RUN, FuncSettings())
    first = workflow.get_node("inputnode")
    for name in ("regions", "quality"):
        edge = workflow._graph.get_edge_data(first, workflow.get_node(name))
        assert ("n_dummy", "n_dummy") in edge["connect"]
    edge = workflow._graph.get_edge_data(first, workflow.get_node("clean"))
    assert ("slice_moment_s", "slice_moment_s") in edge["connect"]
