"""Group level: measures, change, outcome models and the flow of participants."""

from __future__ import annotations

import json
from pathlib import Path

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline.engine import MapNode, Node, Workflow

from bids_utils.errors import DatasetError
from bids_utils.names import strip_label
from bids_utils.readers.sources import source_stamp
from configs.circuits import chosen_circuits
from configs.label_tables import region_networks, region_table
from configs.lock import Comparison, analysis_key, compare_lock, main_model, read_lock
from configs.settings import Settings
from workflows.compute.models import SCORE_KINDS
from workflows.interfaces.group import (
    Analysis,
    CohortFlow,
    CollectDerivatives,
    MeasureChange,
    SaveGroup,
)
from workflows.interfaces.group_quality import CohortQuality
from workflows.interfaces.measure_sources import CollectSources, Intake
from workflows.interfaces.outcomes import PatientOutcomes
from workflows.interfaces.qc_fc import QcFc
from workflows.interfaces.sites import HarmoniseSites
from workflows.questions import (
    analyses_of,
    covariates_of,
    planned_days,
    score_request,
    session_moments,
    session_order,
)

DERIVED_TABLES = (
    "sub-*/ses-*/anat/*_morph.tsv",
    "sub-*/ses-*/func/*_relmat.tsv",
    "sub-*/ses-*/func/*_desc-qc_bold.tsv",
    "sub-*/ses-*/func/*_desc-local_bold.tsv",
    "sub-*/ses-*/func/*_desc-contrasts_bold.tsv",
    "sub-*/ses-*/anat/*_desc-quality_T1w.tsv",
)
DATASET_TABLES = (
    "participants.tsv",
    "participants.json",
    "phenotype/*.tsv",
    "sub-*/sub-*_sessions.tsv",
    "sub-*/ses-*/sub-*_scans.tsv",
)

WIRES = (
    ("collect", "sites", "measures_file visits_file connectivity_file scans_file"),
    ("sites", "change", "measures_file connectivity_file"),
    ("collect", "change", "visits_file scans_file"),
    ("change", "outcomes", "sessions:scanned_sessions"),
    ("sites", "analyses", "measures_file connectivity_file"),
    ("collect", "analyses", "scans_file edges_file"),
    ("collect", "analyses", "measures_file:raw_measures connectivity_file:raw_connectivity"),
    ("change", "analyses", "waves_file sessions pair"),
    ("outcomes", "analyses", "scores_file score_sessions"),
    ("analyses", "model_files", "model_files:in1"),
    ("collect", "problem_files", "problems_file:in1"),
    ("sites", "problem_files", "problems_file:in2"),
    ("change", "problem_files", "problems_file:in3"),
    ("outcomes", "problem_files", "problems_file:in4"),
    ("analyses", "problem_files", "problems_file:in5"),
    ("quality", "problem_files", "problems_file:in6"),
    ("change", "qc_fc", "connectivity_change_file pairs_file"),
    ("collect", "qc_fc", "edges_file"),
    ("quality", "qc_fc", "quality_pairs_file"),
    ("qc_fc", "problem_files", "problems_file:in7"),
    ("collect", "flow", "visits_file"),
    ("change", "flow", "change_file pair"),
    ("outcomes", "flow", "scores_file"),
    ("analyses", "flow", "sensitivity_file:sensitivity_files"),
    ("model_files", "flow", "out:model_files"),
    ("problem_files", "flow", "out:problem_files"),
    ("sites", "files", "measures_file:in1 connectivity_file:in2 raw_files:in11"),
    ("collect", "files", "scans_file:in3 edges_file:in4"),
    ("change", "files", "change_file:in5 connectivity_change_file:in6 pairs_file:in7"),
    ("flow", "files", "flow_file:in8 problems_file:in9"),
    ("outcomes", "files", "outcome_files:in10"),
    ("quality", "files", "quality_file:in12 quality_pairs_file:in13"),
    ("qc_fc", "files", "qc_fc_file:in14 qc_fc_edges_file:in15"),
    ("files", "save_group", "out:files"),
    ("model_files", "save_group", "out:model_files"),
    ("flow", "save_group", "sensitivity_file"),
    ("save_group", "outputnode", "group_dir group_files"),
)
"""From, to, and the fields, `output:input` where their names differ."""


