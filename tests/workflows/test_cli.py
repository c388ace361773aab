"""The command before any image is processed: exit codes, messages, what is written."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table
from workflows import run
from workflows.cli import main
from workflows.failures import Failure
from workflows.locks import locked
from workflows.records import write_record

SETTINGS = "sessions: {order: [pre, post]}\n"


def write_image(path, shape=(4, 5, 6), repetition_time_s=None):
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.eye(4))
    if repetition_time_s:
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = repetition_time_s
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


@pytest.fixture
def study(make_dataset, tmp_path):
    """Two people with two sessions of T1w and BOLD, and a settings file."""
    files = {
        "participants.tsv": "participant_id\tage\nsub-01\t30\nsub-02\t40\n",
        "task-rest_bold.json": {"RepetitionTime": 2.0, "TaskName": "rest"},
        "README": "made up",
    }
    root = make_dataset(files)
    for label in ("01", "02"):
        for session in ("pre", "post"):
            stem = f"sub-{label}_ses-{session}"
            folder = root / f"sub-{label}" / f"ses-{session}"
            write_image(folder / "anat" / f"{stem}_T1w.nii.gz")
            write_image(folder / "func" / f"{stem}_task-rest_bold.nii.gz", (4, 5, 6, 20), 2.0)
    (tmp_path / "study.yaml").write_text(SETTINGS, encoding="utf-8")
    return root


@pytest.fixture
def call(study, tmp_path, capsys):
    """Return a function that calls the command: exit code and what it printed."""

    def call(level, *options, settings="study.yaml"):
        places = [str(study), str(tmp_path / "out"), level]
        code = main([*places, "--settings", str(tmp_path / settings), *map(str, options)])
        printed = capsys.readouterr()
        return code, " ".join((printed.out + printed.err).split())

    return call


def ledger(tmp_path):
    return read_table(tmp_path / "out" / "ledger.tsv").set_index(["session_id", "run"])


def test_plan_writes_the_ledger_in_time_order(call, tmp_path):
    code, text = call("plan")
    assert code == 0
    assert "ledger.tsv" in text
    table = read_table(tmp_path / "out" / "ledger.tsv")
    assert table["session_id"].tolist() == ["ses-pre", "ses-pre", "ses-post", "ses-post"] * 2
    assert set(table["status"]) == {"used"}


def test_the_plan_of_one_participant_leaves_the_ledger_of_all(call, tmp_path):
    code, printed = call("plan", "--participant-label", "01")
    assert (code, (tmp_path / "out" / "ledger.tsv").exists()) == (0, False)
    assert "Written" not in printed
    call("plan")
    before = ledger(tmp_path)
    call("plan", "--participant-label", "01")
    pd.testing.assert_frame_equal(ledger(tmp_path), before)


def test_a_dry_run_writes_nothing(call, tmp_path):
    assert call("plan", "--dry-run")[0] == 0
    assert call("participant", "--dry-run")[0] == 0
    assert not (tmp_path / "out").exists()


def test_settings_used_and_methods_are_written_beside_the_results(call, tmp_path):
    (tmp_path / "own.yaml").write_text(f"{SETTINGS}func: {{low_pass_hz: 0.09}}", encoding="utf-8")
    call("plan", settings="own.yaml")
    assert "low_pass_hz: 0.09" in (tmp_path / "out" / "settings.yaml").read_text(encoding="utf-8")
    methods = (tmp_path / "out" / "logs" / "CITATION.md").read_text(encoding="utf-8")
    assert "0.008 to 0.09 Hz" in " ".join(methods.split())
    assert "Desikan" in methods


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sesions: {}", "did you mean 'sessions'?"),
        ("sessions: {order: [pre, pots]}", "did you mean 'post'"),
        ("func: {min_coverage: 2}", "func.min_coverage"),
        ("atlas: {name: Desikan}", "DesikanKilliany"),
    ],
)
def test_wrong_settings_end_with_2_and_a_suggestion(call, tmp_path, text, words):
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    code, printed = call("plan", settings="wrong.yaml")
    assert code == 2
    assert words in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--participant-label", "sub-1"], "01"),
        (["--session-label", "pots"], "post"),
        (["--task-id", "rets"], "rest"),
        (["--measures", "m.tsv"], "use the level group"),
        (["-d", "xcpd=x"], "only preprocessed BOLD is read, as --derivatives fmriprep=PATH"),
        (["-d", "fmriprep=nowhere"], "there is no such folder"),
    ],
)
def test_labels_that_do_not_exist_end_with_2(call, options, words):
    code, printed = call("plan", *options)
    assert code == 2
    assert words in printed


@pytest.mark.parametrize("label", ["02", "sub-02"])
def test_one_participant_can_be_chosen_with_or_without_prefix(call, label):
    code, printed = call("participant", "--participant-label", label, "--dry-run")
    assert code == 0
    assert "1 planned, 1 to do" in printed


def test_a_folder_that_is_not_bids_ends_with_3(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / "out"), "plan"]) == 3
    assert "dataset_description.json" in capsys.readouterr().err


def test_an_invalid_dataset_ends_with_3_and_can_be_forced(call, study):
    (study / "sub-01" / "notes.txt").write_text("x", encoding="utf-8")
    code, printed = call("plan")
    assert code == 3
    assert "notes.txt" in printed
    assert "--skip-bids-validation" in printed
    assert call("plan", "--skip-bids-validation")[0] == 0


def test_scores_by_session_are_accepted_though_the_validator_knows_no_such_rows(call, study):
    rows = [f"sub-{n}\tses-{s}\t20" for n in ("01", "02") for s in ("pre", "post")]
    (study / "phenotype").mkdir()
    table = "\n".join(["participant_id\tsession_id\tBDI", *rows, ""])
    (study / "phenotype" / "bdi.tsv").write_text(table, encoding="utf-8")
    (study / "phenotype" / "bdi.json").write_text('{"BDI": {"Description": "sum"}}')
    code, printed = call("plan")
    assert code == 0, printed


def test_a_dataset_with_one_session_ends_with_3(call, study):
    for folder in study.glob("sub-*/ses-post/*/*"):
        folder.unlink()
    code, printed = call("plan", "--skip-bids-validation")
    assert code == 3
    assert "two sessions" in printed


def test_a_wrong_repetition_time_excludes_the_run_with_both_values(call, study, tmp_path):
    file = study / "sub-01" / "ses-pre" / "func" / "sub-01_ses-pre_task-rest_bold.nii.gz"
    write_image(file, (4, 5, 6, 20), 1.5)
    assert call("plan", "--skip-bids-validation")[0] == 0
    row = ledger(tmp_path).loc[("ses-pre", "sub-01_ses-pre_task-rest_bold")]
    assert row["status"] == "excluded"
    assert "1.5" in row["reason"]
    assert "2" in row["reason"]


def test_a_3d_bold_and_an_empty_file_are_excluded_and_the_others_stay(call, study, tmp_path):
    func = study / "sub-01" / "ses-pre" / "func" / "sub-01_ses-pre_task-rest_bold.nii.gz"
    write_image(func)
    anat = study / "sub-02" / "ses-post" / "anat" / "sub-02_ses-post_T1w.nii.gz"
    anat.write_bytes(b"")
    assert call("plan", "--skip-bids-validation")[0] == 0
    table = ledger(tmp_path)
    assert "must be 4-D" in table.loc[("ses-pre", func.name.partition(".")[0]), "reason"]
    assert "empty" in table.loc[("ses-post", anat.name.partition(".")[0]), "reason"]
    assert (table["status"] == "used").sum() == 6


def test_a_list_of_exclusions_beside_the_settings_is_honoured(call, tmp_path):
    rows = "participant_id\tsession_id\treason\n02\tpost\tasleep\n03\tn/a\tother study\n"
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "bad.tsv").write_text(rows, encoding="utf-8")
    settings = "sessions: {order: [pre, post], exclude: lists/bad.tsv}\n"
    (tmp_path / "listed.yaml").write_text(settings, encoding="utf-8")
    code, printed = call("plan", "--skip-bids-validation", settings="listed.yaml")
    assert code == 0
    assert "bad.tsv, row 2: it names no image: there are no images of sub-03" in printed
    table = ledger(tmp_path)
    left_out = table[table["status"] == "excluded"]
    assert left_out["participant_id"].tolist() == ["sub-02", "sub-02"]
    assert set(left_out["reason"]) == {"on the exclude list: asleep"}
    (tmp_path / "lists" / "bad.tsv").write_text(rows.replace("session", "visit"))
    code, printed = call("plan", "--skip-bids-validation", settings="listed.yaml")
    assert code == 3
    assert "unknown column 'visit_id'" in printed


def test_people_without_images_and_images_without_people_are_in_the_ledger(call, study, tmp_path):
    rows = "participant_id\tage\nsub-01\t30\nsub-09\t40\n"
    (study / "participants.tsv").write_text(rows, encoding="utf-8")
    assert call("plan", "--skip-bids-validation")[0] == 0
    table = read_table(tmp_path / "out" / "ledger.tsv").set_index("participant_id")
    assert table.loc["sub-09", "status"] == "missing"
    assert table.loc["sub-02", "reason"].str.contains("participants.tsv").all()


def test_an_output_that_cannot_be_written_ends_with_3_and_names_it(study, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    places = [str(study), str(tmp_path / "file" / "out"), "plan", "--skip-bids-validation"]
    code = main([*places, "--settings", str(tmp_path / "study.yaml")])
    message = " ".join(capsys.readouterr().err.split())
    assert code == 3
    assert "cannot be written" in message
    assert str(tmp_path / "file" / "out") in message


def test_the_output_must_not_be_the_dataset(study, capsys):
    assert main([str(study), str(study), "plan"]) == 2
    assert "must not be the dataset" in capsys.readouterr().err


def test_group_without_anybody_done_says_what_to_run_first(call):
    call("plan")
    code, printed = call("group")
    assert code == 3
    assert "level participant" in printed


def test_status_lists_who_is_not_started(call):
    code, printed = call("status")
    assert code == 0
    assert "2 planned: 2 not started" in printed


def test_status_ends_with_10_if_somebody_failed_and_with_0_while_somebody_works(call, tmp_path):
    logs = tmp_path / "out" / "logs"
    with locked(logs / "sub-02" / "lock"):
        code, printed = call("status")
        assert (code, "1 running, 1 not started" in printed) == (0, True)
        write_record(tmp_path / "out", "01", "", [Failure("n4", "ToolError", "too dark", "")])
        code, printed = call("status")
    assert code == 10
    assert "2 planned: 1 running, 1 failed" in printed
    assert "n4: too dark" in printed


SLURM = ("--scheduler", "slurm", "--skip-bids-validation")
FAKE_SBATCH = """#!/bin/sh
echo "$@" >>"$0.calls"
wc -l <"$0.calls"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM that gives numbers to jobs, says that they wait, and never starts them."""
    programs = tmp_path / "programs"
    programs.mkdir()
    scripts = {"sbatch": FAKE_SBATCH, "sacct": "#!/bin/sh\nexit 1\n"}
    line = "JobId=$4 ArrayJobId=$4 ArrayTaskId=1-2 JobName=x JobState=PENDING Reason=None"
    scripts["scontrol"] = f'#!/bin/sh\n[ "$4" = 1 ] && echo "{line}"\nexit 0\n'
    for name, text in scripts.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return programs


def test_submit_writes_jobs_and_starts_none_unless_told_to(call, slurm, tmp_path):
    code, printed = call("submit", *SLURM)
    assert code == 0
    folder = tmp_path / "out" / "logs" / "jobs" / "0001"
    assert f"To submit: bash {folder}/submit.sh" in printed
    assert not (slurm / "sbatch.calls").exists()
    assert call("status")[1].endswith("2 planned: 2 not started")


def test_jobs_for_one_participant_leave_the_ledger_of_all(call, slurm, tmp_path):
    call("plan")
    before = ledger(tmp_path)
    assert call("submit", *SLURM, "--participant-label", "01")[0] == 0
    pd.testing.assert_frame_equal(ledger(tmp_path), before)


def test_submitted_jobs_wait_and_are_not_submitted_again(call, slurm):
    code, printed = call("submit", *SLURM, "--go")
    assert code == 0
    assert "participants1.sh: job 1 group.sh: job 2" in printed
    code, printed = call("status")
    assert code == 0
    assert "2 planned: 2 waiting" in printed
    code, printed = call("submit", *SLURM, "--failed", "--go")
    assert code == 11
    assert "0 to submit" in printed
    calls = (slurm / "sbatch.calls").read_text(encoding="utf-8").splitlines()
    assert calls == ["--parsable participants1.sh", "--parsable --dependency=afterany:1 group.sh"]


def test_those_who_failed_are_submitted_when_asked_for(call, slurm, tmp_path):
    write_record(tmp_path / "out", "01", "", [Failure("n4", "ToolError", "too dark", "")])
    code, printed = call("submit", *SLURM, "--dry-run")
    assert code == 0
    assert "1 failed, 1 not started; 1 to submit" in printed
    assert "--failed submits them too" in printed
    assert not (tmp_path / "out" / "logs" / "jobs").exists()
    assert "; 2 to submit" in call("submit", *SLURM, "--failed", "--dry-run")[1]


def test_a_wrong_description_of_the_cluster_ends_with_2_before_anything_is_written(call, tmp_path):
    (tmp_path / "cluster.yaml").write_text("participant: {memory: 4}", encoding="utf-8")
    code, printed = call("submit", *SLURM, "--cluster", tmp_path / "cluster.yaml")
    assert code == 2
    assert "did you mean 'memory_gb'?" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("level", "options", "words"),
    [
        ("submit", ["--nprocs", "4"], "--nprocs: not for the level submit; cores and memory"),
        ("submit", ["--mem-gb", "4"], "in the file of --cluster"),
        ("participant", ["--scheduler", "slurm"], "--scheduler: not for the level participant"),
        ("status", ["--failed", "--go"], "--failed, --go: not for the level status"),
    ],
)
def test_options_of_another_level_end_with_2(call, capsys, level, options, words):
    with pytest.raises(SystemExit) as caught:
        call(level, *options)
    assert caught.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_variables_of_a_scheduler_choose_nobody(call, monkeypatch):
    for name in ("SLURM_ARRAY_TASK_ID", "SGE_TASK_ID", "PBS_ARRAY_INDEX"):
        monkeypatch.setenv(name, "1")
    assert "2 planned, 2 to do" in call("participant", "--dry-run")[1]
    package = Path(run.__file__).parent
    names = ("ARRAY_TASK_ID", "SGE_TASK_ID", "PBS_ARRAY")
    files = [file for file in package.rglob("*.py") if any(n in file.read_text() for n in names)]
    assert [file.name for file in files] == ["cluster_scripts.py"]


def test_a_table_of_measures_needs_no_image(study, tmp_path, capsys):
    for image in study.rglob("*.nii.gz"):
        image.unlink()
    rng = np.random.default_rng(3)
    people = [f"sub-{n:02d}" for n in range(1, 13)]
    pd.DataFrame({"participant_id": people, "age": rng.integers(20, 60, 12)}).to_csv(
        study / "participants.tsv", sep="\t", index=False
    )
    rows = [
        (person, f"ses-{session}", "volume", region, rng.normal(10, 1))
        for person in people
        for session in ("post", "pre")
        for region in ("left", "right")
    ]
    names = ["participant_id", "session_id", "measure", "region", "value"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    settings = tmp_path / "study.yaml"
    code = main(
        [str(study), str(tmp_path / "out"), "group", "--measures", str(tmp_path / "m.tsv")]
        + ["--settings", str(settings)]
    )
    assert code == 0, capsys.readouterr()
    models = read_table(tmp_path / "out" / "group" / "models" / "change.tsv")
    assert models["n"].tolist() == [12, 12]
    assert (tmp_path / "out" / "group" / "report.html").stat().st_size > 1000


def test_help_is_quick_and_loads_no_imaging_library():
    code = (
        "import sys\nfrom workflows.cli import main\ntry:\n    main(['--help'])\n"
        "except SystemExit:\n    print(sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "exit codes" in done.stdout
    assert not {"nipype", "nibabel", "pandas", "numpy"} & set(done.stdout.split("'"))


def test_a_home_that_cannot_be_written_is_no_reason_for_a_warning(tmp_path):
    home = tmp_path / "no_folder"
    home.touch()
    places = ("HOME", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    done = subprocess.run(
        [sys.executable, "-m", "workflows.cli", str(tmp_path / "nowhere"), str(tmp_path), "plan"],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(places, str(home / "below"))},
    )
    assert done.returncode == 3
    assert done.stderr.startswith("braindelta: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_command_line_wants_a_level(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["a", "b", "participants"])
    assert caught.value.code == 2
    assert "participant" in capsys.readouterr().err
