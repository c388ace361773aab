"""Sessions in the order of time: from the settings or from dates, never from labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, combinations, pairwise
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.names import nearest, strip_label, with_prefix
from bids_utils.tables import read_text_table

SECONDS_PER_DAY = 86400.0
MAX_SPAN_YEARS = 40
"""Sessions further apart than this have dates that were shifted one by one."""


@dataclass(frozen=True)
class AcquisitionTime:
    """When a session took place; without `has_time` only the day is known."""

    moment: datetime
    has_time: bool


@dataclass(frozen=True)
class SessionDates:
    """Dates of one participant by session label, and what could not be read."""

    times: Mapping[str, AcquisitionTime] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionTime:
    """A session; days from the participant's first one, None where this is not known."""

    label: str
    days_from_baseline: float | None


@dataclass(frozen=True)
class SessionOrder:
    """Sessions of one participant, the earliest first.

    `left_out` gives sessions that have no place in time and why. A `problem` means that the
    order is not to be trusted, so that the participant must not be used. A `note` is for the
    ledger only.
    """

    sessions: tuple[SessionTime, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    note: str = ""


@dataclass(frozen=True)
class OrderRule:
    """Order of the sessions and planned intervals from the settings, both optional."""

    order: tuple[str, ...] = ()
    interval_days: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        labels = tuple(strip_label(text, "ses") for text in self.order)
        object.__setattr__(self, "order", labels)


def check_order(order: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an order that names sessions which nobody in the dataset has.

    Raises
    ------
    SettingsError
        The message names the nearest sessions there are.
    """
    labels = list(dict.fromkeys(known))
    for label in order:
        if label not in labels:
            raise SettingsError(
                f"sessions.order: nobody in the dataset has a session '{label}'; "
                f"{nearest(label, labels)}"
            )


def read_dates(bids_dir: Path, participant: str, sessions: Iterable[str]) -> SessionDates:
    """Dates of a participant's sessions, also of those without images.

    They come from ``acq_time`` in ``sub-X_sessions.tsv``, and where this has none, from the
    earliest scan in ``sub-X_ses-Y_scans.tsv``. Dates shifted for privacy (1925 and earlier)
    and dates without a time of day are valid. Time zones are ignored. Dates that span more
    than 40 years say nothing about order: all of them are set aside as a problem.
    """
    prefix = with_prefix(participant, "sub")
    folder = bids_dir / prefix
    times, problems = _sessions_file(folder / f"{prefix}_sessions.tsv")
    for session in sessions:
        name = with_prefix(session, "ses")
        scans = folder / name / f"{prefix}_{name}_scans.tsv"
        if session not in times and scans.is_file():
            found, more = _dates_in(scans, None)
            problems += more
            if found:
                times[session] = min((time for _, time in found), key=lambda time: time.moment)
    years = [time.moment.year for time in times.values()]
    if years and max(years) - min(years) > MAX_SPAN_YEARS:
        span = f"{min(years)} to {max(years)}"
        problems.append(f"{folder}: the dates go from {span}; they were not shifted together")
        return SessionDates({}, tuple(problems))
    return SessionDates(times, tuple(problems))


def days_between(earlier: AcquisitionTime, later: AcquisitionTime) -> float:
    """Days from one acquisition to another; whole days if a time of day is missing."""
    if earlier.has_time and later.has_time:
        seconds = (later.moment - earlier.moment).total_seconds()
        return round(seconds / SECONDS_PER_DAY, 4)
    return float((later.moment.date() - earlier.moment.date()).days)


def order_sessions(
    sessions: Mapping[str, Sequence[str]], dates: Mapping[str, SessionDates], rule: OrderRule
) -> dict[str, SessionOrder]:
    """Order of each participant's sessions.

    With `rule.order` that order holds, and dates that contradict it are a problem of the
    participant: one of the two is wrong, and a guess could flip the sign of the change.
    Without it dates decide; a participant whose dates turn the order of the others around is
    a problem too.

    Parameters
    ----------
    sessions : mapping of participant -> session labels
        Sessions with images, in any order.
    dates : mapping of participant -> SessionDates
        A participant may be missing.
    rule : OrderRule
        From the settings; `interval_days` are used where a participant's dates are missing.

    Raises
    ------
    DatasetError
        There is no order in the settings, and nobody's sessions have dates.
    """
    known = {label: dates.get(label, SessionDates()) for label in sessions}
    if rule.order:
        return {label: _by_rule(sessions[label], known[label], rule) for label in sessions}
    _check_dates(sessions, known)
    orders = {label: _by_dates(sessions[label], known[label]) for label in sessions}
    return _without_reversed(orders, known)


def _sessions_file(path: Path) -> tuple[dict[str, AcquisitionTime], list[str]]:
    if not path.is_file():
        return {}, []
    found, problems = _dates_in(path, "session_id")
    times: dict[str, AcquisitionTime] = {}
    for text, time in found:
        label = strip_label(text, "ses")
        if times.setdefault(label, time) != time:
            problems.append(f"{path}: two different dates for session '{label}'")
    return times, problems


def _dates_in(path: Path, key: str | None) -> tuple[list[tuple[str, AcquisitionTime]], list[str]]:
    try:
        table = read_text_table(path)
    except DatasetError as error:
        return [], [str(error)]
    if key and key not in table:
        return [], [f"{path}: the column {key} is missing; found {', '.join(table.columns)}"]
    if "acq_time" not in table:
        return [], []
    found, problems = [], []
    labels = table[key] if key else pd.Series("", index=table.index)
    for row, (label, text) in enumerate(zip(labels, table["acq_time"], strict=True), start=1):
        time = _parse_time(text)
        if time and isinstance(label, str):
            found.append((label, time))
        elif isinstance(text, str):
            problems.append(f"{path}, row {row}: acq_time is not like 2009-06-15T13:45:30")
    return found, problems


def _parse_time(text: object) -> AcquisitionTime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return AcquisitionTime(moment.replace(tzinfo=None), ":" in text)


def _by_rule(have: Sequence[str], dates: SessionDates, rule: OrderRule) -> SessionOrder:
    planned = [label for label in rule.order if label in have]
    reason = f"the session is not in sessions.order ({', '.join(rule.order)})"
    left_out = {label: reason for label in have if label not in rule.order}
    note = "; ".join(dates.problems)
    dated = [label for label in rule.order if label in dates.times]
    for before, after in pairwise(dated):
        if days_between(dates.times[before], dates.times[after]) < 0:
            problem = _contradiction(before, after, dates, "sessions.order says the reverse")
            return SessionOrder(left_out=left_out, problem=problem, note=note)
    days = _days_by_rule(planned, dates.times, rule)
    times = tuple(SessionTime(label, days.get(label)) for label in planned)
    return SessionOrder(times, left_out, note=note)


def _days_by_rule(
    planned: list[str], times: Mapping[str, AcquisitionTime], rule: OrderRule
) -> dict[str, float]:
    first = next((label for label in rule.order if label in planned or label in times), "")
    dated = [label for label in planned if label in times and first in times]
    days = {label: days_between(times[first], times[label]) for label in dated}
    growing = all(one < other for one, other in pairwise(days.values()))
    if growing and len(days) == len(planned):
        return days
    if rule.interval_days:
        return dict(zip(rule.order, accumulate(rule.interval_days, initial=0.0), strict=True))
    return {first: 0.0} | (days if growing else {})


def _by_dates(have: Sequence[str], dates: SessionDates) -> SessionOrder:
    times, problems = dates.times, "; ".join(dates.problems)
    in_time = [label for label in _labels_in_time(times) if label in have]
    if len(have) < 2 and not in_time:
        return SessionOrder(tuple(SessionTime(label, None) for label in have), note=problems)
    for before, after in pairwise(in_time):
        if days_between(times[before], times[after]) == 0:
            problem = f"ses-{before} and ses-{after} have the same date; write {_WAYS}"
            return SessionOrder(problem=problem)
    reason = f"it is not known when this session was ({problems or 'no acq_time'}); write {_WAYS}"
    left_out = {label: reason for label in have if label not in times}
    first = _labels_in_time(times)[0] if times else ""
    days = {label: days_between(times[first], times[label]) for label in in_time}
    ordered = tuple(SessionTime(label, days[label]) for label in in_time)
    return SessionOrder(ordered, left_out, note=problems)


_WAYS = (
    "acq_time (such as 2009-06-15T13:45:30) in sub-X/sub-X_sessions.tsv, or the labels, the "
    "earliest first, as sessions: order: in the settings"
)


def _labels_in_time(times: Mapping[str, AcquisitionTime]) -> list[str]:
    moments = pd.Series({label: time.moment for label, time in times.items()}, dtype="object")
    return [str(label) for label in moments.sort_values(kind="stable").index]


def _check_dates(sessions: Mapping[str, Sequence[str]], dates: Mapping[str, SessionDates]) -> None:
    several = [label for label in sessions if len(sessions[label]) > 1]
    if any(len(set(sessions[label]) & set(dates[label].times)) > 1 for label in several):
        return
    if several:
        labels = ", ".join(dict.fromkeys(name for label in several for name in sessions[label]))
        problems = [text for label in several for text in dates[label].problems]
        found = f" ({problems[0]})" if problems else ""
        raise DatasetError(
            f"the order of the sessions in time is unknown{found}: write {_WAYS}; "
            f"sessions found: {labels}"
        )


def _without_reversed(
    orders: dict[str, SessionOrder], dates: Mapping[str, SessionDates]
) -> dict[str, SessionOrder]:
    counts: dict[tuple[str, str], int] = {}
    pairs = {
        label: list(combinations([time.label for time in order.sessions], 2))
        for label, order in orders.items()
    }
    for pair in (pair for own in pairs.values() for pair in own):
        counts[pair] = counts.get(pair, 0) + 1
    checked = dict(orders)
    for label, own in pairs.items():
        for before, after in own:
            others = counts.get((after, before), 0)
            if others >= counts[before, after]:
                reason = f"{others} other participant(s) have them the other way round"
                problem = _contradiction(before, after, dates[label], reason)
                checked[label] = SessionOrder(problem=problem)
    return checked


def _contradiction(one: str, other: str, dates: SessionDates, against: str) -> str:
    n_days = abs(days_between(dates.times[one], dates.times[other]))
    earlier = "before" if dates.times[one].moment < dates.times[other].moment else "after"
    return (
        f"by their dates ses-{one} was {n_days:g} days {earlier} ses-{other}, but {against}; "
        "correct the dates or the order, otherwise the sign of the change would be wrong"
    )