def init_group_wf(
    output_dir: Path,
    bids_dir: Path,
    intake: Intake | None,
    settings: Settings,
    name: str = "group_wf",
) -> Workflow:
    """Workflow from derivatives (own or other tools') to OUTPUT_DIR/group.

    The files that are read are listed when the workflow is made; a node runs again if one of
    them changed. outputnode: `group_dir`, `group_files`.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset with ledger.tsv.
    bids_dir : Path
        Dataset with participants.tsv, phenotype/ and dates of the sessions.
    intake : Intake or None
        Where the measures come from; None: own derivatives.
    settings : Settings
        Settings of the study.
    """
    files_read = existing(bids_dir, DATASET_TABLES)
    tables: dict[str, str | list[str]] = {"bids_dir": str(bids_dir), "table_files": files_read}
    intake = intake or Intake()
    locked = locked_analyses(output_dir, bids_dir, intake, settings)
    asked = as_locked(asked_of(settings, intake), locked)
    nodes = [
        _collect_node(output_dir, intake, settings, tables),
        _quality_node(output_dir, intake, settings),
        _qc_fc_node(output_dir, settings),
        _sites_node(output_dir, intake, settings, tables),
        _change_node(settings),
        Node(PatientOutcomes(asked=score_request(settings), **tables), "outcomes"),
        _analysis_nodes(settings, asked, tables),
        _flow_node(settings, locked, tables),
        Node(Merge(1, ravel_inputs=True), "model_files"),
        Node(Merge(7, ravel_inputs=True), "problem_files"),
        Node(Merge(15, ravel_inputs=True), "files"),
        Node(SaveGroup(output_dir=str(output_dir)), "save_group", overwrite=True),
        Node(IdentityInterface(["group_dir", "group_files"]), "outputnode"),
    ]
    workflow = Workflow(name)
    workflow.add_nodes(nodes)
    known = {node.name: node for node in nodes}
    workflow.connect([(known[one], known[other], _pairs(text)) for one, other, text in WIRES])
    return workflow


def existing(folder: Path, patterns: tuple[str, ...]) -> list[str]:
    """Files of a folder that match one of the patterns, in text order."""
    return [
        _found(path, "a link that leads nowhere; fetch the file it stands for")
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
    ]


def input_tables(
    bids_dir: Path, sources: tuple[tuple[str, Path], ...], exclude: Path | None
) -> dict[str, Path]:
    """Tables that decide the results, by their path in the dataset, and given ones by name."""
    found = [Path(file) for file in existing(bids_dir, DATASET_TABLES)]
    inside = {str(path.relative_to(bids_dir)): path for path in found}
    given = [path for _, path in sources] + ([exclude] if exclude else [])
    return inside | {path.name: path for path in given if path.is_file()}


def locked_analyses(
    output_dir: Path, bids_dir: Path, intake: Intake, settings: Settings
) -> Comparison | None:
    """Which planned analyses are as locked; None if nothing was locked."""
    lock = read_lock(output_dir)
    if lock is None:
        return None
    tables = input_tables(bids_dir, intake.sources, settings.sessions.exclude)
    return compare_lock(lock, settings, tables)


def _collect_node(
    output_dir: Path, intake: Intake, settings: Settings, tables: dict[str, str | list[str]]
) -> Node:
    own: dict[str, object] = {}
    if intake.derivatives:
        advice = "run the levels plan and participant first, or give a table with --measures"
        own = {
            "derivative_files": existing(output_dir, DERIVED_TABLES),
            "ledger_file": _found(output_dir / "ledger.tsv", advice),
            **_function_rule(output_dir, settings),
        }
    if intake.derivatives and not intake.sources:
        return Node(CollectDerivatives(atlas=settings.atlas.name, **own), "collect")
    interface = CollectSources(
        sources=[(name, str(path)) for name, path in intake.sources],
        stamps=[source_stamp(path) for _, path in intake.sources],
        request=source_request(settings, intake),
        atlas=settings.atlas.name,
        session_order=session_order(settings),
        interval_days=list(settings.sessions.interval_days or ()),
        **tables,
        **own,
    )
    return Node(interface, "collect", mem_gb=2)


def _function_rule(output_dir: Path, settings: Settings) -> dict[str, object]:
    """What the nodes that read BOLD derivatives are told, see FunctionRuleInputSpec."""
    func, atlas = settings.func, settings.atlas.name
    rule: dict[str, object] = {"min_clean_minutes": func.min_clean_minutes}
    rule["connectivity"] = func.connectivity
    table = region_table(settings.atlas, output_dir)
    if table is None:
        return rule
    circuits = chosen_circuits(func.circuits, atlas, table["name"])
    ends = {name: [list(sources), list(targets)] for name, (sources, targets) in circuits.items()}
    return rule | {"networks": region_networks(table), "circuits": ends}


