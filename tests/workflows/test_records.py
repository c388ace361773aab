"""Records of what is done: they must not outlive the inputs, settings and timing they are about."""

import os
from dataclasses import replace
from pathlib import Path

from bids_utils.plan import DerivedBold, ParticipantPlan, SessionPlan
from configs.settings import (
    AnatSettings,
    AtlasSettings,
    FuncSettings,
    GroupSettings,
    Settings,
    TaskSettings,
)
from workflows.failures import Failure
from workflows.locks import locked
from workflows.records import (
    Record,
    fingerprint,
    forget_record,
    is_running,
    lock_file,
    read_record,
    saved_file,
    write_record,
)


def with_run(participant, **changes):
    first, *others = participant.sessions
    runs = tuple(replace(run, **changes) for run in first.bold_runs)
    return replace(participant, sessions=(replace(first, bold_runs=runs), *others))


def test_the_fingerprint_changes_with_settings_timing_and_files(participant, tmp_path):
    first = fingerprint(participant, Settings())
    assert fingerprint(participant, Settings()) == first
    others = [
        fingerprint(participant, Settings(anat=AnatSettings(n4_resolution_mm=3.0))),
        fingerprint(with_run(participant, repetition_time_s=0.8), Settings()),
        fingerprint(with_run(participant, n_volumes=99), Settings()),
    ]
    (tmp_path / "t1w").write_text("another image", encoding="utf-8")
    others.append(fingerprint(participant, Settings()))
    assert len({first, *others}) == 5


def test_the_fingerprint_follows_the_content_of_a_stats_model_and_not_its_place(
    participant, tmp_path
):
    def print_of(name, content):
        (tmp_path / name).write_text(content, encoding="utf-8")
        tasks = (TaskSettings(task="rest", stats_model=tmp_path / name),)
        return fingerprint(participant, Settings(func=FuncSettings(tasks=tasks)))

    first = print_of("a.json", "fear - neutral")
    assert print_of("b.json", "fear - neutral") == first
    assert print_of("a.json", "neutral - fear") != first


def test_the_fingerprint_follows_the_moment_of_slices_and_the_json_of_confounds(
    participant, tmp_path
):
    for name in ("b.nii.gz", "c.tsv"):
        (tmp_path / name).touch()
    derived = DerivedBold(tmp_path, "x", tmp_path / "b.nii.gz", tmp_path / "c.tsv", "MNI")
    prints = []
    for moment_s in (None, 0.0, 1.0):
        plan = with_run(participant, derived=derived, slice_moment_s=moment_s)
        prints.append(fingerprint(plan, Settings()))
    for content in ("{}", '{"a_comp_cor_00": {}}'):
        (tmp_path / "c.json").write_text(content, encoding="utf-8")
        prints.append(fingerprint(plan, Settings()))
    assert len(set(prints)) == 5


def test_a_dataset_that_was_moved_or_mounted_elsewhere_needs_no_new_images(tmp_path):
    prints = []
    for root, name in (
        ("home", "T1w.nii.gz"),
        ("mnt/bids", "T1w.nii.gz"),
        ("o", "acq-x_T1w.nii.gz"),
    ):
        file = tmp_path / root / "sub-01" / "ses-pre" / "anat" / f"sub-01_ses-pre_{name}"
        file.parent.mkdir(parents=True)
        file.write_text("t1w", encoding="utf-8")
        os.utime(file, ns=(7, 7))
        person = ParticipantPlan("01", (SessionPlan("pre", 0.0, file, ()),))
        prints.append(fingerprint(person, Settings()))
    assert prints[0] == prints[1] != prints[2]


def test_the_order_of_sessions_and_the_group_settings_do_not_ask_for_new_images(participant):
    swapped = replace(participant, sessions=participant.sessions[::-1])
    settings = Settings(group=GroupSettings(arm_column="group"))
    assert fingerprint(swapped, settings) == fingerprint(participant, Settings())


def test_the_fingerprint_follows_the_labels_of_an_own_atlas_and_not_their_place(
    participant, tmp_path
):
    for name in ("labels.nii.gz", "moved.nii.gz", "labels.tsv"):
        (tmp_path / name).write_text("some", encoding="utf-8")

    def print_of(name, labels):
        own = AtlasSettings(
            name=name,
            file=tmp_path / labels,
            labels=tmp_path / "labels.tsv",
            space="MNI152NLin2009aSym",
        )
        return fingerprint(participant, Settings(atlas=own))

    first = print_of("Mine", "labels.nii.gz")
    assert print_of("Mine", "moved.nii.gz") == first
    others = [print_of("Yours", "labels.nii.gz"), fingerprint(participant, Settings())]
    (tmp_path / "labels.nii.gz").write_text("other", encoding="utf-8")
    others.append(print_of("Mine", "labels.nii.gz"))
    (tmp_path / "labels.tsv").write_text("names", encoding="utf-8")
    others.append(print_of("Mine", "labels.nii.gz"))
    assert len({first, *others}) == 5


def test_a_record_is_read_as_it_was_written(tmp_path):
    failure = Failure("anat, n4", "ToolError", "a.nii.gz: too dark", "c.txt")
    written = write_record(tmp_path, "01", "print", [failure])
    assert read_record(tmp_path, "01") == written
    assert written == Record("failed", "print", ("anat, n4: a.nii.gz: too dark",), 4)


def test_a_run_that_begins_forgets_that_it_was_done(tmp_path):
    write_record(tmp_path, "01", "print", [])
    assert read_record(tmp_path, "01").status == "done"
    forget_record(tmp_path, "01")
    assert read_record(tmp_path, "01") == Record("not started")


def test_a_damaged_record_counts_as_not_started(tmp_path):
    write_record(tmp_path, "01", "print", [])
    (tmp_path / "logs" / "sub-01" / "status.json").write_text("{", encoding="utf-8")
    assert read_record(tmp_path, "01") == Record("not started")


def test_a_participant_is_running_while_somebody_holds_the_lock(tmp_path):
    assert lock_file(tmp_path, "01") == tmp_path / "logs" / "sub-01" / "lock"
    assert not is_running(tmp_path, "01")
    with locked(lock_file(tmp_path, "01")):
        assert is_running(tmp_path, "01")
        assert not is_running(tmp_path, "02")
    assert not is_running(tmp_path, "01")


def test_a_saved_file_is_known_again_by_its_time_or_else_by_its_content(tmp_path):
    file = tmp_path / "a.nii.gz"
    file.write_bytes(b"whole")
    saved = saved_file(file)
    os.utime(file, ns=(0, 2**62))
    assert saved.is_still(file)
    file.write_bytes(b"whale")
    assert not saved.is_still(file)
    file.write_bytes(b"")
    os.utime(file, ns=(0, saved.mtime_ns))
    assert not saved.is_still(file)
    file.unlink()
    assert not saved.is_still(file)


def test_a_record_holds_what_was_saved(tmp_path):
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "sub-01" / "a.tsv").write_text("x")
    written = write_record(tmp_path, "01", "print", [], [Path("sub-01/a.tsv")])
    assert read_record(tmp_path, "01") == written
    assert list(written.files) == ["sub-01/a.tsv"]
    assert written.files["sub-01/a.tsv"].size_bytes == 1


def test_inputs_that_cannot_be_seen_any_more_change_the_fingerprint(participant, tmp_path):
    first = fingerprint(participant, Settings())
    (tmp_path / "t1w").unlink()
    assert fingerprint(participant, Settings()) != first
