"""Two variables session by session: within people, across sessions, and their changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from workflows.compute.cross_lagged import cross_lagged
from workflows.compute.latent_change import three_wave_change, two_wave_change
from workflows.compute.problems import ModelError, Problem
from workflows.compute.variables import Source, VariableSpec, occasions
from workflows.compute.within_between import lagged_with_autoregression, within_between

PROCESS_FRONT = ["model", "planned", "analysis", "process", "outcome"]
SAME_SESSION = "same session: an association"
NEXT_SESSION = "process before the outcome of the next session"
NEXT_ADJUSTED = "process before the outcome of the next session, given the outcome before"
CROSS_LAGGED = "cross-lagged, apart from stable differences between people"
LATENT_CHANGE = "latent change"
LATENT_WAVES = (2, 3)


@dataclass(frozen=True)
class ProcessSpec:
    """Two variables and the sessions, in the order of time, at which they were measured."""

    name: str
    model: Literal["within_between", "cross_lagged", "latent_change"]
    process: VariableSpec
    outcome: VariableSpec
    sessions: tuple[str, ...]
    planned: bool = False
    confidence: float = 0.95


@dataclass(frozen=True)
class ProcessRun:
    """Rows of all analyses of a process, and how the model fits, in words."""

    rows: pd.DataFrame
    notes: tuple[str, ...]


def run_process(spec: ProcessSpec, source: Source) -> ProcessRun:
    """Rows of a process model.

    Raises
    ------
    ModelError
        A variable or session is not there, or the model cannot be fitted.
    """
    process = occasions(spec.process, spec.sessions, source)
    outcome = occasions(spec.outcome, spec.sessions, source)
    names = (spec.process.name, spec.outcome.name)
    if spec.model == "within_between":
        parts = _within(process, outcome, names[0], spec.confidence)
    elif spec.model == "cross_lagged":
        made = cross_lagged(process, outcome, names, spec.confidence)
        parts = [(CROSS_LAGGED, made.rows, (*made.notes, _fit_text(made.indices)))]
    else:
        parts = [_latent(dict(zip(names, (process, outcome), strict=True)), spec)]
    tables = [
        rows.assign(
            model=spec.name,
            planned=spec.planned,
            analysis=analysis,
            process=names[0],
            outcome=names[1],
        )
        for analysis, rows, _ in parts
    ]
    rows = pd.concat(tables, ignore_index=True)
    rest = [name for name in rows if name not in PROCESS_FRONT]
    notes = tuple(note for _, _, own in parts for note in own if note)
    return ProcessRun(rows[[*PROCESS_FRONT, *rest]], notes)


def _within(process, outcome, name, confidence):
    same = within_between(process, outcome, name, confidence)
    later = within_between(process, outcome, name, confidence, lag=1)
    parts = [(SAME_SESSION, same.rows, same.notes), (NEXT_SESSION, later.rows, later.notes)]
    if process.shape[1] > 2:
        carried = lagged_with_autoregression(process, outcome, name, confidence)
        parts.append((NEXT_ADJUSTED, carried.rows, carried.notes))
    return parts


def _latent(measures, spec):
    if len(spec.sessions) not in LATENT_WAVES:
        what = f"latent change is for two or three sessions, not {len(spec.sessions)}"
        todo = "choose two or three, or use model: cross_lagged"
        raise ModelError(Problem(what, f"process {spec.name}: sessions", todo))
    fitted = two_wave_change if len(spec.sessions) == 2 else three_wave_change
    made = fitted(measures, spec.confidence)
    return LATENT_CHANGE, made.rows, (*made.notes, _fit_text(made.indices))


def _fit_text(indices):
    if not indices.df:
        return f"{indices.n} participants; the model is saturated, its fit cannot be judged"
    return (
        f"{indices.n} participants; chi2({indices.df}) = {indices.chi2:.2f}, p = {indices.p:.3f}, "
        f"CFI {indices.cfi:.3f}, RMSEA {indices.rmsea:.3f}, SRMR {indices.srmr:.3f}"
    )
