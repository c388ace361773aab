import json
from dataclasses import replace
from pathlib import Path

import pytest

from bids_utils.images import (
    Candidate,
    DerivedBold,
    ImageFacts,
    Inspector,
    choose_t1w,
    inspect_bold,
    screen_names,
)
from bids_utils.names import parse_name

HEAD = ImageFacts((176, 256, 256), (1.0, 1.0, 1.0))
RUN = ImageFacts((64, 64, 36, 150), (3.0, 3.0, 3.3), 2.0)


@pytest.fixture
def root(make_dataset):
    """Dataset with the folders of two sessions."""
    return make_dataset(
        [f"sub-01/ses-{ses}/{kind}/x" for ses in ("pre", "post") for kind in ("anat", "func")]
    )


def image(file, session="pre", modality="T1w", **more):
    datatype = "anat" if modality == "T1w" else "func"
    path = f"sub-01/ses-{session}/{datatype}/{file}"
    return Candidate(path, "01", session, modality, parse_name(file), **more)


def t1w(entities="", session="pre", extension=".nii.gz"):
    return image(f"sub-01_ses-{session}_{entities}T1w{extension}", session)


def bold(entities="task-rest_", session="pre", extension=".nii.gz"):
    return image(f"sub-01_ses-{session}_{entities}bold{extension}", session, "bold")


def inspector(root, facts, tolerance_s=0.001):
    """Inspector that knows the facts by a part of the file name."""

    def read(path):
        return next((f for part, f in facts.items() if part in path.name), HEAD)

    return Inspector(root, read, tolerance_s)


def screened(*images, one_echo=False):
    return [(one.status, one.reason) for one in screen_names(images, one_echo)]


def chosen(root, images, facts=None):
    decided = choose_t1w(images, inspector(root, facts or {}))
    return {Path(one.path).name: (one.status, one.reason) for one in decided}


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (image("sub-02_ses-pre_T1w.nii.gz"), "the folder says sub-01, the file name sub: 02"),
        (image("sub-01_ses-post_T1w.nii.gz"), "the folder says ses-pre, the file name ses: post"),
        (image("sub-01_T1w.nii.gz"), "the folder says ses-pre, the file name ses: nothing"),
        (image("sub-01_T1w.nii.gz", ""), "outside the session folders"),
        (bold("task-rest_part-phase_"), "part-phase: only magnitude"),
        (bold("task-rest_echo-2_"), 'use one alone by a filter file with {"bold": {"echo": 2}}'),
    ],
)
def test_names_rule_images_out_with_the_reason(candidate, reason):
    ((status, found),) = screened(candidate)
    assert status == "excluded"
    assert reason in found


def test_ordinary_names_and_magnitude_images_are_not_touched():
    images = [t1w(), bold(), bold("task-rest_run-2_part-mag_")]
    assert screen_names(images, one_echo=False) == images


def test_one_echo_may_be_used_when_a_filter_asks_for_it():
    assert screened(bold("task-rest_echo-2_"), one_echo=True) == [("", "")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (t1w(), t1w(extension=".nii")),
        (t1w("run-1_"), t1w("run-01_")),
        (bold("task-rest_run-1_"), bold("task-rest_run-001_")),
    ],
)
def test_images_that_mean_the_same_are_excluded_naming_each_other(first, second):
    (one, other) = screened(first, second)
    assert one == ("excluded", f"means the same as {Path(second.path).name}; keep one of them")
    assert other == ("excluded", f"means the same as {Path(first.path).name}; keep one of them")


def test_different_runs_and_sessions_are_no_duplicates():
    images = [t1w("run-1_"), t1w("run-10_"), t1w("run-1_", "post"), bold(), bold("task-faces_")]
    assert screened(*images) == [("", "")] * 5


def test_the_lowest_run_is_used_and_the_others_are_listed(root):
    images = [t1w("run-10_"), t1w("run-2_"), t1w("run-2_", "post")]
    found = chosen(root, images)
    assert found["sub-01_ses-pre_run-2_T1w.nii.gz"] == ("used", "")
    assert found["sub-01_ses-post_run-2_T1w.nii.gz"] == ("used", "")
    status, reason = found["sub-01_ses-pre_run-10_T1w.nii.gz"]
    assert status == "found"
    assert "sub-01_ses-pre_run-2_T1w.nii.gz is used" in reason


def test_the_decisions_keep_the_order_of_the_candidates(root):
    images = [t1w("run-2_"), t1w("run-1_")]
    decided = choose_t1w(images, inspector(root, {}))
    assert [one.path for one in decided] == [one.path for one in images]


