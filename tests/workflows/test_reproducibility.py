"""The same tables, byte by byte, whatever the order of rows, the processes and the threads."""

import json
import os
import random
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from bids_utils.derivatives import write_json, write_table
from workflows.compute.made_up_study import STUDIES

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PEOPLE = "participants.tsv"


def write_study(root):
    """Tables of a made-up study with arms, scores of three sessions and measures of two."""
    made = STUDIES["two_arms"](np.random.default_rng(1))
    people = made.participants
    own = [name for name in people.columns if "_ses-" not in name]
    write_table(people[own], root / "bids" / PEOPLE)
    scores = people[["participant_id", *(name for name in people if name not in own)]]
    write_table(scores, root / "bids" / "phenotype" / "bdi.tsv")
    description = {"Name": "Made-up study", "BIDSVersion": "1.10.0"}
    write_json(description, root / "bids" / "dataset_description.json")
    write_table(made.measures, root / "measures.tsv")
    text = (files("configs") / "studies" / "two_arms.yaml").read_text(encoding="utf-8")
    fewer = "group:\n  correction: {n_permutations: 100}\n"
    (root / "settings.yaml").write_text(text.replace("group:\n", fewer), encoding="utf-8")


def shuffle_rows(path):
    head, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(4).shuffle(rows)
    path.write_text(head + "".join(rows), encoding="utf-8")


def group_tables(root, *options, threads="1"):
    """Tables and arrays of the group level by name, run in a process of its own."""
    places = [str(root / "bids"), str(root / "out"), "group", "-w", str(root / "work")]
    given = ["--measures", str(root / "measures.tsv"), "--settings", str(root / "settings.yaml")]
    call([*places, *given, *options], threads)
    return tables_of(root / "out" / "group")


def call(words, threads="1", cwd=None):
    command = [sys.executable, "-m", "workflows.cli", *words]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads), "PYTHONPATH": str(ROOT)}
    how = {"env": environment, "cwd": cwd, "capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, **how)
    assert done.returncode in (0, 10), done.stderr


def tables_of(folder):
    kinds = (".tsv", ".npy")
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.suffix in kinds}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    write_study(root)
    return root, group_tables(root)


def test_rows_in_another_order_two_processes_and_two_threads_give_the_same_tables(plain, tmp_path):
    _, plain = plain
    write_study(tmp_path)
    bids = tmp_path / "bids"
    for table in (bids / PEOPLE, bids / "phenotype" / "bdi.tsv", tmp_path / "measures.tsv"):
        shuffle_rows(table)
    other = group_tables(tmp_path, "--nprocs", "2", threads="2")
    assert Path("models/change.tsv") in plain
    assert sorted(name for name in plain if other.get(name) != plain[name]) == []
    assert other.keys() == plain.keys()


def test_the_saved_settings_and_command_alone_give_the_same_tables(plain, tmp_path):
    root, tables = plain
    for name in ("bids", "measures.tsv", "out/settings.yaml"):
        copy_of(root / name, tmp_path / name)
    told = json.loads((root / "out" / "group" / "provenance.json").read_text(encoding="utf-8"))
    assert told["command"][0] == "braindelta"
    call([*told["command"][1:], "-w", str(tmp_path / "work")], cwd=tmp_path / "out")
    assert tables_of(tmp_path / "out" / "group") == tables


def copy_of(source, target):
    target.parent.mkdir(exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
