"""Runs of fMRIPrep by their names; the real tree of ds003007 (29 people) is the oracle."""

import json
from pathlib import Path

import pytest

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.fmriprep import DerivedRequest, find_runs, generator_version
from bids_utils.plan import ImageFacts, PlanRequest, make_plan

MADE_BY = {
    "Name": "fMRIPrep",
    "BIDSVersion": "1.4.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "fMRIPrep", "Version": "21.0.2"}],
}
MOTION = "trans_x\ttrans_y\ttrans_z\trot_x\trot_y\trot_z\tframewise_displacement\tcsf"
C2009, ASYM6 = "MNI152NLin2009cAsym", "MNI152NLin6Asym"
SERIES = ImageFacts((97, 115, 97, 5), (2.0, 2.0, 2.0), 2.0)
HEAD = ImageFacts((176, 256, 256), (1.0, 1.0, 1.0))
RUN = "sub-{0}/ses-{1}/func/sub-{0}_ses-{1}_task-rest"
PLACED = "_space-MNI152NLin2009cAsym_res-2"


def confounds(n_rows=5, columns=MOTION):
    row = "\t".join("0.1" for _ in columns.split("\t"))
    return "\n".join([columns, *[row] * n_rows, ""])


def full_run(sub, ses, place=PLACED, stem=RUN):
    """Files of one run that fMRIPrep 20.2 and later write."""
    run = stem.format(sub, ses)
    return {
        f"{run}{place}_desc-preproc_bold.nii.gz": "",
        f"{run}{place}_desc-preproc_bold.json": {"RepetitionTime": 2.0},
        f"{run}{place}_desc-brain_mask.nii.gz": "",
        f"{run}{place}_boldref.nii.gz": "",
        f"{run}_desc-confounds_timeseries.tsv": confounds(),
        f"{run}_desc-confounds_timeseries.json": {},
    }


def write(root, files, description=MADE_BY):
    root.mkdir(exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps(description))
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def two_people(**more):
    files = {}
    for sub in ("01", "02"):
        for ses in ("pre", "post"):
            files |= full_run(sub, ses)
    return files | more


def raw(root, files=(), people=("01", "02")):
    rows = "".join(f"sub-{label}\n" for label in people)
    tables = {"participants.tsv": f"participant_id\n{rows}", **dict.fromkeys(files, "")}
    return write(root, tables, {"Name": "raw", "BIDSVersion": "1.10.0"})


def read(path):
    if "T1w" in path.name:
        return HEAD
    return SERIES


def found(tmp_path, files, spaces=(C2009, ASYM6), **more):
    tree = write(tmp_path / "prep", files)
    return find_runs(DerivedRequest((("fmriprep", tree),), spaces, **more))


def plan_of(tmp_path, files, spaces=(C2009, ASYM6), raw_files=(), **more):
    tree = write(tmp_path / "prep", files)
    scans, session = more.pop("scans", {}), more.pop("session", "")
    trees = (("fmriprep", tree), *more.pop("trees", ()))
    request = PlanRequest(
        raw(tmp_path / "raw", raw_files, more.pop("people", ("01", "02"))),
        more.pop("order", ("pre", "post")),
        None,
        0.001,
        derived=DerivedRequest(trees, spaces, scans, session),
        **more,
    )
    return make_plan(request, read)


def told(plan, status):
    ledger = plan.ledger[plan.ledger["status"] == status]
    return ledger[["participant_id", "session_id", "reason"]].to_numpy().tolist()


