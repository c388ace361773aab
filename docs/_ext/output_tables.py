"""Which tables a run writes, and what their columns mean, in the words of their JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

from bids_utils.ledger import LEDGER_DICTIONARY
from workflows.atlas import LABEL_DICTIONARY
from workflows.cluster_jobs import MANIFEST_DICTIONARY
from workflows.compute.change import CHANGE_COLUMNS
from workflows.compute.compcor import SOURCES
from workflows.compute.completers import COMPLETER_COLUMNS
from workflows.compute.confounds import (
    NUMBERED_MEANINGS,
    TERM_MEANINGS,
    TISSUE_COLUMNS,
    confound_meanings,
)
from workflows.compute.flow import FLOW_COLUMNS
from workflows.compute.mechanisms import MASS_COLUMNS, MECHANISM_COLUMNS
from workflows.compute.model_permutation import NETWORK_COLUMNS
from workflows.compute.motion import MOTION_COLUMNS
from workflows.compute.outcome_baselines import BASELINE_COLUMNS
from workflows.compute.outcome_rates import DIFFERENCE_COLUMNS, RATE_COLUMNS
from workflows.compute.outcomes import CRITERIA_COLUMNS, OUTCOME_COLUMNS
from workflows.compute.pair_quality import ALL_QUALITY, PAIR_COLUMNS
from workflows.compute.power import SENSITIVITY_COLUMNS
from workflows.compute.problems import PROBLEM_COLUMNS
from workflows.compute.qc_fc import QC_FC_COLUMNS
from workflows.compute.results import MODEL_COLUMNS
from workflows.interfaces.anat_columns import (
    ANAT_QC_MEANINGS,
    THICKNESS_MEANINGS,
    TISSUE_MEANINGS,
    VOLUME_MEANINGS,
)
from workflows.interfaces.bold_quality import QUALITY_MEANINGS
from workflows.interfaces.group_columns import DESCRIPTIONS, UNITS
from workflows.interfaces.local_activity import LOCAL_MEANINGS
from workflows.interfaces.session_quality import QUALITY_DICTIONARY
from workflows.interfaces.task import CONTRAST_MEANINGS

Meanings = Mapping[str, Mapping[str, object]]
UNDER_ARM = "predicted *"
GROUP: Meanings = {
    name: {"Description": text} | ({"Units": UNITS[name]} if name in UNITS else {})
    for name, text in (
        DESCRIPTIONS | {UNDER_ARM: "Outcome predicted under an arm; one column an arm."}
    ).items()
}


@dataclass(frozen=True)
class OutputTable:
    """Tables of one kind: patterns of their paths, what they are, meanings of their columns."""

    title: str
    patterns: tuple[str, ...]
    about: str
    columns: Meanings

    def is_of(self, path: str) -> bool:
        """Whether a path, relative to the output folder, is such a table."""
        return any(fnmatch(path, pattern) for pattern in self.patterns)

    def explains(self, column: str) -> bool:
        """Whether a column of such a table has its meaning here; `*` stands for anything."""
        return any(fnmatch(column, pattern) for pattern in self.columns)


def _of_group(columns: str | list[str]) -> Meanings:
    names = columns.split() if isinstance(columns, str) else columns
    return {name: GROUP[name] for name in dict.fromkeys(names)}


def _in_group(title: str, about: str, columns: str | list[str], *names: str) -> OutputTable:
    return OutputTable(title, tuple(f"group/{name}" for name in names), about, _of_group(columns))


def _of_participant(title: str, about: str, columns: Meanings, pattern: str) -> OutputTable:
    return OutputTable(title, (f"sub-*/{pattern}",), about, columns)


QUALITY_COLUMNS = ["participant_id", "session_id", "modality"]
QUALITY_COLUMNS += [measure.name for measure in ALL_QUALITY]
QUALITY_COLUMNS += ["n_flags", "largest_z", "flag"]
MASS_MEDIATION = (
    "path term mediator estimate ci_low ci_high interval p p_fdr p_fwe bca_low bca_high "
    "a a_standard_error a_p b b_standard_error b_p direct df n note label reason fwe_method outcome"
)
MECHANISMS = " ".join([*MECHANISM_COLUMNS, *MASS_COLUMNS, MASS_MEDIATION])
ONE_A_REGION: Meanings = {"*": {"Description": "A column for each region of the atlas"}}
TERMS = ("", *TERM_MEANINGS)
EXPANDED = (*MOTION_COLUMNS, *TISSUE_COLUMNS)
CONFOUNDS: Meanings = (
    confound_meanings([name + term for name in EXPANDED for term in TERMS])
    | confound_meanings(["csf_wm", "framewise_displacement", "rmsd", "dvars", "std_dvars"])
    | {f"{name}*": confound_meanings([name])[name] for name in NUMBERED_MEANINGS}
    | {
        f"{letter}_comp_cor_*": {"Description": f"Principal component of {source}"}
        for letter, source in SOURCES.items()
    }
)

TABLES = (
    OutputTable(
        "Ledger",
        ("ledger.tsv", "logs/sub-*/ledger.tsv"),
        "One row per image, also the missing ones.",
        LEDGER_DICTIONARY,
    ),
    OutputTable(
        "Jobs of a cluster",
        ("logs/jobs/*/manifest.tsv",),
        "One row per task of a submission.",
        MANIFEST_DICTIONARY,
    ),
    OutputTable("Regions", ("atlas/*_dseg.tsv",), "The atlas.", LABEL_DICTIONARY),
    _of_participant(
        "Anatomy of a participant",
        "One row: can the anatomy be trusted?",
        ANAT_QC_MEANINGS,
        "anat/*_desc-anat_qc.tsv",
    ),
    _of_participant(
        "Volume and deformation",
        "One row per region, for each session.",
        VOLUME_MEANINGS,
        "ses-*/anat/*_desc-volume_morph.tsv",
    ),
    _of_participant(
        "Thickness",
        "One row per region, for each session.",
        THICKNESS_MEANINGS,
        "ses-*/anat/*_desc-thickness_morph.tsv",
    ),
    _of_participant(
        "Tissue",
        "One row per tissue, for each session.",
        TISSUE_MEANINGS,
        "ses-*/anat/*_desc-tissue_morph.tsv",
    ),
    _of_participant(
        "Quality of a T1w image",
        "One row, for each session.",
        QUALITY_DICTIONARY,
        "ses-*/anat/*_desc-quality_T1w.tsv",
    ),
    _of_participant(
        "Quality of a BOLD run",
        "One row, for each run.",
        QUALITY_MEANINGS,
        "ses-*/func/*_desc-qc_bold.tsv",
    ),
    _of_participant(
        "Local activity",
        "One row per region, for each run.",
        LOCAL_MEANINGS,
        "ses-*/func/*_desc-local_bold.tsv",
    ),
    _of_participant(
        "Confounds",
        "One row per volume, for each run.",
        CONFOUNDS,
        "ses-*/func/*_desc-confounds_timeseries.tsv",
    ),
    _of_participant(
        "Time series of regions",
        "One row per volume, for each run.",
        ONE_A_REGION,
        "ses-*/func/*_stat-mean_timeseries.tsv",
    ),
    _of_participant(
        "Connectivity of a session",
        "One row per region, in the order of the columns; Fisher z.",
        ONE_A_REGION,
        "ses-*/func/*_relmat.tsv",
    ),
    _of_participant(
        "Design of a task",
        "One row per volume, for each run with a model.",
        {"*": {"Description": "A column for each condition, confound and slow cosine"}},
        "ses-*/func/*_desc-design_timeseries.tsv",
    ),
    _of_participant(
        "Contrasts of a task",
        "One row per contrast and region, for each task of a session.",
        CONTRAST_MEANINGS,
        "ses-*/func/*_desc-contrasts_bold.tsv",
    ),
    _in_group(
        "Measures",
        "One row per participant, session and region. `measures_raw.tsv` is the same before "
        "differences between sites were removed (`combat`).",
        "participant_id session_id modality measure atlas region value unit standard_error qc",
        "measures.tsv",
        "measures_raw.tsv",
    ),
    _in_group(
        "Change",
        "One row per participant, pair of sessions and region.",
        CHANGE_COLUMNS,
        "change.tsv",
    ),
    _in_group(
        "Scans of connectivity",
        "Rows of `connectivity_A.npy`.",
        "participant_id session_id modality clean_minutes",
        "connectivity_*_scans.tsv",
    ),
    _in_group(
        "Edges of connectivity",
        "Columns of `connectivity_A.npy`.",
        "region_a region_b atlas",
        "connectivity_*_edges.tsv",
    ),
    _in_group(
        "Pairs of connectivity",
        "Rows of `connectivity_A_change.npy`.",
        "participant_id modality baseline followup interval_days baseline_row followup_row",
        "connectivity_*_pairs.tsv",
    ),
    _in_group("Quality of scans", "One row per scan.", QUALITY_COLUMNS, "quality.tsv"),
    _in_group(
        "Quality of pairs",
        "One row per pair of sessions and metric.",
        PAIR_COLUMNS,
        "quality_pairs.tsv",
    ),
    _in_group(
        "Motion and change of connectivity",
        "Three numbers over all edges.",
        ["modality", "atlas", "baseline", "followup", *QC_FC_COLUMNS],
        "qc_fc.tsv",
    ),
    _in_group(
        "Motion and change of each edge",
        "One row per edge.",
        "modality atlas baseline followup region_a region_b distance_mm r p n",
        "qc_fc_edges.tsv",
    ),
    _in_group(
        "Scores",
        "One row per participant, session and score.",
        "participant_id session_id score value moment role",
        "scores.tsv",
    ),
    _in_group(
        "Outcomes", "One row per participant, score and follow-up.", OUTCOME_COLUMNS, "outcomes.tsv"
    ),
    _in_group(
        "Criteria of outcomes", "One row per score.", CRITERIA_COLUMNS, "outcome_criteria.tsv"
    ),
    _in_group(
        "Rates of outcomes",
        "One row per outcome, arm and way of counting.",
        RATE_COLUMNS,
        "outcome_rates.tsv",
    ),
    _in_group(
        "Differences of rates",
        "One row per outcome and arm.",
        DIFFERENCE_COLUMNS,
        "outcome_differences.tsv",
    ),
    _in_group(
        "Change and baseline", "One row per score.", BASELINE_COLUMNS, "outcome_baselines.tsv"
    ),
    _in_group(
        "Time to response",
        "One row per arm and time.",
        "arm time at_risk n_events n_censored share ci_low ci_high score",
        "time_to_response.tsv",
    ),
    _in_group(
        "Time to response, arms compared",
        "One row per test.",
        "term estimate standard_error ci_low ci_high df statistic p standardised n note score",
        "time_to_response_arms.tsv",
    ),
    _in_group(
        "Completers", "One row per arm and characteristic.", COMPLETER_COLUMNS, "completers.tsv"
    ),
    _in_group("Flow", "One row per step and arm.", FLOW_COLUMNS, "flow.tsv"),
    _in_group("Problems", "One row per problem or note.", PROBLEM_COLUMNS, "problems.tsv"),
    _in_group(
        "Sensitivity",
        "The smallest effects that could have been found.",
        SENSITIVITY_COLUMNS,
        "models/sensitivity.tsv",
    ),
    _in_group(
        "Networks",
        "One row per connected network of edges.",
        NETWORK_COLUMNS,
        "models/*_networks.tsv",
    ),
    _in_group(
        "Mechanisms",
        "`mechanism_NAME.tsv`: one row per path, or one per region where the mediator has no "
        "region.",
        MECHANISMS,
        "models/mechanism_*.tsv",
    ),
    _in_group(
        "Notes on processes",
        "`process_NAME_notes.tsv`: how the model fits.",
        "model note",
        "models/process_*_notes.tsv",
    ),
    _in_group(
        "Processes",
        "`process_NAME.tsv`: one row per question and term.",
        "model planned analysis process outcome term estimate standard_error ci_low ci_high df "
        "statistic p standardised n note",
        "models/process_*.tsv",
    ),
    _in_group(
        "Facts on predictions",
        "`prediction_NAME_facts.tsv`: items of TRIPOD.",
        "item text model",
        "models/prediction_*_facts.tsv",
    ),
    _in_group(
        "Calibration of predictions",
        "`prediction_NAME_calibration.tsv`: observed beside predicted.",
        "predictor bin n predicted observed ci_low ci_high model",
        "models/prediction_*_calibration.tsv",
    ),
    OutputTable(
        "Choice of treatment for each person",
        ("group/models/prediction_*_selection_people.tsv",),
        "`prediction_NAME_selection_people.tsv`: predicted outcome under each arm; made where "
        "people were randomised.",
        _of_group("participant_id arm observed advantage indicated received model")
        | {UNDER_ARM: GROUP[UNDER_ARM]},
    ),
    _in_group(
        "Choice of treatment",
        "`prediction_NAME_selection.tsv`: did people do better in the arm that was indicated?",
        "contrast estimate ci_low ci_high p n n_other note model planned",
        "models/prediction_*_selection.tsv",
    ),
    _in_group(
        "Prediction for each person",
        "`prediction_NAME_people.tsv`: one row per participant.",
        "participant_id observed mean clinical brain clinical+brain interval_low interval_high "
        "note model",
        "models/prediction_*_people.tsv",
    ),
    _in_group(
        "Predictions",
        "`prediction_NAME.tsv`: skill beside the clinical model.",
        "model planned target predictor metric estimate ci_low ci_high p n note",
        "models/prediction_*.tsv",
    ),
    _in_group(
        "Models",
        "All other tables in `models/`, also `*_edges.tsv`: one row per tested region or edge.",
        MODEL_COLUMNS,
        "models/*.tsv",
    ),
)
"""In the order in which a path is tried: the first kind that fits is the one."""


def table_of(path: str) -> OutputTable | None:
    """Kind of the table at a path relative to the output folder; None: not known."""
    return next((table for table in TABLES if table.is_of(path)), None)
