"""What of the results is given to others."""

import re
import stat

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, validate_bids, write_json, write_table, write_text
from bids_utils.errors import SettingsError
from configs.settings import PrivacySettings, Settings, dump_settings, load_settings
from workflows.sharing import share_results

PEOPLE = [f"sub-{number:02d}" for number in range(1, 9)]
SECRETIVE = "/Users/ann/bids/participants.tsv: sub-03 is called 'Erika Mustermann, 1980-02-03'"


@pytest.fixture
def output(tmp_path):
    """Results of a group of 8 people, with all that must not be shared."""
    root = tmp_path / "home" / "out"
    group = root / "group"
    write_json(
        {
            "Name": "x",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "braindelta"}],
            "DatasetLinks": {"raw": "file:///Users/ann/bids"},
        },
        root / "dataset_description.json",
    )
    write_text(dump_settings(Settings()), root / "settings.yaml")
    write_table(pd.DataFrame({"what": [SECRETIVE], "where": ["x"]}), group / "problems.tsv")
    flow = {
        "step": ["in participants.tsv", "excluded scan"],
        "detail": [None, "T1w"],
        "arm": "all",
        "n": [8, 1],
        "reason": [None, f"on the exclude list: {SECRETIVE}"],
    }
    write_table(pd.DataFrame(flow), group / "flow.tsv")
    values = np.arange(8.0)
    scores = {"participant_id": PEOPLE, "session_id": "ses-pre", "score": "BDI", "value": values}
    write_table(pd.DataFrame(scores), group / "scores.tsv", {"value": {"Description": "x"}})
    scans = {"participant_id": PEOPLE, "session_id": "ses-pre", "modality": "bold"}
    write_table(pd.DataFrame(scans), group / "connectivity_A_scans.tsv")
    pairs = {"participant_id": PEOPLE, "baseline_row": range(8), "followup_row": range(8)}
    write_table(pd.DataFrame(pairs), group / "connectivity_A_pairs.tsv")
    np.save(group / "connectivity_A.npy", values[:, None] * [1, 10])
    np.save(group / "connectivity_A_change.npy", values[:, None])
    return root


def settings(**privacy):
    return Settings(privacy=PrivacySettings(**privacy))


def texts(folder):
    return {
        file: file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize("share", ["results", "people"])
def test_nothing_that_names_a_person_or_a_place_is_in_the_copy(output, share):
    folder = share_results(output, settings(share=share))
    assert folder == output / "shared"
    for file, content in texts(folder).items():
        found = re.search(r"sub-0\d|Mustermann|1980-02-03|home/|ann/|/tmp/", content)
        assert found is None, (file, found)
    assert (folder / "group" / "report.html").is_file()
    assert validate_bids(folder) == []


def test_results_have_no_row_a_person(output):
    folder = share_results(output, settings(share="results"))
    names = {path.name for path in (folder / "group").iterdir()}
    assert names == {"flow.tsv", "report.html"}


def test_rows_of_people_and_their_arrays_are_in_the_order_of_the_pseudonyms(output):
    folder = share_results(output, settings(share="people")) / "group"
    scores = read_table(folder / "scores.tsv")
    assert scores["participant_id"].is_monotonic_increasing
    assert set(scores["value"]) == set(range(8))
    assert scores["value"].tolist() != list(range(8))
    matrix = np.load(folder / "connectivity_A.npy")
    assert matrix[:, 0].tolist() == scores["value"].tolist()
    pairs = read_table(folder / "connectivity_A_pairs.tsv")
    change = np.load(folder / "connectivity_A_change.npy")
    assert matrix[pairs["baseline_row"], 0].tolist() == change[:, 0].tolist()


def test_pseudonyms_stay_the_same_and_only_the_owner_can_read_the_secret(output):
    first = read_table(share_results(output, settings(share="people")) / "group" / "scores.tsv")
    again = read_table(share_results(output, settings(share="people")) / "group" / "scores.tsv")
    assert first.equals(again)
    key = output.with_name("out_pseudonyms.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secret = key.read_text().strip()
    assert len(secret) == 64
    assert not any(secret in content for content in texts(output).values())


def test_a_secret_in_the_output_or_too_short_is_refused(output):
    with pytest.raises(SettingsError, match="key_file: .* lies in the output"):
        share_results(output, settings(share="people", key_file=output / "group" / "key"))
    short = output.parent / "short.key"
    short.write_text("abc")
    with pytest.raises(SettingsError, match="short.key holds 3 signs, at least 32"):
        share_results(output, settings(share="people", key_file=short))


def test_without_the_setting_nothing_is_shared_and_an_older_copy_goes(output):
    share_results(output, settings(share="people"))
    assert share_results(output, settings()) is None
    assert not (output / "shared").exists()


def test_the_settings_in_the_copy_can_be_read_and_name_no_file(output):
    asked = Settings(
        sessions={"exclude": "/Users/ann/bad.tsv"},
        sources={"scans": {"Mustermann": ("03", "pre")}},
        privacy={"share": "results"},
    )
    text = (share_results(output, asked) / "settings.yaml").read_text()
    assert "home" not in text
    assert "Mustermann" not in text
    assert load_settings(output / "shared" / "settings.yaml").sessions.exclude.name == "bad.tsv"
