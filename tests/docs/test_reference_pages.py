"""Options, settings and columns on the site are all there are, each with its meaning."""

import re
import sys

import pytest
import yaml
from command_page import command_options, demo_options
from explained_columns import unexplained
from known_page import scale_tables
from markdown_blocks import REPOSITORY
from output_tables import TABLES, table_of
from settings_page import MEANINGS, comments, kind_of, record_kinds, sections, setting_tables

from configs.settings import FuncSettings, GroupSettings, Settings
from workflows import cli

EXPECTED = REPOSITORY / "tests" / "workflows" / "expected_outputs.txt"


def cells(markdown):
    """Cells of all table rows of a Markdown text."""
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_each_option_of_the_command_has_its_row_and_says_what_it_does():
    told = {name: row[1] for row in cells(command_options()) for name in row[0].split("`")}
    for action in cli.build_parser()._actions:
        for name in action.option_strings:
            assert told[name], name


def test_each_level_is_explained_on_the_page_of_the_command():
    page = (REPOSITORY / "docs" / "command.md").read_text(encoding="utf-8")
    [levels] = [action.choices for action in cli.build_parser()._actions if action.dest == "level"]
    explained = {row[0] for row in cells(page)}
    assert {f"`{level}`" for level in levels} <= explained


def test_each_exit_code_of_the_help_is_on_the_page_of_the_command():
    page = (REPOSITORY / "docs" / "command.md").read_text(encoding="utf-8")
    codes = set(re.findall(r"\b(\d+) [a-z]", cli.EPILOG))
    assert codes == {row[0] for row in cells(page) if row[0].isdigit()}


def test_the_demo_has_its_options_too():
    assert "`--study`" in demo_options()


def test_each_setting_is_in_the_tables_with_a_meaning():
    rows = cells(setting_tables())
    named = [row for row in rows if row[0].startswith("`")]
    classes = [kind for _, kind in sections()] + [kind for _, kind in record_kinds()]
    keys = sum(len(kind.model_fields) for kind in classes) - len(dict(sections())) + 1
    assert len(named) == keys
    assert all(row[1] for row in named)


def test_keys_of_records_have_meanings_and_nothing_else_has():
    told = yaml.safe_load(MEANINGS.read_text(encoding="utf-8"))
    known = {path: {"about", *kind.model_fields} for path, kind in record_kinds()}
    assert {path: set(keys) for path, keys in told.items()} == known


def test_a_key_without_a_comment_shares_the_one_above():
    text = "# All.\na:\n  # One.\n  b: 1\n  c: 2\n\n  # Two,\n  # more.\n  d: 3\ne: 4\n"
    assert comments(text) == {
        "a": "All.",
        "a.b": "One.",
        "a.c": "One.",
        "a.d": "Two, more.",
        "e": "",
    }


def test_limits_and_choices_are_told_in_words():
    fields = GroupSettings.model_fields
    assert kind_of(Settings.model_fields["random_seed"].annotation) == "whole number"
    assert kind_of(fields["arm_column"].annotation) == "text or `null`"
    assert kind_of(FuncSettings.model_fields["fd_threshold_mm"].annotation) == (
        "number (> 0) or `null`"
    )
    assert kind_of(FuncSettings.model_fields["censored"].annotation) == "`nan` or `spline`"


def test_limits_of_plain_numbers_are_kept():
    assert "| number (> 0, < 0.5) |" in setting_tables()


def test_scales_are_told_with_their_sources():
    text = scale_tables()
    assert "### BDI-II" in text
    assert "| reliability | 0.93 | test-retest; 1 week, 26 outpatients | Beck" in text


@pytest.mark.parametrize("one", TABLES, ids=lambda one: one.title)
def test_each_column_has_a_meaning(one):
    for name, told in one.columns.items():
        assert len(str(told["Description"])) > 1, name


def test_each_expected_table_of_a_run_is_known():
    for name in EXPECTED.read_text(encoding="utf-8").splitlines():
        if name.endswith(".tsv"):
            assert table_of(name), name


def test_each_file_of_a_run_is_on_the_page_of_files():
    page = (REPOSITORY / "docs" / "outputs.md").read_text(encoding="utf-8")
    names = re.findall(r"`([^`]+)`", page)
    ends = [re.sub(r"^(\.{3}|sub-X|.*/)", "", name).lstrip("_*") for name in names]
    ends = [end.rpartition("}")[2] for end in ends]
    for file in EXPECTED.read_text(encoding="utf-8").splitlines():
        name = file.replace("DesikanKilliany", "A")
        is_beside = name.endswith(".json") and "status" not in name and "provenance" not in name
        if is_beside or "/figures/" in name or name.startswith("group/models/"):
            continue
        assert any(end and name.endswith(end) for end in ends), name


def test_a_column_that_nobody_explained_is_found(tmp_path):
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "change.tsv").write_text("participant_id\tnew_thing\nsub-01\t1\n")
    (tmp_path / "group" / "other.tsv").write_text("a\n1\n")
    found = ["group/change.tsv: new_thing", "group/other.tsv"]
    assert list(unexplained(tmp_path)) == found
    assert sys.modules["output_tables"].table_of("group/other.tsv") is None
