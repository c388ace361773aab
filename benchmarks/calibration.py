"""Error rates, intervals and power of every model of the group level, on simulated trials.

Run with ``python benchmarks/calibration.py`` (under 4 minutes, one core). Trials have two arms, two
sites, age, and values that go missing after baseline more often in those who began high. A
region is a trial of its own; regions share the people of a design and the designs vary. Rates
must be met within three Monte-Carlo errors. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from workflows.compute.design import DesignRequest
from workflows.compute.families import Cohort, Family
from workflows.compute.model_permutation import PermutationPlan
from workflows.compute.models import run_model
from workflows.compute.power import sensitivity_table
from workflows.compute.results import ONE_ARM, ModelKind, ModelSpec

SESSIONS, WEEKS = ("pre", "post", "fu"), (0.0, 8.0, 26.0)
N_DESIGNS, N_REGIONS, N_DATA_SETS = 100, 20, 500
COVERED, LEVEL, POWER = (0.935, 0.965), 0.05, 0.8
SIZES, ENDS, CORRELATIONS = (0.0, 0.5, 1.5), (0.0, 1.5), (0.0, 0.3, 0.6)
AGE, CHANGE_OF_ALL, WEEKLY = 0.3, -0.4, 0.03
CONTRAST = ("CBT and NFB - WL", (("CBT", 0.5), ("NFB", 0.5), ("WL", -1.0)))
PLAN = PermutationPlan(199, 2.5, random_seed=1)
N_NODES = 15
INTERVALS = ("ci_low", "ci_high", "effect_low", "effect_high")
POWERED = ("change", "change, n = 16", "one arm", "baseline_adjusted", "mixed", "symptoms")


@dataclass(frozen=True)
class Trial:
    """How trials are made.

    `size` is the difference between arms (or the mean change of one arm) in standard
    deviations of change; `rho` the correlation of what is new at follow-up in measure and score
    (or of change with the moderator). `shared` is the correlation of their baselines. `leave`
    is the increase of the log odds of dropout for each standard deviation above the mean at
    the session before, in the first arm and in the others.
    """

    n: int = 40
    arms: tuple[str, ...] = ("WL", "CBT")
    n_sessions: int = 2
    size: float = 0.0
    rho: float = 0.0
    shared: float = 0.0
    age: float = AGE
    dropout: float = 0.15
    leave: tuple[float, float] = (0.8, 0.8)
    slopes: bool = False
    moderated: bool = False
    remission: bool = False

    @property
    def interaction(self) -> float:
        """Slope of the change on the moderator in the second arm beyond that in the first."""
        return 2 * self.rho / np.sqrt(1 - self.rho**2) if self.moderated else 0.0

    @property
    def deviation(self) -> float:
        """Standard deviation of change within arms, first to last session."""
        if self.slopes:
            return float(np.sqrt(1 + (WEEKLY * WEEKS[-1]) ** 2 + self.age**2))
        slopes = self.age, self.age + self.interaction
        return float(np.sqrt(1 + np.mean(np.square(slopes))))


@dataclass(frozen=True)
class Model:
    """A model, the trials it is calibrated on, and the true value and effect size of its rows.

    `truth` takes the trial and the name of the term.
    """

    name: str
    spec: ModelSpec
    trial: Trial
    truth: Callable[[Trial, str], tuple[float, float]]
    sizes: tuple[float, ...] = SIZES
    varies: str = "size"


@dataclass(frozen=True)
class Rates:
    """Shares of the tests of a model over all designs, and rows without a value or a reason.

    `positive` is the share of p below .05 where the true effect is 0 (NaN: it never is), or of
    all where it never is 0. `covered` are the intervals of estimate and effect size.
    """

    n: int
    positive: float
    covered: tuple[float, float]
    incomplete: int


def people_of(trial: Trial, rng: np.random.Generator) -> pd.DataFrame:
    """Arm, site and age (mean 0, SD 1 in the sample); arms are drawn, of equal size."""
    arms = rng.permutation(np.resize(trial.arms, trial.n))
    age = rng.normal(size=trial.n)
    age = (age - age.mean()) / age.std(ddof=1)
    site = np.where(rng.random(trial.n) < 0.4, "north", "south")
    site[:4] = ["north", "north", "south", "south"]
    return pd.DataFrame({"arm": arms.astype(object), "site": site.astype(object), "age": age})


def score_of(trial: Trial, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Baseline of the score and what is new at its follow-up, standard normal."""
    return rng.normal(size=trial.n), rng.normal(size=trial.n)


