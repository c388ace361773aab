"""All settings: names and limits from the code, meanings from default.yaml and meanings.yaml."""

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from markdown_table import code, table
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from configs.settings import Settings, VariableSettings

MEANINGS = Path(__file__).with_name("meanings.yaml")
UNITS = {
    "_mm": "mm",
    "_s": "s",
    "_hz": "Hz",
    "_ml": "ml",
    "_pct": "%",
    "_days": "days",
    "_minutes": "minutes",
    "_gb": "GB",
}
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "file"}
SIGNS = {"gt": "> {}", "ge": ">= {}", "lt": "< {}", "le": "<= {}"}
PAGE = re.compile(r"docs/([a-z_]+)\.md")
KEY = re.compile(r"^( *)([A-Za-z0-9_]+):")


@dataclass(frozen=True)
class Setting:
    """One key of a section: its name, annotation and default."""

    name: str
    field: FieldInfo
    meaning: str

    @property
    def key(self) -> str:
        """Name without its section."""
        return self.name.rpartition(".")[2]

    @property
    def default(self) -> str:
        """Default as it is written in YAML; a key without one must be given."""
        if self.field.is_required():
            return "must be given"
        value = self.field.default
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        plain = list(plain) if isinstance(plain, tuple) else plain
        text = yaml.safe_dump(plain, default_flow_style=True, width=1000)
        return code(text.removesuffix("\n").removesuffix("\n..."))


def setting_tables() -> str:
    """Markdown of all sections, first those of the file, then the records of its lists."""
    told = comments((files("configs") / "default.yaml").read_text(encoding="utf-8"))
    parts = [_section(name, section, told) for name, section in sections()]
    records = yaml.safe_load(MEANINGS.read_text(encoding="utf-8"))
    return "\n".join([*parts, *(_record(path, kind, records) for path, kind in record_kinds())])


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Name and class of each section; the keys that stand alone are the section without a name."""
    for name, field in Settings.model_fields.items():
        if _is_section(field.annotation):
            yield name, field.annotation
    yield "", Settings


def record_kinds() -> Iterator[tuple[str, type[BaseModel]]]:
    """Path such as `group.scores`, and class, of each setting that is a list of records."""
    for name, section in sections():
        for key, field in section.model_fields.items():
            kinds = [kind for kind in _parts(field.annotation) if _is_section(kind)]
            if kinds and name:
                yield f"{name}.{key}", kinds[0]
    yield "variable", VariableSettings


def comments(text: str) -> dict[str, str]:
    """Comment above each key of default.yaml by its path; keys without one share the one above."""
    found: dict[str, str] = {}
    section, last, pending = "", "", []
    for line in text.splitlines():
        key = KEY.match(line)
        if line.strip().startswith("#"):
            pending.append(line.strip().lstrip("# "))
        elif key:
            section = key[2] if not key[1] else section
            path = f"{section}.{key[2]}" if key[1] else key[2]
            last = " ".join(pending) if pending or not key[1] else last
            found[path], pending = last, []
        else:
            pending = []
    return found


def kind_of(annotation: Any) -> str:
    """What a value can be, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return f"{kind_of(inner[0])}{_limits(inner[1:])}"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        named = [kind_of(part) for part in inner if part is not type(None)]
        return " or ".join(named + ["`null`"] * (type(None) in inner))
    if origin is dict:
        return f"map of {kind_of(inner[0])} to {kind_of(inner[1])}"
    if origin is tuple:
        is_open = len(inner) == 2 and inner[1] is Ellipsis
        return f"list of {kind_of(inner[0])}" if is_open else f"{len(inner)} x {kind_of(inner[0])}"
    return "record" if _is_section(annotation) else WORDS.get(annotation, str(annotation))


def unit_of(name: str) -> str:
    """Unit that the end of a name says."""
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def _section(name: str, section: type[BaseModel], told: dict[str, str]) -> str:
    prefix = f"{name}." if name else ""
    keys = dict(section.model_fields)
    if not name:
        keys = {key: field for key, field in keys.items() if not _is_section(field.annotation)}
    found = [Setting(prefix + key, field, told[prefix + key]) for key, field in keys.items()]
    intro = told.get(name, "")
    return f"## {name or 'For all'}\n\n{intro}\n\n{_table(found)}"


def _record(path: str, kind: type[BaseModel], records: dict[str, dict[str, str]]) -> str:
    told = records[path]
    found = [Setting(key, field, told[key]) for key, field in kind.model_fields.items()]
    title = "Variables" if path == "variable" else path
    return f"## {title}\n\n{told['about']}\n\n{_table(found)}"


def _table(found: list[Setting]) -> str:
    rows = [
        (code(one.key), _linked(one.meaning), _kind(one), unit_of(one.key), one.default)
        for one in found
    ]
    return table(("setting", "meaning", "what it can be", "unit", "default"), rows)


def _kind(setting: Setting) -> str:
    """What a setting can be; records link to the table of their keys."""
    anchor = setting.name.replace(".", "")
    is_variable = VariableSettings in _parts(setting.field.annotation)
    target = "variables" if is_variable else anchor
    return kind_of(_whole(setting.field)).replace("record", f"[record](#{target})")


def _linked(meaning: str) -> str:
    """Names of pages as links, where there is such a page."""
    return PAGE.sub(lambda found: _link(found[1]) or found[0], meaning)


def _link(page: str) -> str:
    there = (MEANINGS.parents[1] / f"{page}.md").is_file()
    return f"[{page}]({page}.md)" if there else ""


def _whole(field: FieldInfo) -> Any:
    """Annotation of a field with the limits that pydantic keeps apart."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _limits(metadata: tuple[Any, ...]) -> str:
    known = [item for one in metadata for item in getattr(one, "metadata", [one])]
    texts = [
        sign.format(f"{getattr(item, name):g}")
        for item in known
        for name, sign in SIGNS.items()
        if getattr(item, name, None) is not None
    ]
    return f" ({', '.join(texts)})" if texts else ""


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *get_args(annotation)]
