"""Prediction for the individual: against clinical variables, calibration, facts, selection."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.prediction_words import (
    calibration_sentence,
    person_sentences,
    prediction_sentences,
    selection_sentences,
)
from workflows.drawing.calibration import CalibrationText, calibration_plot
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_numbers import numbers_of
from workflows.interfaces.report_pages import Chapter, Part, drawn, lines_of
from workflows.interfaces.report_tables import sheets

SHOWN = ("clinical", "brain", "clinical+brain")


def prediction_chapter(results: GroupResults) -> Chapter:
    """One part a prediction."""
    parts = [_prediction(results, name, scores) for name, scores in predictions_of(results)]
    return Chapter("prediction", "Prediction for the individual", "Prediction", tuple(parts))


def predictions_of(results: GroupResults) -> list[tuple[str, pd.DataFrame]]:
    """Scores of each prediction by its name, planned ones first."""
    found = [
        (name, table)
        for name, table in results.extras_of("prediction").items()
        if {"predictor", "metric"} <= set(table)
    ]
    return sorted(found, key=lambda pair: not bool(pair[1]["planned"].iloc[0]))


def headline(results: GroupResults) -> list[str]:
    """First sentence of each planned prediction."""
    alpha = results.settings.group.alpha
    return [
        f"Prediction {name}: {prediction_sentences(scores, alpha)[0]}"
        for name, scores in predictions_of(results)
        if bool(scores["planned"].iloc[0])
    ]


def facts_of(results: GroupResults, name: str) -> dict[str, str]:
    """What was done for a prediction, by item."""
    table = results.extras.get(f"prediction_{name}_facts", pd.DataFrame())
    if not {"item", "text"} <= set(table):
        return {}
    return {str(row.item): str(row.text) for row in table.itertuples()}


def _prediction(results, name, scores):
    people = results.extras.get(f"prediction_{name}_people", pd.DataFrame())
    selection = results.extras.get(f"prediction_{name}_selection", pd.DataFrame())
    curve = results.extras.get(f"prediction_{name}_calibration", pd.DataFrame())
    target, n = str(scores["target"].iloc[0]), scores["n"].max()
    said = [f"{target}, {n:.0f} people, each predicted by models that had not seen them."]
    said += prediction_sentences(scores, results.settings.group.alpha)
    said += [calibration_sentence(scores)]
    said += selection_sentences(selection) if "n_other" in selection else []
    facts = pd.DataFrame(facts_of(results, name).items(), columns=["item", "what was done"])
    picture = _calibration(scores, people, curve)
    planned = "planned" if bool(scores["planned"].iloc[0]) else "not planned"
    tables = {"scores": scores, "what was done": facts, "treatment selection": selection}
    return Part(
        f"{name.replace('_', ' ')} ({planned})",
        (" ".join(person_sentences(people)),),
        lines_of(said),
        (picture,) if picture else (),
        sheets(**tables),
    )


def _calibration(scores, people, curve):
    models = [name for name in SHOWN if name in people]
    if not models or "observed" not in people or "predictor" not in curve:
        return None
    target = people["observed"].to_numpy(dtype=float)
    known = target[np.isfinite(target)]
    predicted = {name: people[name].to_numpy(dtype=float) for name in models}
    if not len(known):
        return None
    binary = bool((scores["metric"] == "AUC").any()) and bool(np.isin(known, (0, 1)).all())
    words = str(scores["target"].iloc[0])
    bins = curve.drop(columns="model", errors="ignore").rename(columns={"predictor": "model"})
    figure = calibration_plot(target, predicted, bins, binary, CalibrationText(words))
    return drawn(
        figure,
        f"Predicted against observed {words} for each model",
        "A good prediction follows the diagonal and spreads along it; one that knows nothing is "
        "a heap at the mean.",
        (numbers_of("calibration", bins),),
    )