def simulated(trial: Trial, n_regions: int, rng: np.random.Generator) -> tuple[Cohort, Family]:
    """Cohort and family of regions of one design."""
    people = people_of(trial, rng)
    score_before, score_new = score_of(trial, rng)
    score_after = 0.5 * score_before + np.sqrt(0.75) * score_new
    mean = 0.5 * people["age"].to_numpy() + 0.8 * (people["site"] == "north").to_numpy()
    weeks = weeks_of(trial, rng)
    shift = mean_change(trial, people, weeks)
    if trial.remission:
        shift[1:] += trial.size * (score_after <= 0) * np.sqrt(1 + trial.age**2)
    new = score_new, score_before
    values = noise(trial, n_regions, new, weeks, rng) + (mean + shift)[:, :, None]
    leave(values, trial, people, rng)
    scores = pd.DataFrame({("BDI", "pre"): score_before, ("BDI", "post"): score_after})
    last = SESSIONS[trial.n_sessions - 1]
    scores[("BDI", last)] = score_after
    scores.columns = pd.MultiIndex.from_tuples(scores.columns)
    change = pd.DataFrame({"BDI": score_after - score_before})
    days = pd.DataFrame(7 * weeks.T, columns=list(SESSIONS[: trial.n_sessions]))
    cohort = Cohort(people, change, scores, days, ("pre", last))
    return cohort, regions(values)


def weeks_of(trial: Trial, rng: np.random.Generator) -> np.ndarray:
    """Weeks from baseline, n_sessions x n_participants; the last is the same for all."""
    weeks = np.repeat(np.array(WEEKS[: trial.n_sessions])[:, None], trial.n, axis=1)
    if trial.n_sessions > 2:
        weeks[1] += rng.uniform(-2, 2, trial.n)
    return weeks


def mean_change(trial: Trial, people: pd.DataFrame, weeks: np.ndarray) -> np.ndarray:
    """Expected change of each session and person."""
    treated = (people["arm"] != trial.arms[0]).to_numpy(float)
    if len(trial.arms) == 1:
        treated, everybody = np.ones(trial.n), 0.0
    else:
        everybody = CHANGE_OF_ALL
    age = people["age"].to_numpy()
    size = 0.0 if trial.remission else trial.size * trial.deviation
    later = everybody + size * treated + (trial.age + trial.interaction * treated) * age
    part = weeks / WEEKS[-1] if trial.slopes else (weeks > 0).astype(float)
    return part * later


def noise(trial, n_regions, score, weeks, rng) -> np.ndarray:
    """Values around their expectation: variance 1, correlation .5 of any two sessions."""
    shape = trial.n, n_regions
    if trial.slopes:
        person, slope = rng.normal(size=shape), WEEKLY * rng.normal(size=shape)
        error = np.sqrt(0.5) * rng.normal(size=(trial.n_sessions, *shape))
        return np.sqrt(0.5) * person + slope * weeks[:, :, None] + error
    if trial.n_sessions > 2:
        error = rng.normal(size=(trial.n_sessions, *shape))
        return np.sqrt(0.5) * (rng.normal(size=shape) + error)
    new, before = (part[:, None] for part in score)
    rho = 0.0 if trial.moderated else trial.rho
    own = trial.shared * before + np.sqrt(1 - trial.shared**2) * rng.normal(size=shape)
    later = rho * new + np.sqrt(1 - rho**2) * rng.normal(size=shape)
    return np.stack([own, 0.5 * own + np.sqrt(0.75) * later])


