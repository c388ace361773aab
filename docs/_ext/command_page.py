"""Options of the commands, from their parsers."""

import argparse

from markdown_table import code, table

from workflows import cli, demo


def command_options() -> str:
    """Tables of all options of `braindelta`, a heading for each group."""
    return _options(cli.build_parser())


def demo_options() -> str:
    """Table of all options of `braindelta-demo`."""
    return _options(demo.build_parser())


def _options(parser: argparse.ArgumentParser) -> str:
    parts = []
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if _is_shown(action)]
        if actions:
            title = (group.title or "options").capitalize()
            parts.append(f"### {title}\n\n{_table(actions)}")
    return "\n".join(parts)


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS


def _table(actions: list[argparse.Action]) -> str:
    rows = [(_names(action), action.help or "", _default(action)) for action in actions]
    return table(("option", "what it does", "default"), rows)


def _names(action: argparse.Action) -> str:
    value = _value(action)
    if not action.option_strings:
        return code(value)
    return ", ".join(map(code, action.option_strings)) + (f" {value}" if value else "")


def _value(action: argparse.Action) -> str:
    """How the value of an option is written, nothing for a switch."""
    if action.nargs == 0:
        return ""
    if action.metavar is None and action.choices:
        return "{" + ",".join(str(choice) for choice in action.choices) + "}"
    name = str(action.metavar or action.dest.upper())
    return f"{name} [{name} ...]" if action.nargs == "+" else name


def _default(action: argparse.Action) -> str:
    is_given = action.default not in (None, [], False, 0, argparse.SUPPRESS)
    return code(str(action.default)) if is_given and action.nargs != 0 else ""