def test_a_run_has_the_files_of_its_own_space_and_its_confounds(tmp_path):
    files = full_run("01", "pre") | full_run("01", "pre", "_space-T1w") | full_run("01", "pre", "")
    files["sub-01/anat/sub-01_space-MNI152NLin2009cAsym_res-2_dseg.nii.gz"] = ""
    files["sub-01/anat/sub-01_space-MNI152NLin6Asym_res-2_dseg.nii.gz"] = ""
    files["sub-01/anat/sub-01_dseg.nii.gz"] = ""
    files[f"{RUN.format('01', 'pre')}{PLACED}_desc-aseg_dseg.nii.gz"] = ""
    (run,) = found(tmp_path, files)
    stem = f"{RUN.format('01', 'pre')}{PLACED}"
    assert run.bold.source == f"bids:fmriprep:{stem}_desc-preproc_bold.nii.gz"
    assert run.bold.file == tmp_path / "prep" / f"{stem}_desc-preproc_bold.nii.gz"
    assert run.bold.mask_file.name == f"{Path(stem).name}_desc-brain_mask.nii.gz"
    assert run.bold.boldref_file.name == f"{Path(stem).name}_boldref.nii.gz"
    assert run.bold.dseg_file.name == "sub-01_space-MNI152NLin2009cAsym_res-2_dseg.nii.gz"
    assert run.bold.confounds_file.name == "sub-01_ses-pre_task-rest_desc-confounds_timeseries.tsv"
    assert (run.bold.space, run.bold.version) == (C2009, "21.0.2")
    assert run.entities == (("sub", "01"), ("ses", "pre"), ("task", "rest"))


def test_old_names_of_the_confounds_are_known(tmp_path):
    files = full_run("01", "pre")
    stem = RUN.format("01", "pre")
    files[f"{stem}_desc-confounds_regressors.tsv"] = files.pop(
        f"{stem}_desc-confounds_timeseries.tsv"
    )
    (run,) = found(tmp_path, files)
    assert run.bold.confounds_file.name.endswith("_desc-confounds_regressors.tsv")


def test_all_runs_are_taken_in_the_space_that_most_have(tmp_path):
    other = "_space-MNI152NLin6Asym_res-2"
    files = full_run("01", "pre") | full_run("01", "post")
    files |= full_run("01", "pre", other) | full_run("02", "pre", other)
    files |= full_run("02", "post", other)
    runs = found(tmp_path, files)
    assert [run.bold.space if run.bold else None for run in runs] == [None, ASYM6, ASYM6, ASYM6]
    assert "is in MNI152NLin2009cAsym 2 only, the other runs in MNI152NLin6Asym res-2" in (
        runs[0].note
    )
    assert [run.bold.space for run in found(tmp_path, files, (C2009,)) if run.bold] == [C2009] * 2


def test_spaces_that_tie_are_taken_in_the_order_of_the_atlas(tmp_path):
    files = full_run("01", "pre") | full_run("01", "pre", "_space-MNI152NLin6Asym_res-2")
    assert found(tmp_path, files, (ASYM6, C2009))[0].bold.space == ASYM6
    assert found(tmp_path, files, (C2009, ASYM6))[0].bold.space == C2009


def without_series(files):
    return {name: text for name, text in files.items() if "preproc_bold" not in name}


def without_confounds(files):
    return {name: text for name, text in files.items() if "confounds" not in name}


