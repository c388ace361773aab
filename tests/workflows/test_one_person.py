"""One person alone: the results are those of a run of all, and nobody outside is reached."""

import shutil

import pytest
from watched_calls import python

pytestmark = pytest.mark.slow
RUN = "import sys; from workflows.cli import main; sys.exit(main(sys.argv[1:]))"


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


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


def test_one_person_alone_on_one_core_gives_the_same_files_and_reaches_nobody(trial, tmp_path):
    name = "sub-02"
    copied_backwards(trial / "bids", tmp_path / "bids", (name,))
    words = [str(tmp_path / "bids"), str(tmp_path / "out"), "participant", "--nprocs", "1"]
    words += ["--settings", str(trial / "settings.yaml"), "--participant-label", name]
    done, found, n_processes = python(tmp_path / "watched", "-c", RUN, *words, "--clean-workdir")
    assert (done.returncode, found) == (0, []), done.stderr[-500:]
    assert n_processes > 10
    assert (tmp_path / "out" / "sub-02.html").is_file()
    assert not list((tmp_path / "out" / "work").rglob("sub_02_wf/*"))
    first, again = trial / "derivatives" / name, tmp_path / "out" / name
    made = [place for place in files_below(first) if place.endswith((".tsv", ".mat", ".gz"))]
    assert len(made) > 40
    differ = [n for n in made if (first / n).read_bytes() != (again / n).read_bytes()]
    assert differ == []
