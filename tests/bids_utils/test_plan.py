import pytest

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.exclusions import read_exclusions
from bids_utils.filters import read_filters
from bids_utils.index import Selection
from bids_utils.plan import ImageFacts, PlanRequest, make_plan

SILENT = ImageFacts((64, 64, 36, 150), (3.0, 3.0, 3.3))
HEAD = ImageFacts((176, 256, 256), (1.0, 1.0, 1.0))
RUN = ImageFacts((64, 64, 36, 150), (3.0, 3.0, 3.3), 2.0)
METADATA = {
    "task-rest_bold.json": {"RepetitionTime": 2.0, "SliceTiming": [0.0, 1.0] * 18},
    "T1w.json": {"Manufacturer": "GE"},
}


def reader(**special):
    """Image reader: facts by a part of the file name, else a good image of its kind."""

    def read(path):
        for part, facts in special.items():
            if part in path.name.replace("-", ""):
                return facts
        return RUN if "bold" in path.name else HEAD

    return read


def visit(sub, ses, *tasks):
    stem = f"sub-{sub}/ses-{ses}/{{}}/sub-{sub}_ses-{ses}_{{}}.nii.gz"
    files = [stem.format("anat", "T1w")]
    return dict.fromkeys(files + [stem.format("func", f"task-{t}_bold") for t in tasks], "")


def trial(**more):
    """Two participants, pre and post, anatomy and rest."""
    files = dict(METADATA)
    for sub in ("01", "02"):
        files |= visit(sub, "pre", "rest") | visit(sub, "post", "rest")
    return files | more


def plan_of(root, order=("pre", "post"), selection=None, read=None, **more):
    request = PlanRequest(
        bids_dir=root,
        order=order,
        interval_days=more.pop("interval_days", None),
        tr_tolerance_s=0.001,
        selection=selection or Selection(),
        **more,
    )
    return make_plan(request, read or reader())


def outline(plan):
    return {
        one.label: [
            (s.label, s.days_from_baseline, s.t1w_file is not None, len(s.bold_runs))
            for s in one.sessions
        ]
        for one in plan.participants
    }


def rows(plan, participant, status=None):
    ledger = plan.ledger[plan.ledger["participant_id"] == f"sub-{participant}"]
    ledger = ledger if status is None else ledger[ledger["status"] == status]
    return ledger[["session_id", "modality", "reason"]].to_numpy().tolist()


def test_sessions_are_planned_in_the_order_of_the_settings(make_dataset):
    plan = plan_of(make_dataset(trial()), interval_days=(84.0,))
    expected = [("pre", 0.0, True, 1), ("post", 84.0, True, 1)]
    assert outline(plan) == {"01": expected, "02": expected}
    assert set(plan.ledger["status"]) == {"used"}
    assert plan.ledger["scanner"].dropna().tolist() == ["GE"] * 4
    run = plan.participants[0].sessions[1].bold_runs[0]
    assert run.file.name == "sub-01_ses-post_task-rest_bold.nii.gz"
    assert run.repetition_time_s == 2.0


def test_the_other_order_turns_the_plan_around(make_dataset):
    plan = plan_of(make_dataset(trial()), order=("post", "pre"))
    assert [session[0] for session in outline(plan)["01"]] == ["post", "pre"]


def test_dates_decide_without_an_order(make_dataset):
    dates = "session_id\tacq_time\nses-post\t1925-03-26T10:00:00\nses-pre\t1925-01-01T10:00:00\n"
    files = {f"sub-{sub}/sub-{sub}_sessions.tsv": dates for sub in ("01", "02")}
    plan = plan_of(make_dataset(trial(**files)), order=None)
    assert outline(plan)["02"] == [("pre", 0.0, True, 1), ("post", 84.0, True, 1)]


def test_a_missing_session_is_told_and_does_not_stop_anybody(make_dataset):
    plan = plan_of(make_dataset(trial() | visit("03", "post", "rest")))
    assert outline(plan)["03"] == [("post", 0.0, True, 1)]
    assert len(outline(plan)["01"]) == 2
    note = "measured, but gives no change: no second session"
    assert rows(plan, "03") == [
        ["ses-pre", "T1w", "no images of ses-pre"],
        ["ses-pre", "bold", "no images of ses-pre"],
        ["ses-post", "T1w", note],
        ["ses-post", "bold", note],
    ]


def test_anatomy_of_one_session_serves_bold_of_two(make_dataset):
    files = trial()
    del files["sub-02/ses-post/anat/sub-02_ses-post_T1w.nii.gz"]
    plan = plan_of(make_dataset(files))
    assert outline(plan)["02"] == [("pre", 0.0, True, 1), ("post", None, False, 1)]
    assert rows(plan, "02", "missing") == [["ses-post", "T1w", "no T1w image in ses-post"]]
    assert rows(plan, "02", "used")[0][2] == (
        "measured, but gives no change: no T1w image of a second session"
    )
    assert rows(plan, "02", "used")[1][2] is None


