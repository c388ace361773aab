"""What the page says first, what may not be concluded, and what was tested and how."""

from __future__ import annotations

import pandas as pd

from workflows.compute.design import level_text
from workflows.compute.findings import NOT_RANDOMISED_CAUTION, ONE_ARM_CAUTION
from workflows.compute.regression_to_mean import baseline_warning
from workflows.compute.term_words import has_one_arm, is_association
from workflows.interfaces import report_mechanisms, report_prediction
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_pages import Chapter, Line, Part, lines_of
from workflows.interfaces.report_tables import sheets

NO_RESULTS = "There are no results: the tables of the models are missing or empty."
MANY_TESTS = 20


def short_chapter(results: GroupResults) -> Chapter:
    """Planned findings, what may not be concluded, then everything else folded."""
    planned = [Line(f.sentence, f.caution) for f in results.findings if f.planned]
    other = [Line(f.sentence, f.caution) for f in results.findings if not f.planned]
    more = [*report_mechanisms.headline(results), *report_prediction.headline(results)]
    planned += lines_of(more)
    one_arm = one_arm_text(results)
    parts = [
        Part(cautions=(one_arm,) if one_arm else (), lines=lines_of(overview(results))),
        Part("Planned questions", lines=tuple(planned)),
        Part("What may not be concluded", lines=lines_of(limits(results))),
        Part(
            f"Other questions: second models, checks and quality of the data ({len(other)})",
            lines=tuple(other),
            folded=True,
        ),
    ]
    kept = tuple(part for part in parts if not part.is_empty)
    level = f"{100 * results.settings.group.alpha:g}"
    lead = (
        '"After correction" means: the false discovery rate within one family of tests is '
        f"{level} %. Not significant does not mean no change."
    )
    found = bool(planned or other)
    return Chapter(
        "short", "In short", "In short", kept if found else (), lead if found else "", NO_RESULTS
    )


def overview(results: GroupResults) -> list[str]:
    """How many planned questions were tested, in how many something was found, what is left."""
    planned = [finding for finding in results.findings if finding.planned]
    if not planned:
        return []
    tested = [finding for finding in planned if finding.n_tests]
    found = [finding for finding in tested if finding.n_significant]
    noun = "planned question was" if len(tested) == 1 else "planned questions were"
    said = (
        f"{len(tested)} {noun} tested: {len(found)} with a result that is significant after "
        f"correction, {len(tested) - len(found)} without."
    )
    if len(planned) > len(tested):
        said += f" {len(planned) - len(tested)} could not be tested."
    chance = (
        "Correction is within a question: where there is nothing to find, up to "
        f"{100 * results.settings.group.alpha:g} in 100 questions show something by chance."
    )
    n_problems = len(results.problems)
    noted = f"Problems and notes: {n_problems}; Problems says what was left out or done otherwise."
    return [said, chance if len(tested) > 1 else "", noted if n_problems else ""]


def one_arm_text(results: GroupResults) -> str:
    """Caution for a study with one group; empty for more."""
    families = [*results.families(scores=False), *results.families(scores=True)]
    if not any(has_one_arm(rows) for rows in families):
        return ""
    return f"{ONE_ARM_CAUTION} Time, practice, season and other care change brains and scores too."


def limits(results: GroupResults) -> list[str]:
    """What the results may not be taken for, as far as the design says."""
    if not results.findings:
        return []
    said, cautions = [], " ".join(finding.caution for finding in results.findings)
    if NOT_RANDOMISED_CAUTION in cautions:
        said.append(
            "Groups were not assigned at random: their differences are not effects of treatment."
        )
    if one_arm_text(results):
        said.append(
            "Without a second group nothing shows that the treatment made the change: people "
            "who seek help at their worst get better, and brains change, without it too."
        )
    if any(is_association(rows) for rows in results.families(scores=False)):
        said.append(
            "That brain and symptoms change together does not show that one changed the other; "
            "both may follow something else, such as time or motion."
        )
    said += baseline_warnings(results)
    if any(finding.n_tests and not finding.n_significant for finding in results.findings):
        said.append(
            "A result that is not significant does not show that there is nothing: read its "
            "interval, and the smallest effect this sample could have found."
        )
    if any(finding.n_tests > MANY_TESTS and finding.n_significant for finding in results.findings):
        said.append("The strongest of many results is likely too large; only new data can tell.")
    return [*said, "No result here is advice about a single person."]


