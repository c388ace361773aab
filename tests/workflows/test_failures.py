"""Crash files become one sentence: who, which step, why, what to do."""

import os

import pytest

from workflows.failures import Failure, parse_crash, read_failures, step_name

PLAIN = """Node: participants_wf.sub_01_wf.bold_ses_pre_wf.check_bold
Working directory: /tmp/x

Node inputs:
bold_file = a.nii.gz
Traceback (most recent call last):
  File "nodes.py", line 1, in run
nipype.pipeline.engine.nodes.NodeExecutionError: Exception raised while executing Node check_bold.

Traceback:
\tTraceback (most recent call last):
\t  File "func.py", line 2, in _run_interface
\tOSError: unexpected end

\tbids_utils.errors.DatasetError: a.nii.gz: the file ends too early;
\tcopy it again
"""
BUG = """Node: participants_wf.sub_02_wf.anat_wf.template
Traceback (most recent call last):
  File "nodes.py", line 1, in run
KeyError: 'x'
"""


def test_a_data_error_gives_step_message_and_exit_code():
    failure = parse_crash(PLAIN, "crash-1.txt")
    assert failure.sentence == (
        "bold ses pre, check bold: a.nii.gz: the file ends too early; copy it again"
    )
    assert failure.exit_code == 3


def test_a_bug_keeps_its_class_and_names_the_crash_file():
    failure = parse_crash(BUG, "crash-2.txt")
    assert failure.sentence == ("anat, template: KeyError: 'x' (unexpected; details: crash-2.txt)")
    assert failure.exit_code == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("MemoryError", "memory ran out"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB", "memory ran out"),
        ("OSError: [Errno 28] No space left on device: '/w/x.nii'", "the disk is full (No space"),
        ("OSError: [Errno 122] Disk quota exceeded", "your share of the disk is used up"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "(Read-only file system)"),
    ],
)
def test_a_trouble_of_the_machine_is_told_and_not_what_followed_from_it(line, words):
    text = BUG.replace("KeyError: 'x'", f"{line}\n\nDuring handling:\nFileNotFoundError: result")
    failure = parse_crash(text, "crash-2.txt")
    assert failure.sentence.startswith("anat, template: ")
    assert words in failure.sentence
    assert failure.sentence.endswith(("run it again", "run it again when it can"))
    assert failure.exit_code == 4


def test_the_missing_result_of_a_step_is_not_its_cause():
    text = f"{BUG}\nDuring handling:\nFileNotFoundError: /data/n4/result_n4.pklz\n"
    assert parse_crash(text, "crash-2.txt") == parse_crash(BUG, "crash-2.txt")


def test_a_crash_file_without_traceback_still_says_something():
    assert parse_crash("", "c.txt") == Failure("unknown step", "Error", "empty crash file", "c.txt")


def test_failures_are_read_in_the_order_they_happened(tmp_path):
    for name, text, time in (("crash-b.txt", PLAIN, 1), ("crash-a.txt", BUG, 2)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        os.utime(tmp_path / name, (time, time))
    (tmp_path / "other.txt").write_text(BUG, encoding="utf-8")
    assert [failure.error for failure in read_failures(tmp_path)] == ["DatasetError", "KeyError"]
    assert read_failures(tmp_path / "absent") == []


def test_step_names_drop_the_workflows_around_them():
    assert step_name("participants_wf.sub_01_wf.anat_wf.mni_wf._mask0") == "anat, mni, mask0"
    assert step_name("group_wf") == "group"