def test_a_participant_without_usable_anatomy_is_excluded(make_dataset):
    broken = ImageFacts(problem="the file is truncated; copy it again")
    files = trial()
    plan = plan_of(make_dataset(files), read=reader(**{"sub02_sespre_T1w": broken}))
    assert outline(plan)["02"] == [("pre", 0.0, False, 1), ("post", None, True, 1)]
    plan = plan_of(
        make_dataset(files),
        read=reader(**{"sub02_sespre_T1w": broken, "sub02_sespost_T1w": broken}),
    )
    assert list(outline(plan)) == ["01"]
    assert {reason for *_, reason in rows(plan, "02", "excluded")} == {
        "the file is truncated; copy it again",
        "the participant has no usable T1w image in any session",
    }


def test_a_broken_run_is_excluded_and_the_rest_is_planned(make_dataset):
    plan = plan_of(make_dataset(trial()), read=reader(sub01_sespre_taskrest=HEAD))
    assert outline(plan)["01"] == [("pre", 0.0, True, 0), ("post", None, True, 1)]
    ((session, modality, reason),) = rows(plan, "01", "excluded")
    assert (session, modality) == ("ses-pre", "bold")
    assert reason == "a BOLD run must be 4-D, found 3-D (176 x 256 x 256)"
    assert rows(plan, "01", "used")[-1] == [
        "ses-post",
        "bold",
        "measured, but gives no change: no BOLD of task rest of a second session",
    ]


def test_what_is_not_asked_for_is_found_and_not_read(make_dataset):
    files = trial() | visit("01", "pre", "faces") | visit("01", "pilot")
    files["task-faces_bold.json"] = {"RepetitionTime": 1.0}
    selection = Selection(participants=("sub-01",), sessions=("pre", "pilot"), tasks=("faces",))
    plan = plan_of(
        make_dataset(files),
        selection=selection,
        read=reader(taskfaces=SILENT),
    )
    assert outline(plan) == {"01": [("pre", 0.0, True, 1)]}
    assert rows(plan, "01", "found") == [
        ["ses-pre", "bold", "not asked for (session, task or filter file)"],
        ["ses-post", "T1w", "not asked for (session, task or filter file)"],
        ["ses-post", "bold", "not asked for (session, task or filter file)"],
        ["ses-pilot", "T1w", "the session is not in sessions.order (pre, post)"],
    ]
    assert set(plan.ledger["participant_id"]) == {"sub-01"}


def test_single_band_references_and_odd_names_are_excluded(make_dataset):
    files = trial()
    folder = "sub-01/ses-pre/func/sub-01_ses-pre_"
    files[f"{folder}task-rest_sbref.nii.gz"] = ""
    files[f"{folder}my_run_bold.nii.gz"] = ""
    plan = plan_of(make_dataset(files))
    first, second = rows(plan, "01", "excluded")
    assert first[2] == "the name is not a BIDS name; rename it as the specification says"
    assert second[2] == "a single-band reference, not a time series"
    assert outline(plan)["01"][0] == ("pre", 0.0, True, 1)


def test_one_echo_is_used_if_the_filter_file_asks_for_it(make_dataset, tmp_path):
    files = trial()
    for echo in (1, 2):
        files[f"sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-2_echo-{echo}_bold.nii.gz"] = ""
    root = make_dataset(files)
    assert len(plan_of(root).participants[0].sessions[0].bold_runs) == 1
    (tmp_path / "f.json").write_text('{"bold": {"echo": 2}}')
    selection = Selection(filters=read_filters(tmp_path / "f.json"))
    (run,) = plan_of(root, selection=selection).participants[0].sessions[0].bold_runs
    assert dict(run.entities)["echo"] == "2"


def test_dates_against_the_order_exclude_the_participant_and_no_one_else(make_dataset):
    dates = "session_id\tacq_time\nses-pre\t2020-06-01\nses-post\t2020-01-01\n"
    plan = plan_of(make_dataset(trial(**{"sub-01/sub-01_sessions.tsv": dates})))
    assert list(outline(plan)) == ["02"]
    excluded = rows(plan, "01", "excluded")
    assert len(excluded) == 4
    assert all("sessions.order says the reverse" in reason for *_, reason in excluded)


def test_unreadable_dates_are_noted_in_the_ledger(make_dataset):
    dates = "session_id\tacq_time\nses-pre\tlast May\nses-post\tn/a\n"
    plan = plan_of(make_dataset(trial(**{"sub-01/sub-01_sessions.tsv": dates})))
    assert all("row 1: acq_time is not like" in reason for *_, reason in rows(plan, "01", "used"))
    assert rows(plan, "02", "used")[0][2] is None


