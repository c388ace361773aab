"""Group level: measures, change, outcome models and the flow of participants."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline.engine import MapNode, Node, Workflow

from bids_utils.errors import DatasetError
from bids_utils.names import strip_label
from configs.settings import (
    Settings,
)
from workflows.interfaces.group import (
    Analysis,
    CohortFlow,
    CollectDerivatives,
    CollectTable,
    MeasureChange,
    SaveGroup,
)
from workflows.interfaces.outcomes import PatientOutcomes
from workflows.questions import analyses_of, score_request, session_order

DERIVED_TABLES = (
    "sub-*/ses-*/anat/*_morph.tsv",
    "sub-*/ses-*/func/*_relmat.tsv",
    "sub-*/ses-*/func/*_desc-qc_bold.tsv",
)
DATASET_TABLES = (
    "participants.tsv",
    "participants.json",
    "phenotype/*.tsv",
    "sub-*/sub-*_sessions.tsv",
    "sub-*/ses-*/sub-*_scans.tsv",
)


def init_group_wf(
    output_dir: Path,
    bids_dir: Path,
    measures_table: Path | None,
    settings: Settings,
    name: str = "group_wf",
) -> Workflow:
    """Workflow from derivatives (or a table of measures) to OUTPUT_DIR/group.

    The files that are read are listed when the workflow is made; a node runs again if one of
    them changed. outputnode: `group_dir`, `group_files`.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset with ledger.tsv.
    bids_dir : Path
        Dataset with participants.tsv, phenotype/ and dates of the sessions.
    measures_table : Path or None
        A long table of measures instead of the derivatives.
    settings : Settings
        Settings of the study.
    """
    files_read = existing(bids_dir, DATASET_TABLES)
    tables: dict[str, str | list[str]] = {"bids_dir": str(bids_dir), "table_files": files_read}
    collect = _collect_node(output_dir, measures_table, settings, tables)
    change = _change_node(settings)
    outcomes = Node(PatientOutcomes(asked=score_request(settings), **tables), "outcomes")
    analyses = _analysis_nodes(settings, tables)
    model_files = Node(Merge(1, ravel_inputs=True), "model_files")
    problem_files = Node(Merge(4, ravel_inputs=True), "problem_files")
    arm_column = settings.group.arm_column or ""
    flow = Node(CohortFlow(arm_column=arm_column, **tables), "flow")
    files = Node(Merge(10, ravel_inputs=True), "files")
    save_group = Node(SaveGroup(output_dir=str(output_dir)), "save_group", overwrite=True)
    outputnode = Node(IdentityInterface(["group_dir", "group_files"]), "outputnode")
    workflow = Workflow(name)
    workflow.connect(
        [
            (collect, change, _same("measures_file visits_file connectivity_file scans_file")),
            (change, outcomes, [("sessions", "scanned_sessions")]),
            (collect, analyses, _same("measures_file connectivity_file scans_file edges_file")),
            (change, analyses, _same("waves_file sessions pair")),
            (outcomes, analyses, _same("scores_file score_sessions")),
            (analyses, model_files, [("model_files", "in1")]),
            (collect, problem_files, [("problems_file", "in1")]),
            (change, problem_files, [("problems_file", "in2")]),
            (outcomes, problem_files, [("problems_file", "in3")]),
            (analyses, problem_files, [("problems_file", "in4")]),
            (collect, flow, _same("visits_file")),
            (change, flow, _same("change_file pair")),
            (outcomes, flow, _same("scores_file")),
            (analyses, flow, [("sensitivity_file", "sensitivity_files")]),
            (model_files, flow, [("out", "model_files")]),
            (problem_files, flow, [("out", "problem_files")]),
            (collect, files, _numbered("measures_file connectivity_file scans_file edges_file")),
            (change, files, _numbered("change_file connectivity_change_file pairs_file", 5)),
            (flow, files, _numbered("flow_file problems_file", 8)),
            (outcomes, files, _numbered("outcome_files", 10)),
            (files, save_group, [("out", "files")]),
            (model_files, save_group, [("out", "model_files")]),
            (flow, save_group, [("sensitivity_file", "sensitivity_file")]),
            (save_group, outputnode, _same("group_dir group_files")),
        ]
    )
    return workflow


def existing(folder: Path, patterns: tuple[str, ...]) -> list[str]:
    """Files of a folder that match one of the patterns, in text order."""
    return [
        _found(path, "a link that leads nowhere; fetch the file it stands for")
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
    ]


def _collect_node(
    output_dir: Path,
    measures_table: Path | None,
    settings: Settings,
    tables: dict[str, str | list[str]],
) -> Node:
    advice = "run the levels plan and participant first, or give a table with --measures"
    if measures_table is None:
        interface = CollectDerivatives(
            derivative_files=existing(output_dir, DERIVED_TABLES),
            ledger_file=_found(output_dir / "ledger.tsv", advice),
            atlas=settings.atlas.name,
            min_clean_minutes=settings.func.min_clean_minutes,
        )
    else:
        interface = CollectTable(
            measures_table=_found(measures_table, "check the path after --measures"),
            session_order=session_order(settings),
            interval_days=list(settings.sessions.interval_days or ()),
            **tables,
        )
    return Node(interface, "collect")


def _analysis_nodes(settings: Settings, tables: dict[str, str | list[str]]) -> MapNode:
    correction = settings.group.correction
    analysis = Analysis(
        alpha=settings.group.alpha,
        n_permutations=correction.n_permutations,
        network_threshold=correction.network_threshold or 0.0,
        random_seed=settings.random_seed,
        moments=json.dumps(list(settings.sessions.moments.items())),
        planned_days=list(accumulate(settings.sessions.interval_days or (), initial=0.0)),
        **tables,
    )
    asked = analyses_of(settings)
    nodes = MapNode(analysis, iterfield=["kind", "asked"], name="analyses", mem_gb=2)
    nodes.inputs.kind, nodes.inputs.asked = (list(column) for column in zip(*asked, strict=True))
    return nodes


def _change_node(settings: Settings) -> Node:
    compared = [strip_label(label, "ses") for label in settings.sessions.compared or ()]
    return Node(MeasureChange(session_order=session_order(settings), compared=compared), "change")


def _found(path: Path, advice: str) -> str:
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such file; {advice}")
    return str(path)


def _same(fields: str) -> list[tuple[str, str]]:
    return [(field, field) for field in fields.split()]


def _numbered(fields: str, first: int = 1) -> list[tuple[str, str]]:
    return [(field, f"in{first + place}") for place, field in enumerate(fields.split())]
