"""Unmeasured confounding of mediator and outcome."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workflows.compute.bootstrap import Resampling
from workflows.compute.mediation import parallel_mediation
from workflows.compute.mediation_data import MediationData
from workflows.compute.mediation_sensitivity import CURVE_COLUMNS, confounding_sensitivity

HOW = Resampling(399, 0.95)


@pytest.fixture
def rng():
    return np.random.default_rng(51)


def trial(rng, n=400, b=0.5, hidden=0.0):
    t, unmeasured = np.tile([0.0, 1], n // 2), rng.normal(size=n)
    m = 0.8 * t + hidden * unmeasured + rng.normal(size=n)
    y = 0.2 * t + b * m + hidden * unmeasured + rng.normal(size=n)
    return MediationData(t[:, None], ("t",), m[:, None], ("m",), y, np.empty((n, 0)))


@pytest.mark.needs_shared
def test_the_jobs_trial_is_reproduced(shared_dir, rng):
    table = pd.read_csv(shared_dir / "reference" / "jobs.csv")
    names = ("econ_hard", "sex", "age")
    parts = [table[list(part)].to_numpy(float) for part in (["treat"], ["job_seek"], names)]
    data = MediationData(
        parts[0],
        ("treat",),
        parts[1],
        ("job_seek",),
        table["depress2"].to_numpy(float),
        parts[2],
        names,
    )
    found = confounding_sensitivity(data, np.array([-0.3, 0.0, 0.3]), HOW, rng)
    assert round(found.rho, 2) == -0.27
    assert found.curve["indirect"][1] == pytest.approx(-0.0157446450289033, rel=1e-6)
    assert found.in_words.startswith("the indirect effect would be 0 if")


def test_the_indirect_effect_is_0_at_rho_and_usual_at_0(rng):
    data = trial(rng)
    rho = confounding_sensitivity(data, np.array([0.0]), HOW, rng).rho
    curve = confounding_sensitivity(data, np.array([0.0, rho, rho + 0.1]), HOW, rng).curve
    rows = parallel_mediation(data, HOW, rng).rows.set_index("path")
    assert curve["indirect"][0] == pytest.approx(rows.loc["indirect", "estimate"], rel=1e-9)
    assert curve["indirect"][1] == pytest.approx(0, abs=1e-12)
    assert curve["indirect"][2] < 0 < curve["indirect"][0]
    assert list(curve.columns) == CURVE_COLUMNS


def test_the_true_effect_is_found_at_the_true_correlation_of_errors(rng):
    # errors of m and y: hidden + noise each, correlation 1 / 2 given m's own path; true b = 0
    data = trial(rng, n=20000, b=0.0, hidden=1.0)
    curve = confounding_sensitivity(data, np.array([0.0, 0.5]), HOW, rng).curve
    assert curve["indirect"][0] == pytest.approx(0.8 * 0.5, abs=0.03)
    assert curve["indirect"][1] == pytest.approx(0, abs=0.03)


def test_shares_of_variance_by_definition(rng):
    data = trial(rng)
    found = confounding_sensitivity(data, np.array([0.0]), HOW, rng)
    t, m, y = data.treatment[:, 0], data.mediators[:, 0], data.outcome
    r_m = np.corrcoef(t, m)[0, 1] ** 2
    design = np.column_stack([np.ones(400), t, m])
    fitted = design @ np.linalg.lstsq(design, y)[0]
    r_y = np.corrcoef(fitted, y)[0, 1] ** 2
    assert found.residual_share == pytest.approx(found.rho**2)
    assert found.total_share == pytest.approx(found.rho**2 * (1 - r_m) * (1 - r_y), rel=1e-9)
    assert found.rho_low < found.rho < found.rho_high


def test_turning_the_mediator_flips_rho_but_not_the_effect(rng):
    data = trial(rng)
    turned = replace(data, mediators=-data.mediators)
    first, second = (confounding_sensitivity(d, np.array([0.0]), HOW, rng) for d in (data, turned))
    assert second.rho == pytest.approx(-first.rho)
    assert second.curve["indirect"][0] == pytest.approx(first.curve["indirect"][0])


def test_a_correlation_of_1_is_refused(rng):
    with pytest.raises(ValueError, match="rho: between -1 and 1"):
        confounding_sensitivity(trial(rng), np.array([0.0, 1.0]), HOW, rng)
