"""Reporting checklists, COBIDAS and TRIPOD, filled from what was really done.

What the program cannot know is left to the authors and says so; nothing is guessed.
"""

from __future__ import annotations

import pandas as pd

from configs.settings import Settings
from workflows.compute.families import EDGES
from workflows.compute.term_words import SCORE
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_pages import Part, lines_of
from workflows.interfaces.report_prediction import facts_of, predictions_of
from workflows.interfaces.report_tables import sheets

AUTHORS = "to be filled by the authors"
NOT_APPLICABLE = "not applicable"
COBIDAS_TITLE = "COBIDAS checklist (Nichols et al. 2017)"
TRIPOD_TITLE = "TRIPOD checklist (Collins et al. 2015)"


def checklist_parts(results: GroupResults) -> tuple[Part, ...]:
    """COBIDAS, and TRIPOD where something was predicted; nothing without results."""
    if not results.models and not results.extras:
        return ()
    parts = [_part(COBIDAS_TITLE, cobidas(results))]
    for name, scores in predictions_of(results):
        table = tripod(results, name, scores)
        parts.append(_part(f"{TRIPOD_TITLE}: {name.replace('_', ' ')}", table))
    return tuple(parts)


def cobidas(results: GroupResults) -> pd.DataFrame:
    """Items on the analysis of brain images with what was done; columns item, entry."""
    settings = results.settings
    entries = {
        "Participants: number, flow, exclusions": _participants(results),
        "Participants: recruitment, eligibility, ethics": AUTHORS,
        "Design: groups and assignment": _design(settings),
        "Design: sessions and their order": _sessions(results),
        "Acquisition: scanner, sequences, parameters": AUTHORS,
        **_preprocessing(results),
        "Quality control": f"{len(results.problems)} problems noted (problems.tsv)",
        "Atlas or regions": _regions(results),
        "Modelling: models and formulas": _models(results),
        "Modelling: covariates": _covariates(settings),
        "Modelling: sites or scanners": _sites(settings),
        "Modelling: repeated measures": _repeated(results),
        "Inference: tests and two-sidedness": f"two-sided, alpha {settings.group.alpha:g}",
        "Inference: correction for many tests": _correction(results),
        "Inference: correction of connections by networks": _networks(results),
        "Results: effect sizes and intervals": (
            f"every row: estimate, {100 * settings.group.confidence:g} % interval, effect size"
        ),
        "Results: tests without a finding": "all are in the tables, with the smallest effect",
        "Results: power": "smallest effect found with 80 % power (models/sensitivity.tsv)",
        "Data sharing": AUTHORS,
        "Reproducibility: software and version": "see Methods (logs/CITATION.md)",
        "Reproducibility: settings": "settings.yaml, shown under Methods",
        "Reproducibility: random numbers": f"random_seed {settings.random_seed}",
    }
    return _table(entries)


