"""Kenward-Roger against pbkrtest and against the exact t test."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflows.compute.kenward_roger import kenward_roger
from workflows.compute.mixed import random_intercept

DATA = Path(__file__).parents[2] / "data"


def small_sample(values, matrix, person, contrast):
    fit = random_intercept(values[:, None], matrix, person, contrast[None], pinned=True)
    variances = float(fit.variance_person[0]), float(fit.variance_residual[0])
    return kenward_roger(matrix, person, contrast, variances)


def test_sleepstudy_with_lost_days_equals_pbkrtest():
    table = pd.read_csv(DATA / "sleep_unbal.csv")
    person = table["Subject"].astype("category").cat.codes.to_numpy()
    matrix = np.column_stack([np.ones(len(table)), table["Days"]])
    made = small_sample(table["Reaction"].to_numpy(float), matrix, person, np.array([0.0, 1]))
    assert made.standard_error == pytest.approx(0.879618192687, rel=1e-6)
    assert made.df == pytest.approx(146.867208735, rel=1e-5)


def test_beat_the_blues_with_dropout_equals_pbkrtest():
    table = pd.read_csv(DATA / "btheb.csv")
    months = {"bdi.pre": 0, "bdi.2m": 2, "bdi.3m": 3, "bdi.5m": 5, "bdi.8m": 8}
    long = table.melt(
        ["subject", "treatment", "drug", "length"], list(months), "session", "bdi"
    ).dropna()
    time = long["session"].map(months).to_numpy(float)
    arm = (long["treatment"] == "BtheB").to_numpy(float)
    drug = (long["drug"] == "Yes").to_numpy(float)
    length = (long["length"] == long["length"].max()).to_numpy(float)
    matrix = np.column_stack([np.ones(len(long)), arm, time, drug, length, arm * time])
    person = long["subject"].astype("category").cat.codes.to_numpy()
    contrast = np.array([0.0, 0, 0, 0, 0, 1])
    made = small_sample(long["bdi"].to_numpy(float), matrix, person, contrast)
    assert len(long) == 380
    assert made.standard_error == pytest.approx(0.271320966649, rel=1e-6)
    assert made.df == pytest.approx(292.960820200, rel=1e-5)


def test_complete_pairs_give_the_paired_t_test():
    rng = np.random.default_rng(6)
    values = rng.normal(0, 2, 12)[:, None] + rng.normal(0, 1, (12, 2))
    matrix = np.column_stack([np.ones(24), np.tile([0.0, 1], 12)])
    made = small_sample(values.ravel(), matrix, np.repeat(np.arange(12), 2), np.array([0.0, 1]))
    change = values[:, 1] - values[:, 0]
    assert made.standard_error == pytest.approx(change.std(ddof=1) / np.sqrt(12), rel=1e-5)
    assert made.df == pytest.approx(11, rel=1e-6)