def source_request(settings: Settings, intake: Intake) -> dict[str, object]:
    """What is asked of each source, as fields of SourceRequest."""
    wanted = settings.sources.model_dump(exclude={"scans", "session"}, exclude_none=True)
    scans = {
        name: (strip_label(who, "sub"), strip_label(when, "ses"))
        for name, (who, when) in settings.sources.scans.items()
    }
    return wanted | {
        "scans": scans,
        "session": strip_label(settings.sources.session or "", "ses"),
        "participants": tuple(strip_label(label, "sub") for label in intake.participants),
        "sessions": tuple(strip_label(label, "ses") for label in intake.sessions),
    }


def _sites_node(
    output_dir: Path, intake: Intake, settings: Settings, tables: dict[str, str | list[str]]
) -> Node:
    group = settings.group
    ledger = {"ledger_file": str(output_dir / "ledger.tsv")} if intake.derivatives else {}
    interface = HarmoniseSites(
        column=group.sites.column or "",
        method=group.sites.method,
        arm_column=group.arm_column or "",
        covariates=list(group.covariates),
        session_order=session_order(settings),
        **tables,
        **ledger,
    )
    return Node(interface, "sites", mem_gb=4)


def _quality_node(output_dir: Path, intake: Intake, settings: Settings) -> Node:
    own: dict[str, str | list[str]] = {}
    if intake.derivatives:
        own = {
            "derivative_files": existing(output_dir, DERIVED_TABLES),
            "ledger_file": str(output_dir / "ledger.tsv"),
        }
        if settings.sessions.exclude:
            own["exclude_file"] = _found(settings.sessions.exclude, "correct sessions.exclude")
    return Node(CohortQuality(session_order=session_order(settings), **own), "quality")


def _qc_fc_node(output_dir: Path, settings: Settings) -> Node:
    interface = QcFc(output_dir=str(output_dir), random_seed=settings.random_seed)
    return Node(interface, "qc_fc", mem_gb=2)


def _flow_node(
    settings: Settings, locked: Comparison | None, tables: dict[str, str | list[str]]
) -> Node:
    interface = CohortFlow(
        arm_column=settings.group.arm_column or "",
        main_model=main_model(settings.group),
        covariates=list(covariates_of(settings.group)),
        notices=list(locked.notices) if locked else [],
        **tables,
    )
    return Node(interface, "flow")


def _analysis_nodes(
    settings: Settings, asked: list[tuple[str, str]], tables: dict[str, str | list[str]]
) -> MapNode:
    correction = settings.group.correction
    analysis = Analysis(
        alpha=settings.group.alpha,
        n_permutations=correction.n_permutations,
        network_threshold=correction.network_threshold or 0.0,
        random_seed=settings.random_seed,
        moments=json.dumps(list(session_moments(settings).items())),
        planned_days=json.dumps(list(planned_days(settings).items())),
        **tables,
    )
    nodes = MapNode(analysis, iterfield=["kind", "asked"], name="analyses", mem_gb=2)
    nodes.inputs.kind, nodes.inputs.asked = (list(column) for column in zip(*asked, strict=True))
    return nodes


def asked_of(settings: Settings, intake: Intake) -> list[tuple[str, str]]:
    """Analyses of a study; without brain measures none of change with symptoms."""
    asked = analyses_of(settings)
    if intake.derivatives or intake.sources:
        return asked
    return [
        (kind, text)
        for kind, text in asked
        if kind != "model" or json.loads(text)["kind"] not in SCORE_KINDS
    ]


def as_locked(asked: list[tuple[str, str]], locked: Comparison | None) -> list[tuple[str, str]]:
    """Analyses of which only those planned that are as they were locked."""
    if locked is None:
        return asked
    return [(kind, json.dumps(_as_locked(kind, json.loads(text), locked))) for kind, text in asked]


def _as_locked(kind: str, record: dict[str, object], locked: Comparison) -> dict[str, object]:
    """Record of an analysis; predictions are planned if they were locked."""
    is_declared = kind == "prediction" or bool(record["planned"])
    is_same = analysis_key(kind, str(record["name"])) in locked.planned
    return record | {"planned": is_declared and is_same}


def _change_node(settings: Settings) -> Node:
    compared = [strip_label(label, "ses") for label in settings.sessions.compared or ()]
    node = Node(MeasureChange(session_order=session_order(settings), compared=compared), "change")
    if settings.group.rescan:
        node.inputs.rescan_file = _found(settings.group.rescan, "correct group.rescan")
    return node


def _found(path: Path, advice: str) -> str:
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such file; {advice}")
    return str(path)


def _pairs(fields: str) -> list[tuple[str, str]]:
    """Fields that are connected, from a text such as "a b:in1"."""
    named = (field.partition(":") for field in fields.split())
    return [(source, target or source) for source, _, target in named]