def tripod(results: GroupResults, name: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Items on a prediction model with what was done; columns item, entry."""
    facts = facts_of(results, name)
    n, target = scores["n"].max(), str(scores["target"].iloc[0])
    metrics = ", ".join(dict.fromkeys(scores["metric"].astype(str)))
    entries = {
        "1 Title, 2 Abstract, 3 Background and objectives": AUTHORS,
        "4 Source of data, dates": AUTHORS,
        "5 Participants: setting, eligibility, treatment": AUTHORS,
        "6a Outcome": target,
        "6b Blinding of the outcome": AUTHORS,
        "7a Predictors": facts.get("predictors", AUTHORS),
        "7b Blinding of the predictors": AUTHORS,
        "8 Sample size": f"{n:.0f} participants; not planned by the program",
        "9 Missing data": _joined(facts, ("left out", "missing values")),
        "10a Handling of predictors": _joined(facts, ("confounds", "harmonisation")),
        "10b Type of model, internal validation": _joined(facts, ("model", "validation", "tuning")),
        "10d Measures of performance": metrics,
        "10e Updating of the model": NOT_APPLICABLE,
        "11 Risk groups": NOT_APPLICABLE,
        "12 Development against validation": "internal validation only; no other cohort",
        "13a Flow of participants": "see Participants",
        "13b Characteristics of participants": AUTHORS,
        "14a Participants and events": _joined(facts, ("participants", "events")),
        "14b Unadjusted association of each predictor": "not done by the program",
        "15a Full model": "the weights are not published: one model is fitted per fold",
        "15b How to use the model": "not for single persons",
        "16 Performance with intervals": "see the scores; " + facts.get("intervals of scores", ""),
        "17 Results of updating": NOT_APPLICABLE,
        "18 Limitations": "see the text of this prediction; " + AUTHORS,
        "19 Interpretation, 20 Implications": AUTHORS,
        "21 Supplementary information": "settings.yaml and the tables beside this page",
        "22 Funding": AUTHORS,
    }
    return _table(entries)


def _part(title, table):
    n_open = int((table["entry"] == AUTHORS).sum())
    said = f"{len(table)} entries; {n_open} are to be filled by the authors."
    return Part(title, lines=lines_of([said]), sheets=sheets(checklist=table))


def _table(entries):
    return pd.DataFrame(
        {"item": list(entries), "entry": [text.strip("; ") or AUTHORS for text in entries.values()]}
    )


def _joined(facts, items):
    return "; ".join(f"{item}: {facts[item]}" for item in items if item in facts)


def _participants(results):
    flow = results.flow
    if not len(flow):
        return AUTHORS
    rows = flow[(flow["arm"] == "all") & (flow["detail"].fillna("") == "")]
    rows = rows[rows["reason"].fillna("") == ""]
    return "; ".join(f"{row.step}: {row.n:.0f}" for row in rows.itertuples())


def _design(settings: Settings) -> str:
    group = settings.group
    if not group.arm_column:
        return "one group; no comparison"
    assigned = "assigned at random" if group.randomised else "not assigned at random"
    reference = f", compared with {group.reference_arm}" if group.reference_arm else ""
    return f"arms in column {group.arm_column}{reference}; {assigned} (by the settings)"


def _sessions(results):
    order = results.settings.sessions.order
    pair = results.pair
    compared = f"; compared: ses-{pair[0]} and ses-{pair[1]}" if pair else ""
    ordered = f"order: {', '.join(order)}" if order else "order by dates of the dataset"
    return f"{ordered}{compared}"


def _preprocessing(results):
    derived = (results.output_dir / "logs" / "CITATION.md").is_file() and len(results.ledger)
    func = results.settings.func
    if not derived:
        return {"Preprocessing": f"done before; measures were read from tables: {AUTHORS}"}
    band = f"{func.high_pass_hz:g} Hz high-pass"
    band += f", {func.low_pass_hz:g} Hz low-pass" if func.low_pass_hz else ""
    limit = func.fd_threshold_mm
    motion = "none left out"
    if limit is not None:
        motion = f"volumes above {limit:g} mm framewise displacement left out"
    return {
        "Preprocessing: anatomy": "see Methods (logs/CITATION.md)",
        "Preprocessing: BOLD confounds and filter": f"{func.strategy}; {band}; {motion}",
        "Preprocessing: least clean time of a session": f"{func.min_clean_minutes:g} minutes",
    }


def _regions(results):
    atlases = {
        str(name)
        for table in results.models.values()
        for name in table["atlas"].dropna().unique()
        if str(name) not in ("", "n/a")
    }
    return ", ".join(sorted(atlases)) or AUTHORS


def _models(results):
    return f"{len(results.models)} tables of models; formulas under Models fitted"


def _covariates(settings):
    return ", ".join(settings.group.covariates) or "none in the standard models"


def _sites(settings):
    sites = settings.group.sites
    return (
        f"column {sites.column}, method {sites.method}"
        if sites.column
        else "one site, or not declared"
    )


def _repeated(results):
    formulas = {str(f) for table in results.models.values() for f in table["formula"].dropna()}
    mixed = [formula for formula in formulas if formula.startswith("value ~")]
    if mixed:
        return "difference scores, and mixed models with Satterthwaite degrees of freedom"
    return "difference scores of two sessions" if formulas else NOT_APPLICABLE


def _correction(results):
    methods = {
        str(text)
        for table in results.models.values()
        for text in table["fwe_method"].dropna().unique()
        if str(text)
    }
    lead = "false discovery rate (Benjamini-Hochberg) within families"
    return "; ".join([lead, *(f"family-wise: {method}" for method in sorted(methods))])


def _networks(results):
    tested = any((table["measure"] == EDGES).any() for table in results.models.values())
    networks = [name for name in results.extras if name.endswith("_networks")]
    if networks:
        threshold = results.settings.group.correction.network_threshold
        return f"network-based statistic, t above {threshold:g}"
    only = all((table["modality"] == SCORE).all() for table in results.models.values())
    return NOT_APPLICABLE if only or not tested else "none"
