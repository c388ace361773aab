"""Content that a careless or hostile person could put into a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Protocol

DEEP = 20_000
NASTY = (
    *(b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b"\t", b'"', b"'", b"`"),
    *(
        b"nan",
        b"inf",
        b"-inf",
        b"n/a",
        b"1e999",
        b"-0",
        b"1e-320",
        b"9" * 400,
        b"9" * 5000,
        b"0x10",
        b"1_0",
    ),
    *(
        b"../../etc/passwd",
        b"/dev/zero",
        b"/etc/passwd",
        b"sub-",
        b"ses-",
        b"sub-sub-01",
        b"sub-..",
    ),
    *(b"<script>alert(1)</script>", b"=1+1", b"\x1b[31m", b"[red]", b"%s%n", b"{{7*7}}"),
    *(
        b"!!python/object/apply:os.system [x]",
        b"&a [*a]",
        b"<<: *a",
        b"- ",
        b"? ",
        b"---\n",
        b"...",
    ),
    *(b"[" * DEEP, b'{"a":' * DEEP, b"<a>" * DEEP, b"(" * 500, b"- " * 500, b"1+" * DEEP),
    *("\u202egnp".encode(), "e\u0301".encode(), "\u0661\u0662".encode(), "\u00b2".encode()),
    *(b"2009-02-30", b"0001-01-01", b"9999-12-31T23:59:60", b"true", b"null", b"[]", b"{}", b"~"),
    *(b"12:30:45", b"2001-01-01", b"0b1", b"!!set {a}", b"!!binary aGk=", b".inf", b"\xc3\x28"),
)


VALUES = (
    *(None, True, False, 0, -1, 1, 2.5, 1e150, 10**400, float("nan"), float("inf"), "", "x", "1"),
    *([], {}, [[]], [None], [1, "a"], {"a": 1}, [{}], ["x"] * 3, [0, 0.5], {"": ""}, [[1], [2]]),
    *("../../x", "nan", "-1", "1/0", "n/a", "\x00", "a\nb", "\ud800", "x" * 5000, "1e400"),
)
"""Values of a kind that nobody expects in this place."""


class Draw(Protocol):
    """Where choices come from: a test or a fuzzer."""

    def below(self, end: int) -> int:
        """Whole number from 0 to `end` - 1."""


def mutated(seed: bytes, draw: Draw, n_steps: int) -> bytes:
    """Content after some steps, each of which destroys or inserts something."""
    content = seed
    for _ in range(n_steps):
        step = STEPS[draw.below(len(STEPS))]
        content = step(content, draw)
    return content


def _cut(content: bytes, draw: Draw) -> bytes:
    return content[: draw.below(len(content) + 1)]


def _insert(content: bytes, draw: Draw) -> bytes:
    place = draw.below(len(content) + 1)
    return content[:place] + NASTY[draw.below(len(NASTY))] + content[place:]


def _word(content: bytes, draw: Draw) -> bytes:
    """One cell, value or word replaced."""
    marks = [place for place, code in enumerate(content) if code in b'\t\n ,:"[]<>{}=;']
    if len(marks) < 2:
        return _insert(content, draw)
    first = draw.below(len(marks) - 1)
    new = NASTY[draw.below(len(NASTY))]
    return content[: marks[first] + 1] + new + content[marks[first + 1] :]


def _byte(content: bytes, draw: Draw) -> bytes:
    if not content:
        return content
    place = draw.below(len(content))
    return content[:place] + bytes([draw.below(256)]) + content[place + 1 :]


def _repeat(content: bytes, draw: Draw) -> bytes:
    lines = content.split(b"\n")
    place = draw.below(len(lines))
    return b"\n".join([*lines[:place], lines[place], *lines[place:]])


def _drop(content: bytes, draw: Draw) -> bytes:
    lines = content.split(b"\n")
    place = draw.below(len(lines))
    return b"\n".join([*lines[:place], *lines[place + 1 :]])


def _value(content: bytes, draw: Draw) -> bytes:
    """One value of a JSON file replaced; other content as `_word` leaves it."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return _word(content, draw)
    places = list(_places(whole))
    if not places:
        return content
    holder, key = places[draw.below(len(places))]
    if isinstance(holder, dict) and not draw.below(4):
        holder[str(VALUES[draw.below(len(VALUES))])] = holder.pop(key)
    else:
        holder[key] = VALUES[draw.below(len(VALUES))]
    return json.dumps(whole).encode()


def _places(whole: object) -> Iterator[tuple]:
    if not isinstance(whole, dict | list):
        return
    for key, value in whole.items() if isinstance(whole, dict) else enumerate(whole):
        yield whole, key
        if isinstance(value, dict | list):
            yield from _places(value)


STEPS: tuple[Callable[[bytes, Draw], bytes], ...] = (
    *(_cut, _insert, _word, _byte, _byte, _repeat, _drop, _value, _value, _value),
)
