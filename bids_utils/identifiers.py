"""Identifiers of people that differ between two tables: what was probably meant, and why."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from bids_utils.names import strip_label

MATCH_COLUMNS = ["label", "partner", "reason", "offered"]
SPELLING_CUTOFF = 0.75


@dataclass(frozen=True)
class IdMismatch:
    """An identifier that the other table does not have.

    `partners` are the identifiers it may stand for (none, one or several), `reason` what
    differs. `offered` is true if there is exactly one partner, which nobody else may stand
    for and which differs in the way of writing only.
    """

    label: str
    partners: tuple[str, ...] = ()
    reason: str = ""
    offered: bool = False


@dataclass(frozen=True)
class IdComparison:
    """Two lists of people compared: who is in both, and what is wrong with the others.

    Nothing is joined here; `mapping` is an offer that somebody must accept.
    """

    matched: tuple[str, ...]
    mismatches: tuple[IdMismatch, ...]
    unused: tuple[str, ...]

    @property
    def mapping(self) -> dict[str, str]:
        """The unambiguous one-to-one partners, label -> identifier of the other table."""
        return {found.label: found.partners[0] for found in self.mismatches if found.offered}

    def table(self) -> pd.DataFrame:
        """MATCH_COLUMNS, one row per identifier without a match."""
        rows = [
            (found.label, ", ".join(found.partners), found.reason, found.offered)
            for found in self.mismatches
        ]
        return pd.DataFrame(rows, columns=MATCH_COLUMNS)

    def sentences(self, source: str, target: str) -> tuple[str, ...]:
        """A sentence for each identifier without a match, for a person to act on.

        Parameters
        ----------
        source, target : str
            What the two tables are called, such as "measures.tsv" and "participants.tsv".
        """
        return tuple(_sentence(found, source, target) for found in self.mismatches)


def compare_identifiers(labels: Iterable[str], known: Iterable[str]) -> IdComparison:
    """Compare the people of a table with those of a list, and explain who is missing.

    ``sub-01`` and ``01`` are the same, as everywhere. Any other difference is reported, never
    repaired: spaces, a doubled or odd prefix, upper and lower case, hyphens, underscores and
    dots, leading zeros, letters before the number (``P01`` and ``01``), and names that are
    merely alike.

    Parameters
    ----------
    labels : iterable of str
        Identifiers as the table has them, repeated or not.
    known : iterable of str
        Identifiers of the list, for example of ``participants.tsv``.

    Returns
    -------
    IdComparison
        `unused` are people of the list nobody stands for (no mistake in itself).
    """
    asked, listed = list(dict.fromkeys(labels)), list(dict.fromkeys(known))
    exact = {_exact(name) for name in listed}
    matched = tuple(name for name in asked if _exact(name) in exact)
    taken = {_exact(name) for name in matched}
    free = [name for name in listed if _exact(name) not in taken]
    wrong = [name for name in asked if _exact(name) not in exact]
    found = [_explain(name, free, listed) for name in wrong]
    claims = [name for mismatch in found for name in mismatch.partners]
    mismatches = tuple(_without_rivals(mismatch, claims) for mismatch in found)
    meant = {name for mismatch in mismatches if mismatch.offered for name in mismatch.partners}
    return IdComparison(matched, mismatches, tuple(name for name in free if name not in meant))


def _exact(name: str) -> str:
    return strip_label(name, "sub") if name == name.strip() else name


def _explain(name: str, free: Sequence[str], listed: Sequence[str]) -> IdMismatch:
    """Partners written differently, first among people nobody has matched, then among all."""
    for same in (_same_writing, _same_number):
        partners = tuple(other for other in free if same(name, other))
        if partners:
            return IdMismatch(name, partners, _difference(name, partners[0]), True)
        double = tuple(other for other in listed if same(name, other))
        if double:
            how = _difference(name, double[0])
            return IdMismatch(name, double, f"{how}; but {double[0]} is in both tables already")
    plain = _rewritten(name, WRITING)
    alike = {_rewritten(other, WRITING): other for other in free}
    near = difflib.get_close_matches(plain, alike, n=3, cutoff=SPELLING_CUTOFF)
    partners = tuple(alike[other] for other in near if _digits(other) == _digits(plain))
    return IdMismatch(name, partners, "similar spelling only" if partners else "")


def _same_writing(name: str, other: str) -> bool:
    return _rewritten(name, WRITING) == _rewritten(other, WRITING) != ""


def _same_number(name: str, other: str) -> bool:
    """Whether one is a number and the other the same number after letters."""
    one, two = _rewritten(name, WRITING), _rewritten(other, WRITING)
    return (one.isdecimal() or two.isdecimal()) and _without_letters(one) == _without_letters(two)


def _without_rivals(mismatch: IdMismatch, claims: Sequence[str]) -> IdMismatch:
    partners = mismatch.partners
    if not mismatch.offered or (len(partners) == 1 and claims.count(partners[0]) == 1):
        return mismatch
    why = "several people fit" if len(partners) > 1 else f"others may stand for {partners[0]} too"
    return IdMismatch(mismatch.label, partners, f"{mismatch.reason}; {why}")


def _difference(name: str, other: str) -> str:
    """What differs between two ways of writing one identifier."""
    spaces = ["spaces at the ends"] if name != name.strip() or other != other.strip() else []
    steps = WRITING if _same_writing(name, other) else (*WRITING, LETTERS)
    needed = []
    for place, step in enumerate(steps):
        others = (*steps[:place], *steps[place + 1 :])
        if _rewritten(name, others) != _rewritten(other, others):
            needed.append(step[0])
    return " and ".join(spaces + needed) or "hyphens, underscores, dots or zeros"


@lru_cache(maxsize=65536)
def _rewritten(name: str, steps: Steps) -> str:
    name = strip_label(name, "sub")
    for _, rewrite in steps:
        name = rewrite(name)
    return name


def _without_prefix(name: str) -> str:
    """Without any number of prefixes, ``sub-sub-01``, ``sub_01`` and ``SUB01`` give ``01``."""
    while name.lower().startswith("sub") and name[3:].strip("-_ "):
        name = name[3:].lstrip("-_ ")
    return name


def _without_marks(name: str) -> str:
    return "".join(character for character in name if character not in "-_. ")


def _without_zeros(name: str) -> str:
    return "".join(part.lstrip("0") or "0" if part.isdecimal() else part for part in _runs(name))


def _without_letters(name: str) -> str:
    """Number at the end, where letters stand before it and nowhere else."""
    parts = list(_runs(name))
    return parts[1] if len(parts) == 2 and parts[1].isdecimal() else name


def _runs(name: str) -> Iterator[str]:
    """Stretches of digits and of other characters, in turn."""
    start = 0
    for place in range(1, len(name) + 1):
        if place == len(name) or name[place].isdecimal() != name[start].isdecimal():
            yield name[start:place]
            start = place


def _sentence(found: IdMismatch, source: str, target: str) -> str:
    start = f"'{found.label}' of {source} is not in {target}"
    if not found.partners:
        return f"{start}, and nobody there is written like it"
    likely = " or ".join(f"'{name}'" for name in found.partners)
    todo = "write it the same in both tables" if found.offered else "check who is meant"
    return f"{start}; probably {likely} ({found.reason}): {todo}"


def _digits(name: str) -> str:
    return "".join(character for character in name if character.isdecimal())


Steps = tuple[tuple[str, Callable[[str], str]], ...]
WRITING: Steps = (
    ("the prefix sub-", _without_prefix),
    ("upper and lower case", str.lower),
    ("hyphens, underscores or dots", _without_marks),
    ("leading zeros", _without_zeros),
)
LETTERS = ("letters before the number", _without_letters)
