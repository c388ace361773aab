"""What reaches the nodes that work on a series in its final place."""

from pathlib import Path

from bids_utils.plan import BoldRun
from configs.settings import FuncSettings
from workflows.series import init_series_wf

RUN = BoldRun(Path("/data/sub-01/func/sub-01_task-rest_bold.nii.gz"), (), 1.75, 200)


def test_the_number_of_dummy_volumes_reaches_all_that_measure_noise():
    workflow = init_series_wf(RUN, FuncSettings())
    first = workflow.get_node("inputnode")
    for name in ("regions", "quality"):
        edge = workflow._graph.get_edge_data(first, workflow.get_node(name))
        assert ("n_dummy", "n_dummy") in edge["connect"]
