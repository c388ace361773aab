"""Disks that are full, read-only or gone; work folders that are not what they were."""

import os
import shutil
import time
from pathlib import Path

import faults
import numpy as np
import pytest
import undisturbed

pytestmark = pytest.mark.faults
rare = pytest.mark.rare
CLOCK = """
import os
import time

SHIFT, of_the_day = os.environ["CLOCK_SHIFT"], time.time


def shifted():
    with open(SHIFT) as stream:
        return of_the_day() + float(stream.read() or 0)


time.time = shifted
with open(os.path.join(os.path.dirname(SHIFT), "asked"), "a") as stream:
    stream.write("x")
"""
"""Runs at the start of each Python process: its time of day is another one, as a file says."""


def test_a_full_output_disk_is_told_and_nothing_half_is_taken_for_done(cohort, small_disk):
    with small_disk(cohort.out, 1200) as remount:
        code, text = cohort.run()
        assert code not in (0, 11)
        assert "No space left on device" in text
        assert undisturbed.wrong_files(cohort.out, cohort.reference, is_finished=False) == []
        assert "Traceback" not in text
        remount("size=100m")
        assert cohort.run()[0] == 0
        cohort.check()


@rare
def test_a_full_work_disk_is_told(cohort, small_disk):
    shutil.rmtree(cohort.root / "work")
    with small_disk(cohort.root / "work", 4000) as remount:
        code, text = cohort.run("--participant-label", "01")
        assert code in (1, 3, 4)
        assert "No space left on device" in text
        assert "unexpected" not in text
        remount("size=2g")
        assert cohort.run("--participant-label", "01")[0] == 0
        cohort.check(["01"])


@rare
def test_an_output_that_became_read_only_is_told(cohort, small_disk):
    with small_disk(cohort.out, 100_000) as remount:
        remount("ro")
        code, text = cohort.run()
        assert code == 3
        assert "cannot be written (Read-only file system)" in text
        remount("rw")
        assert cohort.run()[0] == 0
        cohort.check()


@rare
def test_an_output_that_vanishes_is_told_and_not_made_again(cohort):
    cohort.forget_steps("01", "anat_wf/regions_wf")
    process = cohort.start("--participant-label", "01")
    while "sub-01: anat" not in (cohort.text() if cohort.log.is_file() else ""):
        time.sleep(0.05)
    cohort.out.rename(cohort.root / "gone")
    code = process.wait(timeout=300)
    assert code not in (0, 10, 11)
    assert "the output folder or its dataset_description.json is gone" in cohort.text()
    assert not (cohort.out / "sub-01").exists()
    shutil.rmtree(cohort.out, ignore_errors=True)
    (cohort.root / "gone").rename(cohort.out)
    assert cohort.run("--participant-label", "01")[0] == 0
    cohort.check(["01"])


def flip_bytes(folder, rng):
    """Change one byte in the middle of some intermediate results; their times stay."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".gz", ".mat", ".pklz"))
    for number in rng.choice(len(files), 12, replace=False):
        facts, content = files[number].stat(), bytearray(files[number].read_bytes())
        content[len(content) // 2] ^= 0xFF
        files[number].write_bytes(content)
        os.utime(files[number], ns=(facts.st_atime_ns, facts.st_mtime_ns))


def cut_results(folder, rng):
    files = sorted(folder.rglob("result_*.pklz"))
    for number in rng.choice(len(files), 8, replace=False):
        files[number].write_bytes(files[number].read_bytes()[:20])


def half_delete(folder, rng):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for number in rng.choice(len(files), len(files) // 2, replace=False):
        files[number].unlink()


def change_times(folder, rng):
    """Clocks that jump: a third of the files is from the future, a third from long ago."""
    for path in folder.rglob("*"):
        year = rng.integers(3)
        if path.is_file() and year:
            time_s = time.time() + (-1 if year == 1 else 1) * 3.15e7
            os.utime(path, (time_s, time_s))


@pytest.mark.parametrize(
    "harms", [(flip_bytes, half_delete), pytest.param((cut_results, change_times), marks=rare)]
)
def test_work_folders_that_were_harmed_give_the_same_results(cohort, harms):
    rng = np.random.default_rng(1)
    for harm, label in zip(harms, ("01", "02"), strict=True):
        harm(cohort.work(label), rng)
    code, text = cohort.run()
    assert code == 0, text
    cohort.check()


@rare
def test_a_work_folder_that_was_moved_is_not_used(cohort):
    moved = cohort.root / "moved"
    (cohort.root / "work").rename(moved)
    code, _ = cohort.run("--participant-label", "01", "-w", str(moved))
    assert code == 0
    cohort.check(["01"])
    shutil.rmtree(moved)


def test_results_that_were_harmed_are_made_again(cohort):
    cohort.restore("out", "work")
    assert cohort.run()[0] == 11
    images = sorted(Path(cohort.out / "sub-01").rglob("*_T1w.nii.gz"))
    images[0].write_bytes(images[0].read_bytes()[:-100])
    table = sorted(Path(cohort.out / "sub-02").rglob("*_morph.tsv"))[0]
    table.write_bytes(table.read_bytes().replace(b"1", b"2"))
    assert cohort.run()[0] == 0
    cohort.check()


@rare
def test_a_clock_that_jumps_by_years_within_a_run_and_between_runs_changes_nothing(cohort):
    steps, clock = ("anat_wf/regions_wf", "anat_wf/deform"), cohort.root / "clock"
    (clock / "hook").mkdir(parents=True, exist_ok=True)
    (clock / "hook" / "sitecustomize.py").write_text(CLOCK, encoding="utf-8")
    paths = os.pathsep.join([str(clock / "hook"), str(faults.REPOSITORY)])
    told = [f"CLOCK_SHIFT={clock / 'shift_s'}", f"PYTHONPATH={paths}"]
    (clock / "shift_s").write_text("-1e8")
    cohort.forget_steps("01", *steps)
    process = cohort.start("--participant-label", "01", variables=told)
    for shift_s in ("+6e7", "-6e8", "+3e7"):
        time.sleep(3)
        assert process.poll() is None
        (clock / "shift_s").write_text(shift_s)
    assert process.wait(timeout=120) == 0, cohort.text()
    assert (clock / "asked").stat().st_size > 3
    cohort.check(["01"])
    assert cohort.run("--participant-label", "01")[0] == 11


def test_clocks_that_jump_do_not_make_done_work_undone(cohort):
    cohort.restore("out", "work")
    change_times(cohort.out, np.random.default_rng(1))
    assert cohort.run()[0] == 11
    cohort.check()