def leave(values: np.ndarray, trial: Trial, people: pd.DataFrame, rng) -> None:
    """Make values after baseline missing, more often after high ones (missing at random).

    With random slopes, which are slow, people leave by the values of the first region.
    """
    if not trial.dropout:
        return
    later = trial.n_sessions - 1
    odds = np.log(trial.dropout / (1 - trial.dropout)) - 0.15 - (0.7 if later > 1 else 0)
    slope = np.where(people["arm"] == trial.arms[0], *trial.leave)[:, None]
    gone = np.zeros(values.shape[1:], dtype=bool)
    for place in range(1, trial.n_sessions):
        before = values[place - 1] - np.nanmean(values[place - 1], axis=0)
        before = before[:, :1] if trial.slopes else before
        chance = 1 / (1 + np.exp(-odds - slope * np.where(gone[:, : before.shape[1]], 0, before)))
        gone = gone | (rng.random(chance.shape) < chance)
        values[place][gone] = np.nan


def regions(values: np.ndarray) -> Family:
    """Family of regions from n_sessions x n_participants x n_regions."""
    names = [f"region{number}" for number in range(values.shape[2])]
    labels = pd.DataFrame({"region": names, "region_a": None, "region_b": None})
    return Family("T1w", "volume", "A", "ml", labels, values, SESSIONS[: len(values)])


def spec(kind: str, **fields: object) -> ModelSpec:
    """Model with two covariates, unless others are asked for."""
    asked = {"covariates": ("age", "site")}
    asked |= {name: fields.pop(name) for name in ("contrasts", "moderator") if name in fields}
    asked["covariates"] = fields.pop("covariates", asked["covariates"])
    common = {"arm_column": "arm", "reference_arm": "WL", "score": "BDI", "remission": 0.0}
    return ModelSpec(kind, kind, True, request=DesignRequest(**asked), **(common | fields))


SINGLE = {"arm_column": "", "reference_arm": ""}
FAMILY_WISE = {
    "change": spec("change", block_column="site"),
    "symptoms": spec("symptoms"),
    "one arm": spec("change", **SINGLE),
    "Holm": spec("baseline_adjusted"),
}


def difference(trial: Trial, term: str) -> tuple[float, float]:
    """True difference between arms (or mean change), and in standard deviations of change."""
    return trial.size * trial.deviation, trial.size


def weekly(trial: Trial, term: str) -> tuple[float, float]:
    """True slope per week, and in standard deviations of change from first to last session."""
    return trial.size * trial.deviation / WEEKS[-1], trial.size / WEEKS[-1]


def moderation(trial: Trial, term: str) -> tuple[float, float]:
    """True interaction and partial correlation, or differences at values of the moderator."""
    if ":" in term:
        return trial.interaction, trial.rho
    place = {"- 1 SD": -1, "mean": 0, "+ 1 SD": 1}[term.rsplit("age ")[-1]]
    return place * trial.interaction, place * trial.interaction / trial.deviation


def of_changes(trial: Trial, term: str) -> tuple[float, float]:
    """True correlation of the changes: what is new makes three quarters of their variance."""
    rho = 0.75 * trial.rho + 0.25 * trial.shared
    return rho, rho


def of_ranks(trial: Trial, term: str) -> tuple[float, float]:
    """True rank correlation of two normal changes with `of_changes`."""
    rho = 6 / np.pi * np.arcsin(of_changes(trial, term)[0] / 2)
    return rho, rho


def of_followups(trial: Trial, term: str) -> tuple[float, float]:
    """True correlation of the follow-ups, baselines held constant."""
    return trial.rho, trial.rho


def models() -> Iterator[Model]:
    """Every kind of model, with the forms of its design that change the statistics."""
    yield from models_of_two_sessions()
    yield from models_of_all_sessions()
    yield from models_of_scores()


