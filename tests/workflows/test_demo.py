import io

import pandas as pd
import pytest
from rich.console import Console

from configs.settings import load_settings
from workflows import demo


def test_the_demo_settings_are_valid_and_leave_the_session_order_to_the_dates():
    from importlib.resources import as_file, files

    with as_file(files("configs") / "demo.yaml") as path:
        settings = load_settings(path)
    assert settings.sessions.order is None
    assert settings.group.reference_arm == "waitlist"
    assert [score.name for score in settings.group.scores] == ["BDI"]


def test_levels_run_in_their_order_with_the_same_folders(tmp_path):
    calls = []

    def braindelta(arguments):
        calls.append(arguments)
        return 0

    assert demo.run_levels(tmp_path, 3, braindelta) == 0
    assert [call[2] for call in calls] == ["plan", "participant", "group"]
    assert calls[1][:2] == [str(tmp_path / "bids"), str(tmp_path / "derivatives")]
    assert calls[2][3:] == [
        *("--settings", str(tmp_path / "settings.yaml")),
        *("--nprocs", "3"),
        *("-w", str(tmp_path / "work")),
    ]


@pytest.mark.parametrize("code", [1, 3, 10])
def test_the_first_level_without_success_ends_the_demo(tmp_path, code):
    calls = []

    def braindelta(arguments):
        calls.append(arguments[2])
        return code if arguments[2] == "participant" else 0

    assert demo.run_levels(tmp_path, 1, braindelta) == code
    assert calls == ["plan", "participant"]


def test_a_second_run_with_nothing_to_do_is_a_success(tmp_path):
    assert demo.run_levels(tmp_path, 1, lambda arguments: 11) == 0


def test_too_few_people_are_refused_with_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        demo.main([str(tmp_path), "--participants", "4"])
    assert stop.value.code == 2
    assert "at least 5 people" in capsys.readouterr().err


def test_people_are_shown_with_planted_and_recovered_means():
    compared = pd.DataFrame(
        {
            "participant_id": ["sub-01", "sub-01", "sub-02"],
            "name": ["a", "b", "a"],
            "planted": [2.0, 4.0, 0.0],
            "recovered": [1.0, 2.0, None],
        }
    )
    console = Console(file=io.StringIO(), width=80)
    arms = pd.Series({"sub-01": "CBT", "sub-02": "waitlist"})
    demo.show_people(compared, arms, "Volume", console)
    cells = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["sub-01", "CBT", "3", "1.5"] in cells
    assert ["sub-02", "waitlist", "0", "n/a"] in cells


def test_regions_are_shown_with_arms_and_symptoms():
    summary = pd.DataFrame(
        {
            "name": ["lh_amygdala"],
            "n": [7],
            "slope": [0.75],
            "correlation": [0.98],
            "planted_CBT": [9.5],
            "recovered_CBT": [8.25],
            "planted_wait": [0.0],
            "recovered_wait": [0.004],
            "planted_r": [0.99],
            "recovered_r": [float("nan")],
        }
    )
    console = Console(file=io.StringIO(), width=80)
    demo.show_summary(summary, ["CBT", "wait"], "Volume", console)
    cells = [line.split() for line in console.file.getvalue().splitlines()]
    row = "lh_amygdala 7 0.75 0.98 9.5 / 8.25 0 / 0.0040 0.99 / n/a"
    assert row.split() in cells