def test_sessions_are_measured_with_the_same_kind_of_image(root):
    images = [t1w("acq-a_"), t1w("acq-b_"), t1w("acq-b_", "post")]
    found = chosen(root, images)
    assert {name for name, (status, _) in found.items() if status == "used"} == {
        "sub-01_ses-pre_acq-b_T1w.nii.gz",
        "sub-01_ses-post_acq-b_T1w.nii.gz",
    }


def test_different_kinds_of_image_in_the_sessions_are_noted(root):
    found = chosen(root, [t1w("acq-a_"), t1w("acq-b_", "post")])
    for status, reason in found.values():
        assert status == "used"
        assert "different kinds" in reason


def test_a_broken_t1w_is_excluded_and_the_next_run_taken(root):
    facts = {"run-1": ImageFacts(problem="the file ends early")}
    found = chosen(root, [t1w("run-1_"), t1w("run-2_")], facts)
    assert found["sub-01_ses-pre_run-1_T1w.nii.gz"] == ("excluded", "the file ends early")
    assert found["sub-01_ses-pre_run-2_T1w.nii.gz"] == ("used", "")


def test_a_series_of_volumes_is_no_t1w(root):
    found = chosen(root, [t1w()], {"T1w": ImageFacts((64, 64, 36, 2))})
    reason = "a T1w image must be 3-D, found 4-D (64 x 64 x 36 x 2)"
    assert found["sub-01_ses-pre_T1w.nii.gz"] == ("excluded", reason)


def test_a_t1w_with_a_corrupt_sidecar_is_excluded(make_dataset):
    root = make_dataset({"sub-01/ses-pre/anat/sub-01_ses-pre_T1w.json": "{"})
    ((status, reason),) = chosen(root, [t1w()]).values()
    assert status == "excluded"
    assert "sub-01_ses-pre_T1w.json, line 1" in reason


def looked_at(root, facts, metadata=None, tolerance_s=0.001):
    if metadata is not None:
        (root / "task-rest_bold.json").write_text(metadata)
    return inspect_bold(bold(), inspector(root, {"bold": facts}, tolerance_s))


def test_a_good_run_is_used_with_its_time_volumes_and_scanner(root):
    metadata = '{"RepetitionTime": 2, "Manufacturer": "Philips"}'
    found = looked_at(root, RUN, metadata)
    assert (found.status, found.reason, found.scanner) == ("used", "", "Philips")
    assert found.run.repetition_time_s == 2.0
    assert found.run.n_volumes == 150
    assert found.run.file == root / found.path
    assert found.run.entities == (("sub", "01"), ("ses", "pre"), ("task", "rest"))


@pytest.mark.parametrize(
    ("facts", "metadata", "reason"),
    [
        (ImageFacts(problem="all voxels are zero"), "{}", "all voxels are zero"),
        (HEAD, "{}", "a BOLD run must be 4-D, found 3-D (176 x 256 x 256)"),
        (ImageFacts((64, 64, 36, 1)), "{}", "must have at least 2 volumes, found 1 (64 x 64 x 36"),
        (ImageFacts((64, 64, 36, 9)), "{}", "neither in the JSON sidecar nor in the header"),
        (RUN, '{"RepetitionTime": 1.79}', "1.79 s in the JSON, but 2 s in the header"),
        (RUN, '{"RepetitionTime": 2000}', "2000 s in the JSON, but 2 s in the header"),
        (RUN, '{"RepetitionTime": "2"}', "'2'; it must be a number of seconds"),
        (RUN, '{"RepetitionTime": true}', "True; it must be a number of seconds"),
        (RUN, '{"RepetitionTime": 0}', "0; it must be a number of seconds"),
        (RUN, '{"RepetitionTime": 2,\n}', "task-rest_bold.json, line"),
    ],
)
def test_bold_that_cannot_be_used_is_excluded_with_the_reason(root, facts, metadata, reason):
    found = looked_at(root, facts, metadata)
    assert found.status == "excluded"
    assert reason in found.reason
    assert found.run is None


def test_a_missing_repetition_time_is_taken_from_the_header_and_noted(root):
    found = looked_at(root, RUN)
    assert found.status == "used"
    assert found.run.repetition_time_s == 2.0
    assert "2 s taken from the header" in found.reason


def test_times_within_the_tolerance_agree_and_the_sidecar_holds(root):
    metadata = '{"RepetitionTime": 2.0004}'
    assert looked_at(root, RUN, metadata).run.repetition_time_s == 2.0004
    assert looked_at(root, RUN, metadata, tolerance_s=0.0003).status == "excluded"


def test_the_time_of_the_settings_holds_whatever_the_files_say(root):
    (root / "task-rest_bold.json").write_text('{"RepetitionTime": 1.79}')
    given = Inspector(root, lambda path: RUN, 0.001, None, {"rest": 2.0, "faces": 1.0})
    found = inspect_bold(bold(), given)
    assert (found.status, found.run.repetition_time_s) == ("used", 2.0)
    assert found.reason == (
        "repetition time 2 s by func.repetition_time_s (1.79 s in the JSON, 2.0 s in the header)"
    )
    assert dict(found.acquired)["RepetitionTime"] == (2.0,)