def models_of_two_sessions() -> Iterator[Model]:
    """Models of change and of the follow-up given the baseline."""
    two, one = Trial(), Trial(arms=("CBT",), dropout=0.0)
    yield Model("change", spec("change"), two, difference)
    yield Model("change, n = 16", spec("change", covariates=()), Trial(16, dropout=0), difference)
    three_arms = replace(two, n=42, arms=("WL", "CBT", "NFB"))
    contrast = spec("change", contrasts=(CONTRAST,))
    yield Model("contrast of 3 arms", contrast, three_arms, difference, ENDS)
    yield Model("one arm", spec("change", **SINGLE), one, difference)
    small = spec("change", **SINGLE, covariates=())
    yield Model("one arm, n = 12", small, replace(one, n=12), difference)
    moderator = spec("change", moderator="age", covariates=("site",))
    moderated = replace(two, moderated=True)
    yield Model("moderator", moderator, moderated, moderation, CORRELATIONS, "rho")
    yield Model("baseline_adjusted", spec("baseline_adjusted"), two, difference)


def models_of_all_sessions() -> Iterator[Model]:
    """Mixed models; people leave by their baseline, in one arm more than in the other."""
    mixed, constrained = spec("mixed"), spec("constrained_baseline")
    two, three = Trial(), Trial(n_sessions=3)
    by_arm, one = replace(two, leave=(1.2, 0.0)), replace(two, arms=("CBT",))
    yield Model("mixed", mixed, two, difference)
    yield Model("mixed, dropout differs by arm", mixed, by_arm, difference, ENDS)
    yield Model("mixed, one arm", spec("mixed", **SINGLE), one, difference, ENDS)
    yield Model("mixed, 3 sessions", mixed, three, difference)
    slope = spec("mixed", time="days", random="slope")
    yield Model("mixed, slopes per week", slope, replace(three, slopes=True), weekly)
    yield Model("constrained_baseline", constrained, by_arm, difference)
    yield Model("constrained_baseline, 3 sessions", constrained, three, difference, ENDS)


def models_of_scores() -> Iterator[Model]:
    """Models of change with a score; baselines go together where they are held constant."""
    two = Trial()
    yield Model("symptoms", spec("symptoms"), two, of_changes, CORRELATIONS, "rho")
    plain, related = replace(two, age=0.0), replace(two, shared=0.6)
    yield Model("rank_symptoms", spec("rank_symptoms"), plain, of_ranks, CORRELATIONS, "rho")
    adjusted = spec("symptoms_adjusted")
    yield Model("symptoms_adjusted", adjusted, related, of_followups, CORRELATIONS, "rho")
    yield Model("remission", spec("remission"), replace(two, remission=True), difference)


def rates(model: Model, trial: Trial, n_designs: int, rng: np.random.Generator) -> Rates:
    """Rates of one model over many designs."""
    tables = []
    for _ in range(n_designs):
        cohort, family = simulated(trial, N_REGIONS, rng)
        tables.append(run_model(model.spec, cohort, (family,)).rows)
    rows = pd.concat(tables, ignore_index=True)
    true = np.array([model.truth(trial, term) for term in rows["term"]], dtype=float).T
    made = rows["p"].notna().to_numpy()
    null = made & ((true[0] == 0) | (true[0] != 0).all())
    limits = {name: rows[name].to_numpy(float) for name in INTERVALS}
    covered = [
        float(((limits[low] <= value) & (value <= limits[high]))[made].mean())
        for value, low, high in zip(true, INTERVALS[::2], INTERVALS[1::2], strict=True)
    ]
    whole = np.isfinite(np.array([*limits.values(), rows["p_fdr"], rows["p_fwe"]])).all(axis=0)
    return Rates(
        n=int(made.sum()),
        positive=float((rows["p"] < LEVEL)[null].mean()),
        covered=(covered[0], covered[1]),
        incomplete=int((~whole & ~rows["note"].str.contains("not tested")).sum()),
    )