def baseline_warnings(results: GroupResults) -> list[str]:
    """Expected size of regression to the mean where baseline severity is a term of a model."""
    reliable = {}
    if len(results.outcomes["outcome_criteria"]):
        table = results.outcomes["outcome_criteria"]
        reliable = dict(zip(table["score"], table["reliability"], strict=True))
    said = []
    for score in [score.name for score in results.settings.group.scores]:
        users = baseline_users(results, score)
        if users:
            problem = baseline_warning(score, reliable.get(score))
            what = problem.what[0].upper() + problem.what[1:]
            said.append(f"{what} (used in {', '.join(users)}); {problem.what_to_do}.")
    return said


def baseline_users(results: GroupResults, score: str) -> list[str]:
    """Models and mechanisms that have the baseline of a score among their terms."""
    group, first = results.settings.group, _first_session(results)
    names = {f"{score}_ses-{first}", f"{score}@{first}", f"{score}_baseline", f"baseline_{score}"}
    everywhere = ["all models"] if names & set(group.covariates) else []
    models = [
        f"model {model.name}"
        for model in group.models
        if model.moderator in names or any(name in model.formula for name in names)
    ]
    mechanisms = [
        f"mechanism {made.name}"
        for made in group.mechanisms
        if made.moderator in names or names & set(made.covariates)
    ]
    return [*everywhere, *models, *mechanisms]


def _first_session(results):
    if results.pair:
        return results.pair[0]
    if len(results.change):
        return str(results.change["baseline"].iloc[0])
    return (results.settings.sessions.order or ("",))[0].removeprefix("ses-")


def tests_chapter(results: GroupResults, checklists: tuple[Part, ...]) -> Chapter:
    """Number of tests, corrections, smallest effects and formulas; then the checklists."""
    table = tested_table(results)
    n_tests = int(table["tests"].sum()) if len(table) else 0
    families = len(table)
    said = []
    if families:
        said.append(
            f"{n_tests} tests were made in {families} families; each family and term is one line "
            "of the table. Correction is within a family, not over all of them: among many "
            "families some results are expected by chance."
        )
        planned = int(table["planned"].astype(bool).sum())
        said.append(f"{planned} of these lines were planned; the others are exploratory.")
    formulas = formulas_of(results)
    tested = Part(
        lines=lines_of(said),
        sheets=sheets(what_was_tested=table, smallest_effects=results.sensitivity),
    )
    models = Part("Models fitted", lines=lines_of(formulas))
    if not len(results.sensitivity):
        missing = lines_of(["sensitivity.tsv is missing or empty."])
        checklists = (Part("Smallest effects", lines=missing), *checklists)
    parts = (tested, models, *checklists)
    return Chapter(
        "tests",
        "What was tested and how",
        "Tests",
        tuple(part for part in parts if not part.is_empty),
    )


def formulas_of(results: GroupResults) -> list[str]:
    """Formulas of all models, each once, with the models they belong to."""
    found: dict[str, list[str]] = {}
    for name, table in results.models.items():
        for formula in dict.fromkeys(table["formula"].dropna().astype(str)):
            found.setdefault(formula, []).append(name)
    return [f"{formula}  ({_few(names)})" for formula, names in found.items() if formula]


def tested_table(results: GroupResults) -> pd.DataFrame:
    """One row a family and term: tests, findings, corrections and the smallest effect."""
    smallest = {}
    if len(results.sensitivity):
        for row in results.sensitivity.itertuples():
            smallest[(row.family, str(row.term))] = (
                f"{row.effect_size_name} {row.smallest_bonferroni:.2f}"
            )
    rows = []
    corrections = _corrections(results)
    for finding in results.findings:
        rows.append(
            {
                "family": finding.family,
                "term": finding.term,
                "planned": finding.planned,
                "tests": finding.n_tests,
                "significant after correction": finding.n_significant,
                "family-wise correction": corrections.get(finding.family, ""),
                "smallest effect": smallest.get((finding.family, finding.term), ""),
            }
        )
    return pd.DataFrame(rows)


def _corrections(results):
    found = {}
    for table in results.models.values():
        pairs = table[["family", "fwe_method"]].drop_duplicates("family")
        found |= {family: level_text(method) for family, method in pairs.to_numpy().tolist()}
    return found


def _few(names):
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
