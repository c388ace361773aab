"""YAML of a person's own: plain values only, and no more of them than a file can hold."""

from __future__ import annotations

from pathlib import Path

import yaml

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.plain_files import TOO_DEEP, read_utf8

MOST_BYTES = 2**20
MOST_VALUES = 100_000
"""Far more than all settings of a large study; anchors count as often as they are used."""


def read_yaml(path: Path) -> object:
    """Content of a YAML file.

    Raises
    ------
    SettingsError
        It cannot be read, is no YAML, has a key twice, makes objects of a program
        (`!!python`), or grows beyond all measure by anchors that refer to each other or to
        themselves.
    """
    try:
        text = read_utf8(path, MOST_BYTES)
        node = yaml.compose(text, yaml.SafeLoader)
        if node is not None and _size(node, {}) > MOST_VALUES:
            raise SettingsError(
                f"{path}: its anchors (&) make more than {MOST_VALUES} values; write out what is "
                "meant"
            )
        _refuse_twins(path, node, set())
        return yaml.safe_load(text)
    except DatasetError as error:
        raise SettingsError(str(error)) from error
    except RecursionError as error:
        raise SettingsError(f"{path}: {TOO_DEEP}, or an anchor holds itself") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: impossible dates and numbers
        raise SettingsError(f"{path}: cannot be read as YAML: {error}") from error


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values below a node, each anchor counted as often as it is used.

    Endless, so a RecursionError, where an anchor holds itself.
    """
    if id(node) not in known:
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(_size(one, known) for one in flat)
    return known[id(node)]


def _refuse_twins(path: Path, node: yaml.Node | None, seen: set[int]) -> None:
    """Refuse a key that stands twice in one place, of which YAML would silently take the last."""
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    lines: dict[str, int] = {}
    for part in node.value:
        key, value = part if isinstance(part, tuple) else (None, part)
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise SettingsError(
                    f"{path}: '{key.value}' stands twice in the same place, in lines "
                    f"{lines[key.value]} and {line}; put them together"
                )
            lines[key.value] = line
        _refuse_twins(path, value, seen)