def edges(n: int, arms: tuple[str, ...], rng: np.random.Generator) -> tuple[Cohort, Family]:
    """People of one data set and the change of all edges between nodes, which go together."""
    people = people_of(Trial(n, arms), rng)
    first, second = np.triu_indices(N_NODES, 1)
    labels = pd.DataFrame({"region": None, "region_a": first, "region_b": second}).astype(object)
    nodes = rng.normal(size=(n, N_NODES))
    change = nodes[:, first] + nodes[:, second] + rng.normal(size=(n, len(first)))
    change += 0.5 * people["age"].to_numpy()[:, None]
    before = rng.normal(size=change.shape)
    family = Family("bold", "connectivity", "A", "z", labels, np.stack([before, before + change]))
    return Cohort(people, pd.DataFrame({"BDI": rng.normal(size=n)})), family


def family_wise(name: str, n_data_sets: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of data sets without an effect in which any edge, or any network, is found."""
    found = []
    for number in range(n_data_sets):
        arms = ("CBT",) if name == "one arm" else ("WL", "CBT")
        cohort, family = edges(24 + 2 * (number % 9), arms, rng)
        plan = None if name == "Holm" else replace(PLAN, random_seed=number)
        result = run_model(FAMILY_WISE[name], cohort, (family,), plan)
        networks = result.networks["p_fwe"] if len(result.networks) else np.ones(1)
        found.append(((result.rows["p_fwe"] <= LEVEL).any(), (networks <= LEVEL).any()))
    edge, network = np.mean(found, axis=0)
    return {f"FWER {name}": edge} | ({} if name == "Holm" else {f"FWER {name}, networks": network})


def false_discoveries(n_data_sets: int, rng: np.random.Generator) -> tuple[float, float]:
    """Mean share of false discoveries where a fifth of the edges changes, and its error."""
    shares = []
    for _ in range(n_data_sets):
        cohort, family = edges(40, ("WL", "CBT"), rng)
        changes = np.arange(family.values.shape[2]) % 5 == 0
        treated = (cohort.participants["arm"] == "CBT").to_numpy()
        family.values[1] += 2 * treated[:, None] * changes
        found = run_model(spec("change"), cohort, (family,)).rows["p_fdr"].to_numpy(float) <= LEVEL
        shares.append((found & ~changes).sum() / max(found.sum(), 1))
    return float(np.mean(shares)), float(np.std(shares) / np.sqrt(n_data_sets))


def smallest(model: Model, n_designs: int, rng: np.random.Generator) -> float:
    """Smallest effect with 80 % power that the report states, mean over designs."""
    sizes = []
    for _ in range(n_designs):
        cohort, family = simulated(model.trial, N_REGIONS, rng)
        rows = run_model(model.spec, cohort, (family,)).rows
        sizes.append(sensitivity_table(rows, LEVEL, POWER)["smallest_uncorrected"].iloc[0])
    return float(np.mean(sizes))


def powers(n_designs: int, rng: np.random.Generator) -> Iterator[tuple[str, float, float, str]]:
    """Share found at the stated smallest effect, and of g = 1; expected power and the size."""
    for model in models():
        if model.name not in POWERED:
            continue
        if model.varies == "rho":  # the changes of those who stay go together a little more
            model = replace(model, trial=replace(model.trial, dropout=0.0))
        stated = smallest(model, 20, rng)
        planted = stated / 0.75 if model.varies == "rho" else stated
        trial = replace(model.trial, **{model.varies: planted})
        found = rates(model, trial, n_designs, rng).positive
        yield f"power {model.name}", found, POWER, f"effect {stated:.3f}"
    trial = Trial(size=1.0, dropout=0.0, age=0.0)
    model = Model("g = 1", spec("change", covariates=()), trial, difference)
    limit, shift = stats.t.isf(LEVEL / 2, 38), np.sqrt(10)
    expected = float(stats.nct.sf(limit, 38, shift) + stats.nct.cdf(-limit, 38, shift))
    yield "power g = 1", rates(model, trial, n_designs, rng).positive, expected, "20 per arm"


def picked_high(arms: tuple[str, ...], n_designs: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of change and baseline-adjusted change in people picked for a high baseline."""
    tables = []
    fields = {} if len(arms) > 1 else SINGLE
    for _ in range(n_designs):
        cohort, family = simulated(Trial(arms=arms, dropout=0.0, age=0.0), N_REGIONS, rng)
        above = stats.norm.isf(rng.random(family.baseline.shape) * stats.norm.sf(0.5))
        rest = np.sqrt(0.75) * rng.normal(size=above.shape)
        picked = replace(family, values=np.stack([above, 0.5 * above + rest]))
        for kind in ("change", "baseline_adjusted")[: len(arms)]:
            tables.append(run_model(spec(kind, **fields), cohort, (picked,)).rows)
    return pd.concat(tables, ignore_index=True)


Figure = tuple[str, float, tuple[float, float], str]


def share(expected: float, n: int) -> tuple[float, float]:
    """Limits of a share within three Monte-Carlo errors of `expected`."""
    error = 3 * np.sqrt(expected * (1 - expected) / n)
    return expected - error, expected + error


def model_figures(n_designs: int, rng: np.random.Generator) -> Iterator[Figure]:
    """False positives and coverage of all models."""
    incomplete, kinds = 0, set()
    for model in models():
        kinds.add(model.spec.kind)
        for size in model.sizes:
            found = rates(model, replace(model.trial, **{model.varies: size}), n_designs, rng)
            incomplete += found.incomplete
            if size == 0:
                limits = share(LEVEL, n_designs * N_REGIONS)
                yield f"false positives {model.name}", found.positive, limits, f"{found.n} tests"
            at = f"{model.varies} {size:g}"
            for place, what in enumerate(("estimate", "effect size")):
                name = f"coverage {model.name}, {what}, {at}"
                yield name, found.covered[place], COVERED, f"{found.n} tests"
    yield "rows without a value or a reason", incomplete, (0, 0), ""
    missing = set(get_args(ModelKind)) - kinds
    yield "kinds of models left out", len(missing), (0, 0), ", ".join(sorted(missing))


def other_figures(n_designs: int, n_sets: int, rng: np.random.Generator) -> Iterator[Figure]:
    """Family-wise errors, false discoveries, power and people picked for a high baseline."""
    most = share(LEVEL, n_sets)[1]
    for name in FAMILY_WISE:
        for label, value in family_wise(name, n_sets, rng).items():
            yield label, value, (0, most), f"{n_sets} data sets"
    value, error = false_discoveries(n_sets, rng)
    yield "FDR Benjamini-Hochberg", value, (0, LEVEL + 3 * error), f"{n_sets} data sets"
    for label, value, expected, text in powers(n_designs, rng):
        yield label, value, share(expected, n_designs * N_REGIONS), text
    rows = picked_high(("WL", "CBT"), n_designs // 2, rng)
    limits = share(LEVEL, len(rows))
    yield "false positives picked for a high baseline", (rows["p"] < LEVEL).mean(), limits, ""
    rows = picked_high(("CBT",), 5, rng)
    warned = (rows["note"] == ONE_ARM).mean()
    yield "one arm picked for a high baseline, rows with the warning", warned, (1, 1), ""


def main() -> int:
    """Run everything and print it; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", type=int, default=N_DESIGNS, help=f"{N_REGIONS} trials each")
    parser.add_argument("--data-sets", type=int, default=N_DATA_SETS)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng, table = np.random.default_rng(given.seed), {}
    start = time.process_time()
    with threadpool_limits(1):
        for made in (
            model_figures(given.designs, rng),
            other_figures(given.designs, given.data_sets, rng),
        ):
            for name, value, (low, high), text in made:
                ok = bool(low <= value <= high)
                target = f"{low:.4g}..{high:.4g}"
                table[name] = {"value": round(float(value), 4), "target": target, "ok": ok}
                print(f"{name:<70}{value:>8.4f}  {target:<16}{'' if ok else 'MISSED ':<7}{text}")
    print(f"{time.process_time() - start:.0f} s of processor time")
    print(json.dumps({"figures": table}))
    return 0 if all(row["ok"] for row in table.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