SURFACE = {f"{RUN.format('01', 'pre')}_space-fsLR_den-91k_bold.dtseries.nii": ""}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (without_series(full_run("01", "pre")), "as with --level minimal"),
        (without_series(full_run("01", "pre")) | SURFACE, "the series is in a surface only"),
        (full_run("01", "pre", "_space-T1w"), "the series is in T1w only, the atlas can be had in"),
        (full_run("01", "pre", ""), "the series is in the scanner space only"),
        (without_confounds(full_run("01", "pre")), "confounds_timeseries.tsv is not beside it"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_to_run(tmp_path, files, reason):
    (run,) = found(tmp_path, files)
    assert run.bold is None
    assert reason in run.note
    assert "run fMRIPrep again with --output-spaces MNI152NLin2009cAsym:res-2" in run.note


def test_the_combined_series_of_several_echoes_is_taken_and_single_echoes_are_not(tmp_path):
    stem = RUN.format("01", "pre")
    echoes = {f"{stem}_echo-{n}_desc-preproc_bold.nii.gz": "" for n in (1, 2, 3)}
    (run,) = found(tmp_path, full_run("01", "pre") | echoes)
    assert "echo" not in run.bold.file.name
    runs = find_runs(DerivedRequest((("f", write(tmp_path / "alone", echoes)),), (C2009,)))
    assert len(runs) == 3
    assert all("without the series that fMRIPrep combines" in run.note for run in runs)


@pytest.mark.parametrize(
    ("description", "version"),
    [
        (MADE_BY, "21.0.2"),
        (
            {"GeneratedBy": [{"Name": "niftis"}, {"Name": "fMRIPrep", "Version": "25.1.3"}]},
            "25.1.3",
        ),
        ({"PipelineDescription": {"Name": "fMRIPrep", "Version": "1.5.8"}}, "1.5.8"),
        ({"Name": "no tool"}, ""),
    ],
)
def test_the_version_is_that_of_the_description(tmp_path, description, version):
    assert generator_version(write(tmp_path / "prep", {}, description)) == version


def test_bold_of_fmriprep_needs_no_anatomy_and_no_images_in_the_dataset(tmp_path):
    plan = plan_of(tmp_path, two_people(), people=("01", "02", "03"))
    assert [one.label for one in plan.participants] == ["01", "02"]
    first, second = plan.participants[0].sessions
    assert (first.label, second.label) == ("pre", "post")
    (run,) = second.bold_runs
    assert (run.n_volumes, run.repetition_time_s) == (5, 2.0)
    assert run.derived.file == run.file
    assert dict(run.entities) == {"sub": "01", "ses": "post", "task": "rest"}
    assert told(plan, "missing") == [["sub-03", None, "is in participants.tsv, but has no images"]]
    row = plan.ledger.iloc[0]
    assert row["run"] == "sub-01_ses-pre_task-rest_bold"
    assert row["source_file"].startswith("bids:fmriprep:sub-01/ses-pre/func/")


def test_a_raw_run_that_fmriprep_does_not_have_is_excluded_and_the_others_stay(tmp_path):
    runs = [f"{RUN.format(sub, ses)}_bold.nii.gz" for sub in ("01", "02") for ses in PAIR]
    files = two_people()
    for name in [name for name in files if name.startswith("sub-02/ses-post")]:
        del files[name]
    plan = plan_of(tmp_path, files, raw_files=runs)
    assert told(plan, "excluded") == [
        ["sub-02", "ses-post", "the fMRIPrep results do not have this run"]
    ]
    assert [len(one.sessions) for one in plan.participants] == [2, 1]
    assert told(plan, "used")[2][2] == "measured, but gives no change: no second session"


PAIR = ("pre", "post")


def test_anatomy_of_the_dataset_is_used_beside_bold_of_fmriprep(tmp_path):
    heads = [f"sub-01/ses-{ses}/anat/sub-01_ses-{ses}_T1w.nii.gz" for ses in PAIR]
    plan = plan_of(tmp_path, two_people(), raw_files=heads)
    assert [s.t1w_file is not None for s in plan.participants[0].sessions] == [True, True]
    assert [s.t1w_file for s in plan.participants[1].sessions] == [None, None]
    assert all(s.bold_runs[0].derived for one in plan.participants for s in one.sessions)


def test_a_table_of_confounds_of_another_length_excludes_the_run_naming_both_files(tmp_path):
    name = f"{RUN.format('01', 'post')}_desc-confounds_timeseries.tsv"
    plan = plan_of(tmp_path, two_people(**{name: confounds(4)}))
    ((participant, session, reason),) = told(plan, "excluded")
    assert (participant, session) == ("sub-01", "ses-post")
    assert f"{name}: 4 rows, but " in reason
    assert "desc-preproc_bold.nii.gz has 5 volumes" in reason


def test_a_table_without_head_motion_excludes_the_run(tmp_path):
    name = f"{RUN.format('01', 'post')}_desc-confounds_timeseries.tsv"
    plan = plan_of(tmp_path, two_people(**{name: confounds(columns=MOTION.replace("_x", "_w"))}))
    assert "the column trans_x is missing" in told(plan, "excluded")[0][2]


def test_a_missing_mask_is_told_and_the_run_is_used(tmp_path):
    files = two_people()
    del files[f"{RUN.format('01', 'pre')}{PLACED}_desc-brain_mask.nii.gz"]
    plan = plan_of(tmp_path, files)
    assert plan.participants[0].sessions[0].bold_runs[0].derived.mask_file is None
    assert told(plan, "used")[0][2] == (
        "fMRIPrep's brain mask is missing: one is made from the mean image"
    )


def test_sessions_of_other_names_are_refused_with_both_lists_and_the_way_out(tmp_path):
    files = {}
    for ses in ("1", "2"):
        files |= full_run("01", ses) | full_run("02", ses)
    heads = [f"sub-{s}/ses-{ses}/anat/sub-{s}_ses-{ses}_T1w.nii.gz" for s in P for ses in PAIR]
    with pytest.raises(DatasetError, match=r"\(1, 2\) are not those of the dataset") as error:
        plan_of(tmp_path, files, raw_files=heads)
    assert "pre, post" in str(error.value) or "post, pre" in str(error.value)
    assert 'sources: {scans: {ses-1: ["", pre], ses-2: ["", post]}}' in str(error.value)
    scans = {"ses-1": ("", "pre"), "ses-2": ("", "post")}
    plan = plan_of(tmp_path, files, raw_files=heads, scans=scans)
    run = plan.participants[1].sessions[1].bold_runs[0]
    assert run.entities[:2] == (("sub", "02"), ("ses", "post"))
    assert "/ses-2/" in run.derived.source


P = ("01", "02")


def test_people_that_were_processed_as_two_are_put_together_by_name(tmp_path):
    stem = "sub-{0}{1}/func/sub-{0}{1}_task-rest"
    files = {}
    for sub in P:
        for ses in PAIR:
            files |= full_run(sub, ses, stem=stem)
    scans = {f"sub-{sub}{ses}": (sub, ses) for sub in P for ses in PAIR}
    plan = plan_of(tmp_path, files, scans=scans)
    assert [[s.label for s in one.sessions] for one in plan.participants] == [list(PAIR)] * 2
    with pytest.raises(DatasetError, match="not in session folders"):
        plan_of(tmp_path, files)


def test_other_people_are_refused(tmp_path):
    heads = [f"sub-P1/ses-{ses}/anat/sub-P1_ses-{ses}_T1w.nii.gz" for ses in PAIR]
    with pytest.raises(DatasetError, match=r"participants .*01, 02.* are not those .*P1"):
        plan_of(tmp_path, two_people(), raw_files=heads, people=("P1",))


def test_sessions_that_two_versions_processed_are_flagged(tmp_path):
    old = {**MADE_BY, "GeneratedBy": [{"Name": "fMRIPrep", "Version": "20.2.7"}]}
    pre = {name: text for name, text in two_people().items() if "ses-pre" in name}
    post = {name: text for name, text in two_people().items() if "ses-post" in name}
    trees = (("fmriprep1", write(tmp_path / "old", pre, old)),)
    plan = plan_of(tmp_path, post, trees=trees)
    said = {(ses, reason) for _, ses, reason in told(plan, "used")}
    note = "differs from ses-pre: preprocessing fMRIPrep 21.0.2, was fMRIPrep 20.2.7"
    assert said == {("ses-pre", None), ("ses-post", note)}


def test_versions_in_the_logs_of_a_person_are_flagged(tmp_path):
    toml = '[environment]\nversion = "{}"\n'
    logs = {
        f"sub-01/log/{day}_x/fmriprep.toml": toml.format(version)
        for day, version in (("20210101", "20.2.7"), ("20220101", "21.0.2"))
    }
    plan = plan_of(tmp_path, two_people(**logs))
    notes = [reason or "" for _, _, reason in told(plan, "used")]
    assert ["fMRIPrep 20.2.7 and 21.0.2 (logs)" in note for note in notes] == [True, True] + (
        [False] * 2
    )


def test_the_repetition_time_of_the_settings_holds_for_derived_runs(tmp_path):
    plan = plan_of(tmp_path, two_people(), repetition_time_s={"rest": 2.2})
    assert plan.participants[0].sessions[0].bold_runs[0].repetition_time_s == 2.2
    with pytest.raises(SettingsError, match="repetition_time_s: nobody has a task 'rset'"):
        plan_of(tmp_path, two_people(), repetition_time_s={"rset": 2.2})


@pytest.mark.parametrize(
    ("said", "moment_s"),
    [
        ({"SliceTimingCorrected": True, "StartTime": 0.975}, 0.975),
        ({"SliceTimingCorrected": True}, 1.0),
        ({"SliceTimingCorrected": False, "StartTime": 0.0}, None),
        ({}, None),
    ],
)
def test_the_moment_of_the_slices_is_the_one_that_fmriprep_states(tmp_path, said, moment_s):
    name = f"{RUN.format('01', 'pre')}{PLACED}_desc-preproc_bold.json"
    plan = plan_of(tmp_path, two_people(**{name: {"RepetitionTime": 2.0} | said}))
    assert plan.participants[0].sessions[0].bold_runs[0].slice_moment_s == moment_s


def test_events_come_from_the_dataset(tmp_path):
    plan = plan_of(tmp_path, two_people(), raw_files=["task-rest_events.tsv"])
    run = plan.participants[0].sessions[0].bold_runs[0]
    assert run.events_file == tmp_path / "raw" / "task-rest_events.tsv"


def real_tree(shared_dir, root):
    """All names of functional files and tissues of the real tree, with small content."""
    folder = shared_dir / "data" / "derivatives"
    names = (folder / "ds003007-fmriprep.filelist.txt").read_text().splitlines()
    kept = [n for n in names if n.startswith("sub-") and ("/func/" in n or "_dseg.nii" in n)]
    files = dict.fromkeys(kept, "")
    files |= {n: {"RepetitionTime": 2.0} for n in kept if n.endswith("_bold.json")}
    files |= {n: {} for n in kept if n.endswith("mask.json")}
    files |= {n: confounds() for n in kept if n.endswith("confounds_timeseries.tsv")}
    made_by = json.loads((folder / "ds003007-fmriprep" / "dataset_description.json").read_text())
    return write(root, files, made_by)


@pytest.mark.needs_shared
def test_all_29_people_of_a_real_tree_are_planned(shared_dir, tmp_path):
    tree = real_tree(shared_dir, tmp_path / "prep")
    for name in list((tree / "sub-07" / "ses-post" / "func").iterdir()):
        name.unlink()
    request = PlanRequest(
        shared_dir / "data" / "openneuro_ds003007",
        ("pre", "post"),
        None,
        0.001,
        derived=DerivedRequest((("fmriprep", tree),), (ASYM6, C2009)),
    )
    plan = make_plan(request, read)
    assert len(plan.participants) == 29
    runs = [r for one in plan.participants for s in one.sessions for r in s.bold_runs]
    assert len(runs) == 57
    assert {run.derived.space for run in runs} == {C2009}
    assert {run.derived.version for run in runs} == {"21.0.2"}
    assert all(run.derived.mask_file and run.derived.boldref_file for run in runs)
    assert all(run.derived.dseg_file for run in runs)
    assert told(plan, "missing") == [["sub-07", "ses-post", "no images of ses-post"]]
    assert [one.label for one in plan.participants if len(one.sessions) == 1] == ["07"]
