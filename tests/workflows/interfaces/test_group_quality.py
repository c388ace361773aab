"""Quality tables of the cohort from the derivatives of its participants."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from workflows.interfaces.derived_files import derived_files
from workflows.interfaces.derived_measures import scan_quality, with_sources
from workflows.interfaces.group_quality import CohortQuality, flagged_ledger

COLUMNS = ["participant_id", "session_id", "modality", "run", "status", "reason"]


def write_t1w(out, label, session, snr_total, mask_ml=1400.0):
    stem = f"sub-{label}_ses-{session}"
    table = pd.DataFrame({"snr_total": [snr_total], "mask_ml": [mask_ml], "qi_1": [None]})
    folder = out / f"sub-{label}" / f"ses-{session}" / "anat"
    write_table(table, folder / f"{stem}_desc-quality_T1w.tsv")


def write_bold(out, run, fd_mean, minutes):
    table = pd.DataFrame({"fd_mean": [fd_mean], "tsnr": [50.0], "clean_minutes": [minutes]})
    write_table(table, out / f"{run}_desc-qc_bold.tsv")


def write_ledger(out, people, notes=None):
    """Ledger of T1w images, the follow-up first in the file and last in time."""
    rows = [
        (f"sub-{who}", f"ses-{ses}", "T1w", f"sub-{who}_ses-{ses}_T1w", "used", None, days)
        for who in people
        for ses, days in (("post", 84.0), ("pre", 0.0))
    ]
    ledger = pd.DataFrame(rows, columns=[*COLUMNS, "days_from_baseline"])
    for place, note in (notes or {}).items():
        ledger.loc[place, "reason"] = note
    write_table(ledger, out / "ledger.tsv")
    return ledger


@pytest.fixture
def cohort(tmp_path):
    """Five people; in sub-05 the follow-up is noisy, in sub-02 its mask is 6 % larger."""
    for n, snr in enumerate((29.0, 30, 31, 30, 29.5), start=1):
        write_t1w(tmp_path, f"0{n}", "pre", snr, 1400.0 + 10 * n)
        late = 1490.0 + 20 if n == 2 else 1401.0 + 10 * n
        write_t1w(tmp_path, f"0{n}", "post", 1.0 if n == 5 else snr + 0.1 * n, late)
    write_ledger(tmp_path, ["01", "02", "03", "04", "05"])
    return tmp_path


def run(folder, work, **inputs):
    work.mkdir(exist_ok=True)
    node = CohortQuality(
        derivative_files=[str(path) for path in folder.rglob("*_desc-*.tsv")],
        ledger_file=str(folder / "ledger.tsv"),
        **inputs,
    )
    return node.run(cwd=str(work)).outputs


def test_quality_and_its_change_become_two_tables_and_notes(cohort, tmp_path):
    outputs = run(cohort, tmp_path / "work", session_order=["pre", "post"])
    quality = read_table(outputs.quality_file, ("flag",))
    assert len(quality) == 10
    worst = quality[quality["flag"].notna()]
    assert worst[["participant_id", "session_id"]].to_numpy().tolist() == [["sub-05", "ses-post"]]
    assert worst["snr_total"].item() == 1
    assert quality["qi_1"].isna().all()
    pairs = read_table(outputs.quality_pairs_file, ("flag",)).set_index(
        ["participant_id", "metric"]
    )
    assert pairs.loc[("sub-05", "snr_total"), "change"] == -28.5
    assert pairs.loc[("sub-03", "mask_ml"), "change"] == 1
    # 1510 - 1420 ml, of 1465 ml
    assert pairs.loc[("sub-02", "mask_ml"), "flag"] == "mask_ml changed by +6.1 %, more than 5 %"
    notes = read_table(outputs.problems_file)
    assert set(notes["kind"]) == {"note"}
    assert notes["where"].tolist() == [
        "sub-05 ses-post T1w",
        "sub-02 ses-pre to ses-post T1w",
        "sub-05 ses-pre to ses-post T1w",
    ]


def test_the_order_of_the_sessions_turns_the_change_around(cohort, tmp_path):
    files = [
        run(cohort, tmp_path / "work", session_order=order).quality_pairs_file
        for order in (["pre", "post"], [])
    ]
    by_settings, by_dates = (read_table(file, ("flag",)) for file in files)
    pd.testing.assert_frame_equal(by_settings, by_dates)
    turned = run(cohort, tmp_path / "turned", session_order=["post", "pre"])
    back = read_table(turned.quality_pairs_file, ("flag",))
    # dates contradict this order, so that no pair is left
    assert len(back) == 0
    assert len(read_table(turned.quality_file, ("flag",))) == 10


def test_without_own_derivatives_there_are_no_tables(tmp_path):
    outputs = CohortQuality().run(cwd=str(tmp_path)).outputs
    assert not isinstance(outputs.quality_file, str)
    assert len(read_table(outputs.problems_file)) == 0


def test_a_row_of_the_list_that_names_no_image_is_a_note(cohort, tmp_path):
    path = tmp_path / "exclude.tsv"
    path.write_text("participant_id\treason\nsub-1\tasleep\nsub-03\tgone\n")
    outputs = run(cohort, tmp_path / "work", exclude_file=str(path))
    notes = read_table(outputs.problems_file)
    (found,) = notes[notes["where"].str.contains("exclude.tsv")].to_dict("records")
    assert found["what"].startswith("it names no image: there are no images of sub-1; did you mean")
    assert found["kind"] == "note"


def test_runs_of_a_session_count_alike_and_their_minutes_are_summed(tmp_path):
    runs = [f"sub-01_ses-pre_task-rest_run-{n}" for n in (1, 2)]
    write_bold(tmp_path, runs[0], 0.1, 6.0)
    write_bold(tmp_path, runs[1], 0.4, 0.0)
    rows = [("01", "pre", "bold", f"{name}_bold", "used", None) for name in runs]
    ledger = with_sources(pd.DataFrame(rows, columns=COLUMNS))
    found = scan_quality(ledger, derived_files(tmp_path.glob("*.tsv"))).set_index("metric")
    assert found["value"].to_dict() == pytest.approx(
        {"fd_mean": 0.25, "tsnr": 50, "clean_minutes": 6}
    )


def test_scans_that_are_not_used_or_have_no_table_have_no_quality(tmp_path):
    for session in ("pre", "post"):
        write_t1w(tmp_path, "01", session, 10.0)
    rows = [
        ("01", "pre", "T1w", "sub-01_ses-pre_T1w", "used", None),
        ("01", "post", "T1w", "sub-01_ses-post_T1w", "excluded", "coughing"),
        ("02", "pre", "T1w", "sub-02_ses-pre_T1w", "used", None),
    ]
    ledger = with_sources(pd.DataFrame(rows, columns=COLUMNS))
    found = scan_quality(ledger, derived_files(tmp_path.rglob("*.tsv")))
    assert set(zip(found["participant_id"], found["session_id"], strict=True)) == {("01", "pre")}
    assert np.isnan(found.set_index("metric").loc["qi_1", "value"])


def test_the_ledger_says_what_stands_out_at_the_scan_and_keeps_its_notes(cohort, tmp_path):
    outputs = run(cohort, tmp_path / "group", session_order=["pre", "post"])
    assert outputs.quality_file.endswith("group/quality.tsv")
    # rows: post and pre of sub-01, of sub-02, ...
    ledger = write_ledger(cohort, ["01", "02", "03", "04", "05"], {8: "differs from ses-pre: x"})
    ledger.loc[2, ["status", "reason"]] = ["excluded", "coughing"]
    flagged = flagged_ledger(ledger, tmp_path / "group")
    reasons = flagged["reason"]
    assert reasons[8].startswith("differs from ses-pre: x; quality: snr_total 1 is low")
    assert "snr_total changed by -28.5" in reasons[8]
    assert reasons[2] == "coughing"
    assert reasons.drop([2, 8]).isna().all()
    pd.testing.assert_frame_equal(flagged.drop(columns="reason"), ledger.drop(columns="reason"))
    pd.testing.assert_frame_equal(flagged_ledger(ledger, tmp_path / "absent"), ledger)
