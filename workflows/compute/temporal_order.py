"""Whether variables were measured in the order that a mechanism needs.

Time is a line: before treatment, session 1, session 2, ..., after treatment. A mediator comes
after treatment began and before the outcome; what does not is an association, whatever its
statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from workflows.compute.problems import ModelError, Problem

PHASES = ("before", "during", "after")
PLACES = ("", "start", "end")
MECHANISM = "mechanism"
ASSOCIATION = "association"
NOT_A_MEDIATOR = "not a mediator"


@dataclass(frozen=True)
class Moment:
    """A point on the line of time.

    `session` counts treatment sessions from 1 and belongs to the phase "during"; `place` is
    "start" or "end" of that session, empty if unknown; `days` are counted from any one day.
    `first < second` is true only where `first` is certainly and strictly earlier.
    """

    phase: str
    session: int | None = None
    place: str = ""
    days: float | None = None

    def __post_init__(self):
        if self.phase not in PHASES or self.place not in PLACES:
            raise ValueError(f"phase: one of {PHASES}; place: one of {PLACES}")
        if (self.phase == "during") != (self.session is not None):
            raise ValueError("session: a number during treatment, none before and after it")
        if self.session is not None and self.session < 1:
            raise ValueError("session: counted from 1")

    def __lt__(self, other: Moment) -> bool:
        line = _sign(_cell(other), _cell(self))
        days = 0
        if self.days is not None and other.days is not None:
            days = _sign(other.days, self.days)
        if line == 0 and self.place and other.place:
            line = _sign(PLACES.index(other.place), PLACES.index(self.place))
        return line + days > 0 and min(line, days) >= 0

    def __str__(self) -> str:
        name = {"before": "before treatment", "after": "after treatment"}.get(self.phase)
        name = name or " ".join(part for part in (self.place, f"session {self.session}") if part)
        return name if self.days is None else f"{name} (day {self.days:g})"


@dataclass(frozen=True)
class Measured:
    """A variable and the moments it is made of.

    One moment for a score, two for a change; None is a moment nobody knows. For a treatment
    these are the moments at which its value is settled: "before" for an arm, the last session
    for the number of sessions attended.
    """

    name: str
    moments: tuple[Moment | None, ...]


@dataclass(frozen=True)
class OrderVerdict:
    """`label` is "mechanism", "association" or "not a mediator"; `reason` says why."""

    mediator: str
    label: str
    reason: str


def moment_of(value: object, place: str = "", days: float | None = None) -> Moment | None:
    """Moment named in the settings.

    Parameters
    ----------
    value : object
        "before", "after", or the number of a session (4, "4", "session 4"). Empty, "unknown",
        "n/a" and missing values give None.
    place : str
        "start" or "end" of the session, empty if unknown.
    days : float, optional
        Days from any one day, the same for all variables.

    Raises
    ------
    ModelError
        Any other text.
    """
    if value is None or pd.isna(value):
        return None
    text = str(value).strip().lower()
    if text in ("", "unknown", "n/a"):
        return None
    if text in ("before", "after"):
        return Moment(text, days=days)
    number = text.removeprefix("session").strip().removesuffix(".0")
    if number.isdecimal() and int(number) > 0:
        return Moment("during", int(number), place, days)
    todo = "write before, after or the number of a session (1, 2, ...)"
    raise ModelError(Problem(f"'{value}' is no moment", "moment of a variable", todo))


def check_order(
    treatment: Measured,
    mediators: Sequence[Measured],
    outcome: Measured,
    serial: bool = False,
) -> tuple[OrderVerdict, ...]:
    """Verdict on each mediator: whether its place in time lets it carry the effect.

    A mediator may be one if each of its moments is strictly before one and the same moment of
    the outcome, one of its moments is strictly after the treatment was settled, and, where
    `serial`, each of its moments is strictly before a moment of the next mediator. What is
    unknown or cannot be told apart counts against it.

    Parameters
    ----------
    treatment : Measured
    mediators : sequence of Measured
        In the order of the chain where `serial`.
    outcome : Measured
    serial : bool
        True if mediators act on each other in this order.

    Returns
    -------
    tuple of OrderVerdict
        One per mediator. Order is necessary, not sufficient, for a mechanism.
    """
    verdicts = [_verdict(treatment, mediator, outcome) for mediator in mediators]
    if serial:
        for place in range(1, len(mediators)):
            verdicts[place] = _in_chain(mediators[place - 1], mediators[place], verdicts[place])
    return tuple(verdicts)


def joint_verdict(verdicts: Sequence[OrderVerdict]) -> OrderVerdict:
    """Verdict on all mediators together: a mechanism only if each may be one."""
    if not verdicts:
        return OrderVerdict("", ASSOCIATION, "the moments of the measurements were not checked")
    if len(verdicts) == 1:
        return verdicts[0]
    names = ", ".join(verdict.mediator for verdict in verdicts)
    wrong = [verdict.reason for verdict in verdicts if verdict.label != MECHANISM]
    if wrong:
        return OrderVerdict(names, ASSOCIATION, "; ".join(dict.fromkeys(wrong)))
    return OrderVerdict(names, MECHANISM, "; ".join(verdict.reason for verdict in verdicts))


def _verdict(treatment, mediator, outcome):
    label, name = ASSOCIATION, mediator.name
    if not _known(mediator):
        reason = f"it is not known when '{name}' was measured"
    elif not _known(outcome):
        reason = f"it is not known when '{outcome.name}' was measured"
    elif not _known(treatment):
        reason = f"it is not known when '{treatment.name}' was settled"
    elif all(moment.phase == "before" for moment in mediator.moments):
        label = NOT_A_MEDIATOR
        reason = (
            f"'{name}' was measured before treatment began, so treatment cannot have changed "
            "it: it may be a moderator, not a mediator"
        )
    elif not _complete_before(mediator, outcome):
        reason = _too_late(mediator, outcome)
    elif not _complete_before(treatment, mediator):
        reason = (
            f"'{treatment.name}' is settled only at {_last(treatment)}, not before '{name}' "
            f"({_last(mediator)}): it cannot have caused it"
        )
    else:
        label = MECHANISM
        reason = (
            f"'{name}' was measured after treatment began and before '{outcome.name}'; order alone "
            "does not exclude other causes, or that earlier change of the outcome came first"
        )
    return OrderVerdict(name, label, reason)


def _in_chain(earlier, later, verdict):
    if verdict.label != MECHANISM or _complete_before(earlier, later):
        return verdict
    reason = (
        f"'{earlier.name}' was not completely measured before '{later.name}': their order in the "
        "chain cannot be told"
    )
    return OrderVerdict(verdict.mediator, ASSOCIATION, reason)


def _too_late(mediator, outcome):
    name, end = mediator.name, outcome.name
    if len(mediator.moments) > 1 and set(mediator.moments) == set(outcome.moments):
        return (
            f"'{name}' and '{end}' are changes over the same time: neither comes before the other"
        )
    when = f"'{name}' ({_last(mediator)}) was not completely measured before '{end}'"
    return f"{when} ({_last(outcome)}): the outcome may have come first"


def _complete_before(first, second):
    if not (_known(first) and _known(second)):
        return False
    return any(all(early < late for early in first.moments) for late in second.moments)


def _known(variable):
    return bool(variable.moments) and None not in variable.moments


def _last(variable):
    last = variable.moments[0]
    for moment in variable.moments[1:]:
        last = moment if last < moment else last
    return str(last)


def _cell(moment):
    return (PHASES.index(moment.phase), moment.session or 0)


def _sign(first, second):
    return int(first > second) - int(first < second)