def test_people_without_images_and_images_without_people_are_told(make_dataset):
    people = {"participants.tsv": "participant_id\tage\nsub-01\t30\nsub-2\t31\nsub-77\t50\n"}
    plan = plan_of(make_dataset(trial(**people)))
    assert list(outline(plan)) == ["01", "02"]
    assert rows(plan, "77") == [[None, None, "is in participants.tsv, but has no images"]]
    assert "is it '2' there?" in rows(plan, "02")[0][2]
    assert rows(plan, "01")[0][2] is None


def test_sessions_with_labels_of_their_own_are_not_missed_in_others(make_dataset):
    files = dict(METADATA)
    for number in range(5):
        sub = f"0{number}"
        dates = "session_id\tacq_time\n"
        for day in ("01", "02"):
            files |= visit(sub, f"2020{number}{day}")
            dates += f"ses-2020{number}{day}\t2020-0{number + 1}-{day}\n"
        files[f"sub-{sub}/sub-{sub}_sessions.tsv"] = dates
    plan = plan_of(make_dataset(files), order=None)
    assert len(plan.participants) == 5
    assert set(plan.ledger["status"]) == {"used"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["sub-01/anat/sub-01_T1w.nii.gz"], "not in session folders"),
        (visit("01", "pre") | visit("02", "post"), "nobody has images of two sessions"),
        (["sub-01/ses-pre/dwi/sub-01_ses-pre_dwi.nii.gz"], "no T1w or BOLD images"),
    ],
)
def test_datasets_without_change_are_refused(make_dataset, files, message):
    with pytest.raises(DatasetError, match=message):
        plan_of(make_dataset(files))


def test_unknown_sessions_in_the_settings_are_refused_with_the_nearest(make_dataset):
    with pytest.raises(SettingsError, match="session 'pots'; did you mean 'post'"):
        plan_of(make_dataset(trial()), order=("pre", "pots"))


def test_the_order_may_name_sessions_that_have_only_scores(make_dataset):
    scores = "participant_id\tsession_id\tBDI\nsub-01\tses-fu\t12\nsub-01\tses-old\tn/a\n"
    root = make_dataset(trial(**{"phenotype/bdi.tsv": scores}))
    plan = plan_of(root, ("pre", "week4", "post", "fu"), moments=("ses-week4",))
    assert [[name for name, *_ in own] for own in outline(plan).values()] == [["pre", "post"]] * 2
    assert set(plan.ledger["status"]) == {"used"}
    with pytest.raises(SettingsError, match="session 'old'"):
        plan_of(root, ("pre", "old", "post"))
    with pytest.raises(SettingsError, match="did you mean 'fu'"):
        plan_of(root, ("pre", "post", "fuu"))


def test_without_order_and_dates_the_plan_says_what_to_write(make_dataset):
    with pytest.raises(DatasetError, match="order of the sessions in time is unknown"):
        plan_of(make_dataset(trial()), order=None)


@pytest.mark.needs_shared
def test_a_real_dataset_is_planned_against_the_alphabet(shared_dir):
    root = shared_dir / "data" / "bids_examples" / "ds114"
    plan = plan_of(root, order=("test", "retest"), read=reader(bold=SILENT))
    assert len(plan.participants) == 10
    assert {tuple(s.label for s in one.sessions) for one in plan.participants} == {
        ("test", "retest")
    }
    used = plan.ledger[plan.ledger["status"] == "used"]
    assert used.groupby("modality").size().to_dict() == {"T1w": 20, "bold": 100}


@pytest.mark.needs_shared
def test_a_real_dataset_with_anatomy_in_one_session_is_planned(shared_dir):
    root = shared_dir / "data" / "bids_examples" / "7t_trt"
    plan = plan_of(root, order=("1", "2"), read=reader(bold=SILENT))
    assert len(plan.participants) == 22
    first, second = plan.participants[0].sessions
    assert first.t1w_file is not None
    assert second.t1w_file is None
    times = {run.entities[3][1]: run.repetition_time_s for run in second.bold_runs}
    assert times == {"fullbrain": 3.0, "prefrontal": 4.0}
    counts = plan.ledger["status"].value_counts().to_dict()
    assert counts == {"used": 154, "missing": 22}


def listed(folder, *rows):
    columns = "participant_id\tsession_id\tmodality\treason"
    path = folder / "exclude.tsv"
    path.write_text("\n".join([columns, *("\t".join(row) for row in rows)]), encoding="utf-8")
    return read_exclusions(path)


