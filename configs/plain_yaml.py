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
        It cannot be read, is no YAML, makes objects of a program (`!!python`), or grows beyond
        all measure by anchors that refer to each other or to themselves.
    """
    try:
        text = read_utf8(path, MOST_BYTES)
        node = yaml.compose(text, yaml.SafeLoader)
        if node is not None and _size(node, {}) > MOST_VALUES:
            raise SettingsError(
                f"{path}: its anchors (&) make more than {MOST_VALUES} values; write out what is "
                "meant"
            )
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