def test_a_contradiction_names_the_setting_that_solves_it(root):
    reason = looked_at(root, RUN, '{"RepetitionTime": 1.79}').reason
    assert "func.repetition_time_s: {rest: SECONDS}" in reason


def test_slices_and_events_belong_to_the_run(root):
    times = [0.0, *[1.0] * 34, 1.5]
    metadata = {"RepetitionTime": 2.0, "SliceTiming": times, "SliceEncodingDirection": "k-"}
    (root / "task-rest_events.tsv").write_text("onset")
    run = looked_at(root, RUN, json.dumps(metadata)).run
    assert run.slice_times_s == tuple(times)
    assert run.slice_axis == "k-"
    assert run.events_file == root / "task-rest_events.tsv"


def test_slice_times_that_cannot_be_are_told_and_the_run_is_used(root):
    found = looked_at(root, RUN, '{"RepetitionTime": 2.0, "SliceTiming": [0, 1]}')
    assert found.status == "used"
    assert found.run.slice_times_s == ()
    assert found.reason == (
        "SliceTiming has 2 times for 36 slices: its slices are not brought to one moment"
    )
    silent = Inspector(root, lambda path: RUN, 0.001, slice_timing=False)
    assert inspect_bold(bold(), silent).reason == ""


def test_a_header_without_time_does_not_contradict(root):
    silent = ImageFacts((64, 64, 36, 150), (3.0, 3.0, 3.3), None)
    assert looked_at(root, silent, '{"RepetitionTime": 2.5}').run.repetition_time_s == 2.5


def test_what_is_decided_is_not_looked_at_again(root):
    decided = bold().excluded("for a reason")

    def read(path):
        raise AssertionError(path)

    assert inspect_bold(decided, Inspector(root, read, 0.001)) is decided
    assert choose_t1w([decided], Inspector(root, read, 0.001)) == [decided]


@pytest.mark.parametrize(("n_volumes", "status"), [(9, "excluded"), (10, "used")])
def test_a_run_with_fewer_volumes_than_are_needed_is_excluded_by_its_header(
    root, n_volumes, status
):
    facts = ImageFacts((64, 64, 36, n_volumes), (3.0, 3.0, 3.3), 2.0)
    asked = Inspector(root, lambda path: facts, 0.001, slice_timing=False, min_volumes=10)
    found = inspect_bold(bold(), asked)
    reason = "a BOLD run must have at least 10 volumes, found 9 (64 x 64 x 36 x 9)"
    assert found.status == status
    assert (found.reason == reason) == (n_volumes == 9)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("onset\tduration\ttrial_type\n299\t1\tfear\n", ""),
        ("onset\tduration\n1\t1\n", "the column trial_type is missing"),
        ("onset\tduration\ttrial_type\n301\t1\tfear\n", "no event is in the run of 300 s"),
    ],
)
def test_events_that_cannot_be_read_are_told_and_the_run_stays_used(root, table, problem):
    (root / "task-rest_events.tsv").write_text(table)
    asked = Inspector(root, lambda path: RUN, 0.001, slice_timing=False, modelled_tasks=("rest",))
    found = inspect_bold(bold(), asked)
    assert found.status == "used"
    assert problem in found.run.events_problem
    assert bool(found.run.events_problem) == bool(problem)
    assert found.reason.endswith(": the task is not modelled in this run") == bool(problem)
    others = replace(asked, modelled_tasks=("faces",))
    assert inspect_bold(bold(), others).run.events_problem == ""


@pytest.mark.parametrize("beside", ["run-01", "run-1"])
def test_derived_run_1_has_the_events_and_the_json_of_raw_run_01(root, tmp_path, beside):
    folder = root / "sub-01/ses-pre/func"
    for number, seconds in (("02", 2.5), (beside.removeprefix("run-"), 2.0)):
        stem = f"sub-01_ses-pre_task-rest_run-{number}"
        (folder / f"{stem}_events.tsv").write_text("onset")
        (folder / f"{stem}_bold.json").write_text(json.dumps({"RepetitionTime": seconds}))
    (folder / "sub-01_ses-pre_task-faces_run-1_events.tsv").write_text("onset")
    derived = DerivedBold(tmp_path, "bids:x:y", tmp_path / "b.nii.gz", Path(), "MNI")
    image = replace(bold("task-rest_run-1_"), derived=derived)
    asked = inspector(root, {})
    assert asked.events(image) == folder / f"sub-01_ses-pre_task-rest_{beside}_events.tsv"
    assert asked.metadata(image)["RepetitionTime"] == 2.0
