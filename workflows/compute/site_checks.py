"""Refusal of sites that are arms, and of scanners that are sessions."""

from __future__ import annotations

import numpy as np

from workflows.compute.problems import ModelError, Problem

MIN_SITE = 2
TOLERANCE = 1e-9
ONE_AND_THE_SAME = "use only people scanned on one scanner: a change of scanner looks like change"


def check_sites_and_arms(site: np.ndarray, arm: np.ndarray) -> tuple[Problem, ...]:
    """Refuse sites that cannot be told apart from arms; the sites with one person.

    Parameters
    ----------
    site, arm : np.ndarray of str, shape (n_participants,)
        Empty text where unknown: the participant is not counted.

    Returns
    -------
    tuple of Problem
        One for each site with fewer than two people.

    Raises
    ------
    ModelError
        A difference between arms is a difference between sites; the message holds the
        number of people of each site in each arm.
    """
    known = (site != "") & (arm != "")
    site, arm = site[known], arm[known]
    sites, arms = _dummies(site), _dummies(arm)
    if arms.shape[1] > 1 and _rank(sites, arms) < _rank(sites) + arms.shape[1] - 1:
        what = f"site and arm cannot be told apart ({cross_table(site, arm, 'participants')})"
        todo = "do not use site as a covariate or for harmonisation: arms differ in site"
        raise ModelError(Problem(what, "participants.tsv", todo))
    return _small(site)


def check_scanners_and_sessions(
    scanner: np.ndarray, session: np.ndarray, person: np.ndarray, arm: np.ndarray
) -> tuple[Problem, ...]:
    """Refuse scanners that cannot be told apart from sessions; the scanners with one person.

    Change is seen within people. It is known only if some people change session and not
    scanner, or if scanners change in several ways; in each arm, if arms are compared.

    Parameters
    ----------
    scanner, session, arm : np.ndarray of str, shape (n_scans,)
        Empty text where unknown: the scan is not counted. Sessions are named in the order
        of their first scan.
    person : np.ndarray of int, shape (n_scans,)

    Returns
    -------
    tuple of Problem
        One for each scanner with fewer than two people.

    Raises
    ------
    ModelError
        Change over time, or its difference between arms, is a difference between
        scanners; the message holds the number of scans of each session on each scanner.
    """
    known = (scanner != "") & (session != "") & (arm != "")
    scanner, session, person, arm = scanner[known], session[known], person[known], arm[known]
    place = np.unique(person, return_inverse=True)[1]
    scanners = _within(_dummies(scanner), place)
    times = _dummies(session)
    if _aliased(scanners, _within(times[:, 1:], place)):
        table = cross_table(session, scanner, "scans")
        what = f"scanner and session cannot be told apart ({table})"
        raise ModelError(Problem(what, "scanners", ONE_AND_THE_SAME))
    arms = _dummies(arm)
    cells = np.column_stack(
        [times[:, [s]] * arms for s in range(1, times.shape[1])] or [arms[:, :0]]
    )
    if _aliased(scanners, _within(cells, place)):
        both = np.array([f"{a} {s}" for a, s in zip(arm, session, strict=True)], dtype=object)
        table = cross_table(both, scanner, "scans")
        what = f"change of scanner and the arms' change cannot be told apart ({table})"
        raise ModelError(Problem(what, "scanners", ONE_AND_THE_SAME))
    first = np.unique(np.array([f"{s}\t{p}" for s, p in zip(scanner, place, strict=True)]))
    return _small(np.array([text.rpartition("\t")[0] for text in first], dtype=object), "scanner")


def each_on_one_scanner(scanner: np.ndarray, person: np.ndarray) -> bool:
    """True if nobody changes scanner: then change needs no harmonisation, a covariate does.

    Parameters
    ----------
    scanner : np.ndarray of str, shape (n_scans,)
    person : np.ndarray of int, shape (n_scans,)
    """
    pairs = set(zip(person.tolist(), scanner.tolist(), strict=True))
    return len(pairs) == len(set(person.tolist()))


def cross_table(rows: np.ndarray, columns: np.ndarray, counted: str) -> str:
    """Counts of a two-way table in words, in the order in which the labels appear.

    Parameters
    ----------
    rows, columns : np.ndarray of str, shape (n,)
    counted : str
        What is counted, plural.
    """
    parts = []
    for row in dict.fromkeys(rows.tolist()):
        inside = columns[rows == row]
        cells = [
            f"{column} {(inside == column).sum()}" for column in dict.fromkeys(columns.tolist())
        ]
        parts.append(f"{row}: {', '.join(cells)}")
    return f"{counted} in {'; '.join(parts)}"


def _dummies(labels):
    levels = list(dict.fromkeys(labels.tolist()))
    return np.array([labels == level for level in levels], dtype=float).reshape(len(levels), -1).T


def _within(columns, place):
    """Columns minus the mean of each person."""
    counts = np.bincount(place)
    means = [np.bincount(place, column) / counts for column in columns.T]
    return columns - np.array(means).T.reshape(len(counts), -1)[place]


def _rank(*parts):
    together = np.column_stack(parts)
    return (
        int(np.linalg.matrix_rank(together, tol=TOLERANCE * max(together.shape)))
        if together.size
        else 0
    )


def _aliased(nuisance, wanted):
    """True if the effects that people can show at all are lost beside the nuisance."""
    return _rank(nuisance, wanted) < _rank(nuisance) + _rank(wanted)


def _small(labels, kind="site"):
    problems = []
    for label in dict.fromkeys(labels.tolist()):
        if (labels == label).sum() < MIN_SITE:
            what = f"{kind} '{label}' has one person"
            problems.append(
                Problem(what, f"{kind}s", "its own effect cannot be learned from one person")
            )
    return tuple(problems)
