"""Coupling with a seed that goes with the task."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.ppi import cleaned_seed, interaction_design, interaction_name
from workflows.compute.task_model import contrast_estimates

WEIGHTS = {"gppi": {interaction_name("negative"): 1.0, interaction_name("neutral"): -1.0}}


def design_and_seed(rng, n_volumes=300):
    design = pd.DataFrame({"constant": np.ones(n_volumes)})
    phase = np.arange(n_volumes) // 15 % 3
    design.insert(0, "negative", (phase == 1).astype(float))
    design.insert(1, "neutral", (phase == 2).astype(float))
    return design, rng.normal(size=n_volumes)


def estimate(series, design, seed):
    whole = interaction_design(design, seed, ["negative", "neutral"])
    return contrast_estimates(series, whole, WEIGHTS, {"gppi": ""})


def test_a_planted_difference_of_coupling_is_recovered_in_sign_and_size():
    rng = np.random.default_rng(7)
    design, seed = design_and_seed(rng)
    coupling = 0.2 + 0.6 * design["negative"] + 0.1 * design["neutral"]
    task = 2.0 * design["negative"]
    series = (coupling * seed + task).to_numpy()[:, None] + rng.normal(0, 0.5, (300, 400))
    found = estimate(series, design, seed)
    assert found.effects.mean() == pytest.approx(0.5, abs=0.02)
    inside = np.abs(found.effects - 0.5) < 1.97 * np.sqrt(found.variances)
    assert inside.mean() == pytest.approx(0.95, abs=0.04)


def test_coupling_and_responses_that_do_not_interact_give_nothing():
    rng = np.random.default_rng(8)
    design, seed = design_and_seed(rng)
    shared = 0.8 * seed + 3 * design["negative"] - design["neutral"]
    series = shared.to_numpy()[:, None] + rng.normal(0, 0.5, (300, 400))
    found = estimate(series, design, seed)
    assert found.effects.mean() == pytest.approx(0, abs=0.02)
    beyond = np.abs(found.effects) > 1.97 * np.sqrt(found.variances)
    assert beyond.mean() == pytest.approx(0.05, abs=0.04)


def test_the_level_of_seed_and_conditions_does_not_matter():
    rng = np.random.default_rng(9)
    design, seed = design_and_seed(rng)
    series = rng.normal(size=(300, 3))
    first = estimate(series, design, seed)
    moved = estimate(series, design.assign(negative=design["negative"] + 4), seed + 10)
    np.testing.assert_allclose(first.effects, moved.effects, atol=1e-8)
    np.testing.assert_allclose(first.variances, moved.variances, rtol=1e-6)


def test_the_product_is_of_the_centred_condition_and_the_seed():
    design = pd.DataFrame({"negative": [1.0, 0, 0, 1], "constant": 1.0})
    whole = interaction_design(design, np.array([1.0, 2, 3, 4]), ["negative"])
    assert list(whole.columns) == ["seed", "interaction_negative", "negative", "constant"]
    assert whole["interaction_negative"].tolist() == [0.5, -1, -1.5, 2]
    with pytest.raises(ValueError, match="another number of volumes"):
        interaction_design(design, np.ones(3), ["negative"])


def test_the_seed_loses_confounds_and_censored_volumes_and_keeps_the_task():
    rng = np.random.default_rng(10)
    motion, task = rng.normal(size=(2, 50))
    task -= task.mean()
    motion -= motion.mean()
    task -= motion * (task @ motion) / (motion @ motion)
    spike = np.eye(50)[7]
    nuisance = np.column_stack([np.ones(50), 1e-7 * motion, spike, np.zeros(50)])
    found = cleaned_seed(task + 5 * motion + 80 * spike + 100, nuisance)
    assert found[7] == pytest.approx(0)
    kept = np.arange(50) != 7
    expected = cleaned_seed(task, nuisance)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.corrcoef(found[kept], task[kept])[0, 1] > 0.99
