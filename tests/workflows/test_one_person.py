"""One person alone, files made in another order: the results are those of a run of all."""

import shutil

import pytest
from small_trial import files_below, write_small_trial

from workflows.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.rare]
ALL = ("01", "02")


def copied_backwards(source, target, names):
    """Dataset of some people, its files made in the reverse order and the rows of tables turned."""
    for file in sorted((path for path in source.rglob("*") if path.is_file()), reverse=True):
        place = file.relative_to(source)
        if place.parts[0].startswith("sub-") and place.parts[0] not in names:
            continue
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / place)
    for table in (target / "participants.tsv", *(target / "phenotype").glob("*.tsv")):
        head, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
        table.write_text("".join([head, *rows[::-1]]), encoding="utf-8")


def run(root, folder, n_procs, *options):
    places = [str(folder / "bids"), str(folder / "out"), "participant", "--nprocs", n_procs]
    given = ["--settings", str(root / "settings.yaml"), "-w", str(folder / "work"), *options]
    assert main([*places, *given]) == 0


def test_one_person_alone_on_one_core_gives_the_same_files(tmp_path):
    write_small_trial(tmp_path / "all", n_participants=4, with_bold=("01",))
    run(tmp_path / "all", tmp_path / "all", "2", "--participant-label", *ALL)
    one, name = tmp_path / "one", "sub-01"
    copied_backwards(tmp_path / "all" / "bids", one / "bids", (name,))
    options = ("--participant-label", name, "--clean-workdir")
    run(tmp_path / "all", one, "1", *options)
    assert (one / "out" / "sub-01.html").is_file()
    assert not list((one / "work").rglob("sub_01_wf/*"))
    first, again = tmp_path / "all" / "out" / name, one / "out" / name
    made = [place for place in files_below(first) if place.endswith((".tsv", ".mat", ".gz"))]
    assert len(made) > 40
    differ = [n for n in made if (first / n).read_bytes() != (again / n).read_bytes()]
    assert differ == []