def test_a_session_on_the_list_is_excluded_before_anything_is_read(make_dataset, tmp_path):
    seen = []

    def read(path):
        seen.append(path.name)
        return reader()(path)

    exclusions = listed(tmp_path, ("sub-02", "ses-pre", "n/a", "coughing"))
    plan = plan_of(make_dataset(trial()), read=read, exclusions=exclusions)
    assert outline(plan)["02"] == [("post", None, True, 1)]
    assert len(outline(plan)["01"]) == 2
    reason = "on the exclude list: coughing"
    assert rows(plan, "02", "excluded") == [["ses-pre", "T1w", reason], ["ses-pre", "bold", reason]]
    assert not [name for name in seen if name.startswith("sub-02_ses-pre")]
    assert plan.notes == ()


def test_the_next_run_takes_the_place_of_one_on_the_list(make_dataset, tmp_path):
    files = trial(**{"sub-01/ses-pre/anat/sub-01_ses-pre_run-2_T1w.nii.gz": ""})
    columns = "participant_id\trun\treason\n"
    path = tmp_path / "exclude.tsv"
    path.write_text(f"{columns}01\tsub-01_ses-pre_T1w\tblurred\n", encoding="utf-8")
    plan = plan_of(make_dataset(files), exclusions=read_exclusions(path))
    assert plan.participants[0].sessions[0].t1w_file.name == "sub-01_ses-pre_run-2_T1w.nii.gz"


def test_somebody_who_is_on_the_list_as_a_whole_is_not_planned(make_dataset, tmp_path):
    exclusions = listed(tmp_path, ("02", "", "", "withdrew"), ("03", "", "", "other study"))
    plan = plan_of(make_dataset(trial()), exclusions=exclusions)
    assert list(outline(plan)) == ["01"]
    assert {status for _, _, status in rows(plan, "02")} == {"on the exclude list: withdrew"}
    ((what, where, _),) = plan.notes
    assert what.startswith("it names no image: there are no images of sub-03; did you mean")
    assert where.endswith("exclude.tsv, row 2")


def test_rows_of_the_list_about_others_are_not_looked_for(make_dataset, tmp_path):
    exclusions = listed(tmp_path, ("02", "", "", "withdrew"))
    plan = plan_of(make_dataset(trial()), selection=Selection(("01",)), exclusions=exclusions)
    assert plan.notes == ()


def test_another_scanner_in_a_later_session_is_told_there_and_only_there(make_dataset):
    sidecars = {
        "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.json": {"MagneticFieldStrength": 1.5},
        "sub-01/ses-post/anat/sub-01_ses-post_T1w.json": {"MagneticFieldStrength": 3},
        "sub-02/ses-post/anat/sub-02_ses-post_T1w.json": {"MagneticFieldStrength": 3},
    }
    small = ImageFacts((64, 64, 36, 150), (3.0, 3.0, 4.0), 2.0)
    read = reader(**{"sub01_sespost_taskrest": small})
    plan = plan_of(make_dataset(trial(**sidecars)), read=read)
    assert rows(plan, "01") == [
        ["ses-pre", "T1w", None],
        ["ses-pre", "bold", None],
        ["ses-post", "T1w", "differs from ses-pre: MagneticFieldStrength 3 T, was 1.5 T"],
        ["ses-post", "bold", "differs from ses-pre: voxel size 3 x 3 x 4 mm, was 3 x 3 x 3.3 mm"],
    ]
    assert {reason for _, _, reason in rows(plan, "02")} == {None}
    turned = plan_of(tmp_root(plan), order=("post", "pre"), read=read)
    assert rows(turned, "01")[2][2] == (
        "differs from ses-post: MagneticFieldStrength 1.5 T, was 3 T"
    )


def tmp_root(plan):
    return plan.participants[0].sessions[0].t1w_file.parents[3]


def test_bold_is_compared_with_bold_of_the_same_task(make_dataset):
    files = trial() | visit("01", "pre", "rest", "nback") | visit("01", "post", "rest", "nback")
    files["task-nback_bold.json"] = {"RepetitionTime": 2.0, "EchoTime": 0.02}
    files["task-rest_bold.json"] = {"RepetitionTime": 2.0, "EchoTime": 0.03}
    plan = plan_of(make_dataset(files))
    assert {reason for _, _, reason in rows(plan, "01")} == {None}


def test_runs_without_slice_times_are_told_once(make_dataset):
    files = trial() | {"task-rest_bold.json": {"RepetitionTime": 2.0}}
    ((what, where, todo),) = plan_of(make_dataset(files)).notes
    assert what == "4 of 4 BOLD runs have no SliceTiming that can be used"
    assert "not brought to one moment" in todo
    assert plan_of(make_dataset(files), slice_timing=False).notes == ()
    sidecar = {"sub-01/ses-post/func/sub-01_ses-post_task-rest_bold.json": METADATA[REST]}
    plan = plan_of(make_dataset(files | sidecar))
    assert rows(plan, "01")[-1][2] == "differs from ses-pre: slice timing known, was not known"


REST = "task-rest_bold.json"
