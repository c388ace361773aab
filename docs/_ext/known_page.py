"""Scales and circuits that the program knows, with their sources."""

from importlib.resources import files
from typing import Any

import yaml
from markdown_table import code, table

NAMES = {"norm": "people without treatment", "clinical": "people in treatment"}
NAMES |= {"response_pct": "response, %"}
NUMBERS = ("value", "mean", "sd")


def scale_tables() -> str:
    """Markdown of a heading and a table for each scale of scales.yaml."""
    return "\n".join(_scale(name, told) for name, told in _read("scales.yaml").items())


def circuit_table() -> str:
    """Markdown of all circuits of circuits.yaml."""
    rows = [
        (code(name), told["meaning"], ", ".join(told["atlases"]), told["citation"])
        for name, told in _read("circuits.yaml").items()
    ]
    return table(("circuit", "between", "atlases that have it", "source"), rows)


def _scale(name: str, told: dict[str, Any]) -> str:
    reach = f"{told.get('minimum', 'n/a')} to {told.get('maximum', 'n/a')} points"
    aliases = told.get("aliases", [])
    called = f" Also called {', '.join(code(alias) for alias in aliases)}." if aliases else ""
    intro = f"{told['full_name']}; {told['better']} is better; {reach}.{called}"
    rows = [("scoring", "", "", told["citation"])]
    rows += [_fact(key, fact) for key, fact in told.items() if isinstance(fact, dict)]
    header = ("what", "value", "how", "source")
    return f"### {name}\n\n{intro}\n\n{table(header, rows)}"


def _fact(key: str, fact: dict[str, Any]) -> tuple[str, str, str, str]:
    numbers = [
        f"{fact[name]}" if name == "value" else f"{name} {fact[name]}"
        for name in NUMBERS
        if name in fact
    ]
    how = "; ".join(str(fact[name]) for name in ("kind", "detail") if name in fact)
    return NAMES.get(key, key), ", ".join(numbers), how, str(fact.get("citation", ""))


def _read(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(
        (files("configs") / name).read_text(encoding="utf-8")
    )
    return found
