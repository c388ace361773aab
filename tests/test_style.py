"""Rules of the code that no linter knows."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bids_utils", "configs", "workflows")
FILES = [file for name in PACKAGES for file in (ROOT / name).rglob("*.py")]
VAGUE = {"utils", "helpers", "misc", "common", "core", "base"}


def name_of(file):
    return str(file.relative_to(ROOT))


def nodes(file, kind):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def called(call):
    function = call.func
    return getattr(function, "id", getattr(function, "attr", ""))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_functions_fit_their_kind(file):
    for function in nodes(file, ast.FunctionDef):
        length = function.end_lineno - function.lineno + 1
        limit = 12 if function.name == "_run_interface" else 60
        assert length <= limit, f"{function.name} has {length} lines, at most {limit}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_function_nodes_and_no_lambdas_in_connect(file):
    for call in nodes(file, ast.Call):
        assert called(call) != "Function"
        if called(call) == "connect":
            assert not any(isinstance(part, ast.Lambda) for part in ast.walk(call))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_sessions_are_never_sorted_by_label(file):
    for call in nodes(file, ast.Call):
        if called(call) in ("sorted", "sort", "sort_values"):
            assert "session" not in ast.unparse(call), f"line {call.lineno}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_bids_names_are_taken_apart_in_one_place_only(file):
    if name_of(file) == "bids_utils/names.py":
        return
    text = file.read_text(encoding="utf-8")
    for pattern in ('split("_")', "split('_')", 'strip("sub-', 'strip("ses-'):
        assert pattern not in text


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_modules_are_named_after_what_they_are_about(file):
    assert file.stem not in VAGUE


def test_each_repository_file_is_free_of_machine_paths():
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    for name in listing.stdout.splitlines():
        text = (ROOT / name).read_bytes()
        for path in (b"/ro" + b"ot/", b"/wo" + b"rk/", b"/ho" + b"me/"):
            assert path not in text, name
