"""Task model of a run from its files, and the mean of the runs."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import FirstLevelModel
from scipy import stats

from bids_utils.derivatives import read_table, write_table
from bids_utils.errors import DatasetError, SettingsError
from workflows.compute.confounds import expand
from workflows.compute.motion import MOTION_COLUMNS
from workflows.compute.task_model import fitted_contrasts
from workflows.interfaces.task import (
    ContrastFigure,
    ContrastMaps,
    DesignFigure,
    FitContrasts,
    FixedEffects,
    TaskDesign,
)

N_VOLUMES, TR_S = 120, 2.0
REGIONS = ["amygdala", "insula", "hidden"]
CONTRASTS = {"reactivity": {"negative": 1.0, "neutral": -1.0}, "fear": {"fear": 1.0}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder with events, confounds with one jump, and coverage."""
    monkeypatch.chdir(tmp_path)
    onsets = np.arange(4, 220, 12.0)
    kinds = np.resize(["negative", "neutral", "rest"], len(onsets))
    events = pd.DataFrame({"onset": onsets, "duration": 6.0, "trial_type": kinds})
    write_table(events, tmp_path / "events.tsv")
    rng = np.random.default_rng(3)
    motion = pd.DataFrame(rng.normal(0, 0.1, (N_VOLUMES, 6)), columns=list(MOTION_COLUMNS))
    displacement = np.full(N_VOLUMES, 0.1)
    displacement[[0, 50]] = np.nan, 2.0
    confounds = expand(motion).assign(framewise_displacement=displacement)
    write_table(confounds, tmp_path / "confounds.tsv")
    coverage = pd.DataFrame({"index": [4, 7, 9], "region": REGIONS, "coverage": [1, 0.8, 0.1]})
    write_table(coverage, tmp_path / "coverage.tsv")
    return tmp_path


def design_node(folder, **changes):
    inputs = {
        "events_file": str(folder / "events.tsv"),
        "confounds_file": str(folder / "confounds.tsv"),
        "repetition_time_s": TR_S,
        "hrf": "spm",
        "high_pass_hz": 0.01,
        "contrasts": CONTRASTS,
        "strategy": "6P",
        "fd_threshold_mm": 0.5,
        "std_dvars_threshold": None,
    }
    return TaskDesign(**(inputs | changes))


def made_design(folder, **changes):
    design_node(folder, **changes).run(cwd=folder)
    return read_table(folder / "design.tsv"), json.loads((folder / "design.json").read_text())


def fitted(folder, means, **inputs):
    write_table(pd.DataFrame(means, columns=REGIONS), folder / "means.tsv")
    files = {name: str(folder / f"{name.removesuffix('_file')}.tsv") for name in FILES}
    node = FitContrasts(**files, design_json=str(folder / "design.json"), **inputs)
    node.run(cwd=folder)
    table = read_table(folder / "run_contrasts.tsv", text_columns=["contrast", "region"])
    return table, json.loads((folder / "run_contrasts.json").read_text())


FILES = ("means_file", "coverage_file", "design_file")


def region_series(folder, effect_pct):
    """Series in arbitrary units whose first region answers to negative events."""
    design = read_table(folder / "design.tsv")
    rng = np.random.default_rng(5)
    percent = rng.normal(0, 0.3, (N_VOLUMES, 3))
    percent[:, 0] += effect_pct * (design["negative"] - design["negative"].mean())
    means = np.array([800.0, 40.0, 10.0]) * (1 + percent / 100)
    means[:, 2] = np.nan
    return means


def test_the_design_has_conditions_drift_confounds_and_censored_volumes(folder):
    design, content = made_design(folder)
    names = list(design.columns)
    assert names[:3] == ["negative", "neutral", "rest"]
    assert names[-7:] == [*MOTION_COLUMNS, "censored00"]
    assert design["censored00"].to_numpy().nonzero()[0].tolist() == [50]
    assert content["CensoredVolumes"] == [50]
    assert content["Conditions"] == {"negative": 6, "neutral": 6, "rest": 6}
    # a block of 6 s from 4 s: the SPM response has its peak 5 s after the middle of the block
    times = 1.0 + TR_S * np.arange(N_VOLUMES)
    assert times[design["negative"].to_numpy()[:20].argmax()] == pytest.approx(13, abs=1.1)
    # 3 conditions, 4 cosines up to .01 Hz, constant, 6 motion, 1 volume
    assert content["DegreesOfFreedom"] == N_VOLUMES - 15
    assert content["Contrasts"]["reactivity"]["Problem"] == ""
    problem = "no event of fear in this run (there are: negative, neutral, rest)"
    assert content["Contrasts"]["fear"]["Problem"] == problem


def test_a_volume_shows_the_moment_its_slices_were_brought_to(folder):
    events = pd.DataFrame({"onset": [10.0], "duration": 100.0, "trial_type": ["negative"]})
    write_table(events, folder / "events.tsv")
    middle, content = made_design(folder)
    assert content["StartTime"] == 1.0
    early, content = made_design(folder, slice_moment_s=0.0)
    assert content["StartTime"] == 0.0
    # 1 s earlier on the way up: less of the response is there
    rise = (middle["negative"] - early["negative"])[6:9]
    assert (rise > 0.02).all()
    # a lasting stimulation brings the response to 1, the unit of the effects
    assert middle["negative"][40:55].to_numpy() == pytest.approx(1.0, abs=0.01)


def test_only_asked_conditions_and_confounds_are_in_the_model(folder):
    changes = {"conditions": ["negative", "neutral", "fear"], "confounds": ["rot_?"]}
    design, content = made_design(folder, **changes)
    assert list(design.columns)[:3] == ["negative", "neutral", "drift_1"]
    assert [c for c in design if c in MOTION_COLUMNS] == ["rot_x", "rot_y", "rot_z"]
    assert content["Notes"][0] == "rest: not in the model, they belong to the baseline"


def test_trial_types_may_have_any_name(folder):
    events = pd.DataFrame({"onset": [10.0, 60, 90], "duration": 0.0})
    events["trial_type"] = ["look negative", "2", "drift_9"]
    write_table(events, folder / "events.tsv")
    design, content = made_design(folder, contrasts={"c": {"look negative": 1.0}}, hrf=DERIVATIVE)
    names = ["look negative", "look negative_derivative", "2", "2_derivative"]
    assert list(design.columns)[:4] == names
    assert content["Contrasts"]["c"]["Problem"] == ""
    assert design["look negative"].argmax() == 7


DERIVATIVE = "spm + derivative"


def test_a_trial_type_named_like_a_confound_is_refused(folder):
    events = pd.DataFrame({"onset": [10.0], "duration": 2.0, "trial_type": ["rot_x"]})
    write_table(events, folder / "events.tsv")
    with pytest.raises(DatasetError, match="trial type 'rot_x' has the name of another column"):
        made_design(folder)


def test_a_confound_table_without_the_columns_is_named(folder):
    with pytest.raises(DatasetError, match=r"confounds\.tsv: .*csf"):
        made_design(folder, strategy="9P")


def test_wildcards_of_confounds_that_a_run_does_not_have_are_noted(folder):
    design, content = made_design(folder, confounds=["rot_*", "motion_outlier*"])
    assert [c for c in design if c.startswith("rot_")] == expanded_names("rot")
    assert "no confound of this run is called 'motion_outlier*'" in content["Notes"]
    design, _ = made_design(folder, confounds=["motion_outlier*"])
    assert list(design.columns)[-2:] == ["constant", "censored00"]
    with pytest.raises(DatasetError, match=r"confounds\.tsv: there is no 'csf'"):
        made_design(folder, confounds=["rot_*", "csf"])


def expanded_names(kind):
    return list(expand(pd.DataFrame({f"{kind}_{axis}": [0.0] for axis in "xyz"})).columns)


def test_named_confounds_do_not_need_those_of_the_strategy(folder):
    design, _ = made_design(folder, confounds=["trans_x"], strategy="36P")
    assert list(design.columns)[-2:] == ["trans_x", "censored00"]


def one_design(folder, events, **changes):
    """Events (onset, duration, trial type) and the design of a run with them, no drift."""
    table = pd.DataFrame(events, columns=["onset", "duration", "trial_type"])
    write_table(table, folder / "events.tsv")
    contrasts = {name: {name: 1.0} for name in table["trial_type"].unique()}
    return made_design(folder, **({"contrasts": contrasts, "strategy": "6P"} | changes))


BLOCKS = [(10.0, 10.0, "negative"), (60.0, 10.0, "neutral")]


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        # the run is 240 s, the last volume at 239 s: .5 s after the onset there is no response
        ((238.5, 1.0, "late"), False),
        ((236.5, 0.0, "late"), True),
        # 20 s after an event nothing but a tenth of undershoot is left
        ((-20.0, 1.0, "late"), False),
        ((-6.0, 1.0, "late"), True),
        ((-90.0, 70.0, "late"), False),
        ((-90.0, 400.0, "late"), True),
    ],
)
def test_a_condition_almost_outside_the_run_is_refused_with_a_reason(folder, event, seen):
    contrasts = {"late": {"late": 1.0, "neutral": -1.0}, "rest": {"negative": 1.0}}
    _, content = one_design(folder, [*BLOCKS, event], contrasts=contrasts)
    problem = content["Contrasts"]["late"]["Problem"]
    assert content["Contrasts"]["rest"]["Problem"] == ""
    assert (problem == "") == seen
    assert (problem in content["Notes"]) != seen
    assert problem.startswith("late: ") != seen


def test_a_condition_seen_only_in_censored_volumes_is_refused(folder):
    confounds = read_table(folder / "confounds.tsv")
    confounds.loc[50:61, "framewise_displacement"] = 2.0
    write_table(confounds, folder / "confounds.tsv")
    _, content = one_design(folder, [*BLOCKS, (100.0, 2.0, "moved")])
    assert content["Contrasts"]["moved"]["Problem"].startswith("moved: ")
    _, content = one_design(folder, [*BLOCKS, (116.0, 2.0, "moved")])
    assert content["Contrasts"]["moved"]["Problem"] == ""


@pytest.mark.parametrize("hrf", ["spm", "glover + derivative"])
def test_the_peak_of_an_impulse_is_one_at_any_repetition_time(folder, hrf):
    # both responses have their peak between 4.9 and 5.1 s after the event
    events = [(21.0, 0.0, "flash"), (60.0, 0.0, "flash"), (60.0, 0.0, "other")]
    for tr_s in (0.5, 1.0, 2.5):
        times = {"repetition_time_s": tr_s, "slice_moment_s": 1.0 if tr_s == 2.5 else 0.0}
        design, content = one_design(folder, events[: 1 if tr_s == 0.5 else 3], hrf=hrf, **times)
        place = round((26 - times["slice_moment_s"]) / tr_s)
        assert design["flash"].argmax() == place or tr_s == 1.0
        assert design["flash"][place] == pytest.approx(1.0, abs=0.01)
    assert content["Notes"][0] == (
        "flash, other: 3 events without duration are impulses; their effect is the peak of the "
        "response to one, in %"
    )


def test_a_planted_response_to_impulses_has_its_size_in_percent(folder):
    times = TR_S * np.arange(N_VOLUMES) + TR_S / 2
    onsets = np.arange(3.0, 210, 17.0)
    # gamma densities of the SPM response, brought to a peak of 1
    grid = np.arange(0, 32, 0.01)
    shape = stats.gamma.pdf(grid, 6) - stats.gamma.pdf(grid, 16) * 0.167
    own = sum(np.interp(times - t, grid, shape / shape.max(), left=0, right=0) for t in onsets)
    one_design(folder, [(onset, 0.0, "flash") for onset in onsets])
    noise = np.random.default_rng(2).normal(0, 1e-4, (N_VOLUMES, 3))
    percent = noise + 0.7 * (own - own.mean())[:, None]
    table, _ = fitted(folder, 500 * (1 + percent / 100))
    assert table["effect"].to_numpy() == pytest.approx(0.7, rel=0.02)
    assert set(table["unit"]) == {"%"}


def test_conditions_with_both_kinds_of_events_are_noted(folder):
    _, content = one_design(folder, [*BLOCKS, (90.0, 0.0, "neutral")])
    assert content["Notes"][0].startswith("neutral: 1 events without duration are impulses")
    assert content["Notes"][1] == (
        "neutral: has events with and without duration, which are not in the same unit"
    )
    contrasts = {"c": {"negative": 1.0, "flash": -1.0}, "d": {"negative": 1.0}}
    _, content = one_design(folder, [*BLOCKS, (90.0, 0.0, "flash")], contrasts=contrasts)
    assert content["Notes"][1] == (
        "c: compares events with and without duration, which are not in the same unit"
    )


def test_confounds_of_another_run_are_named(folder):
    made_design(folder)
    short = region_series(folder, 1.0)[:-2]
    with pytest.raises(DatasetError, match=r"confounds\.tsv: 120 rows for 118 .*means\.tsv"):
        fitted(folder, short)
    with pytest.raises(DatasetError, match=r"confounds\.tsv: 120 rows for 121 volumes"):
        fitted(folder, np.ones((121, 3)))
    image = nib.Nifti1Image(np.ones((2, 2, 2, 118)), np.eye(4))
    image.to_filename(folder / "bold.nii")
    nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)).to_filename(folder / "mask.nii")
    given = {"design_file": folder / "design.tsv", "design_json": folder / "design.json"}
    given |= {"in_file": folder / "bold.nii", "mask_file": folder / "mask.nii"}
    node = ContrastMaps(**{name: str(path) for name, path in given.items()})
    with pytest.raises(DatasetError, match=r"confounds\.tsv: 120 rows for 118 .*bold\.nii"):
        node.run(cwd=folder)


def test_a_response_is_found_in_percent_of_the_region_and_hidden_regions_keep_their_row(folder):
    made_design(folder)
    table, facts = fitted(folder, region_series(folder, effect_pct=1.5))
    assert list(table.columns) == [
        *("contrast", "index", "region", "coverage", "effect", "variance", "unit"),
    ]
    assert table["contrast"].tolist() == ["reactivity"] * 3 + ["fear"] * 3
    assert table["region"].tolist() == REGIONS * 2
    own = table[table["contrast"] == "reactivity"]
    errors = np.sqrt(own["variance"].to_numpy())
    assert own["effect"].iloc[0] == pytest.approx(1.5, abs=3 * errors[0])
    assert 0.03 < errors[0] < 0.15
    assert own["effect"].iloc[1] == pytest.approx(0, abs=3 * errors[1])
    assert own["effect"].isna().tolist() == [False, False, True]
    assert table[table["contrast"] == "fear"]["effect"].isna().all()
    assert set(table["unit"]) == {"%"}
    assert facts["fear"]["Problem"].startswith("no event of fear")


def test_a_run_with_all_volumes_censored_has_rows_and_a_reason(folder):
    made_design(folder, fd_threshold_mm=0.01)
    means = region_series(folder, 1.0)
    table, facts = fitted(folder, means)
    assert table["effect"].isna().all()
    assert facts["reactivity"]["Problem"] == "0 degrees of freedom are left, 10 needed"


def test_coupling_with_a_seed_is_compared_between_conditions(folder):
    design, _ = made_design(folder)
    rng = np.random.default_rng(6)
    seed = rng.normal(0, 1, N_VOLUMES)
    slope = 0.9 * design["negative"].to_numpy()
    means = np.full((N_VOLUMES, 3), np.nan)
    means[:, 0] = 500 * (1 + seed / 100)
    means[:, 1] = 70 * (1 + (slope * seed + rng.normal(0, 0.2, N_VOLUMES)) / 100)
    table, facts = fitted(folder, means, ppi_seeds=["amygdala", "hidden"])
    rows = table.set_index(["contrast", "region"])
    name = "gppi_reactivity_amygdala"
    error = np.sqrt(rows.loc[(name, "insula"), "variance"])
    assert rows.loc[(name, "insula"), "effect"] == pytest.approx(0.9, abs=3 * error)
    assert error < 0.15
    assert np.isnan(rows.loc[(name, "amygdala"), "effect"])
    assert set(table[table["contrast"] == name]["unit"]) == {"1"}
    assert rows.loc["gppi_reactivity_hidden", "effect"].isna().all()
    assert facts["gppi_reactivity_hidden"]["Problem"] == "the seed has too little coverage"
    assert facts["gppi_fear_amygdala"]["Problem"].startswith("no event of fear")
    assert facts[name]["Weights"] == {"interaction_negative": 1.0, "interaction_neutral": -1.0}


def test_a_seed_that_is_no_region_is_refused_with_the_nearest(folder):
    made_design(folder)
    with pytest.raises(SettingsError, match="no region 'amigdala'; did you mean 'amygdala'"):
        fitted(folder, region_series(folder, 1.0), ppi_seeds=["amigdala"])


@pytest.mark.filterwarnings("ignore:.*Generation of a mask")
def test_maps_and_the_whole_model_are_those_of_nilearn(folder):
    events = read_table(folder / "events.tsv")
    confounds = read_table(folder / "confounds.tsv")[list(MOTION_COLUMNS)]
    design, _ = made_design(folder, fd_threshold_mm=None)
    rng = np.random.default_rng(8)
    series = 100 + rng.normal(0, 1, (3, 2, 2, N_VOLUMES))
    series[1] += 2 * design["neutral"].to_numpy()
    image = nib.Nifti1Image(series, np.diag([3.0, 3, 3, 1]))
    image.to_filename(folder / "bold.nii")
    inside = np.ones((3, 2, 2), np.uint8)
    inside[0, 0, 0] = 0
    mask = nib.Nifti1Image(inside, image.affine)
    mask.to_filename(folder / "mask.nii")
    given = {"design_file": folder / "design.tsv", "design_json": folder / "design.json"}
    given |= {"in_file": folder / "bold.nii", "mask_file": folder / "mask.nii"}
    ContrastMaps(**{name: str(path) for name, path in given.items()}).run(cwd=folder)
    z = nib.load(folder / "z.nii.gz").get_fdata()
    assert z.shape == (3, 2, 2, 2)
    assert np.isnan(z[..., 1]).all()
    assert np.isnan(z[0, 0, 0, 0])
    assert z[1, ..., 0].max() < -4 < z[2, ..., 0].min()

    model = FirstLevelModel(
        TR_S, slice_time_ref=0.5, hrf_model="spm", high_pass=0.01, mask_img=mask, signal_scaling=0
    )
    model.fit(image, events=events, confounds=confounds)
    theirs = model.compute_contrast("negative - neutral", output_type="effect_size").get_fdata()
    voxels = series[inside > 0].T
    percent = 100 * (voxels / voxels.mean(axis=0) - 1)
    vector = np.zeros((1, design.shape[1]))
    vector[0, :2] = [1, -1]
    found = fitted_contrasts(percent, design.to_numpy(), vector, model.labels_[0].astype(float))
    np.testing.assert_allclose(found.effects[0], theirs[inside > 0], rtol=1e-6)


def run_table(folder, name, effects, variances, coverage, problem=""):
    table = pd.DataFrame({"contrast": "reactivity", "index": [4, 7], "region": REGIONS[:2]})
    table = table.assign(coverage=coverage, effect=effects, variance=variances, unit="%")
    write_table(table, folder / f"{name}.tsv")
    facts = {"reactivity": {"Weights": {"negative": 1.0}, "Problem": problem}}
    (folder / f"{name}.json").write_text(json.dumps(facts))
    return str(folder / f"{name}.tsv"), str(folder / f"{name}.json")


def test_the_session_is_the_mean_of_the_runs_weighted_by_precision(tmp_path):
    one = run_table(tmp_path, "one", [1.0, 2.0], [1.0, 4.0], [1.0, 0.7])
    two = run_table(tmp_path, "two", [3.0, np.nan], [3.0, np.nan], [0.9, 0.2], "no event")
    files, jsons = zip(one, two, strict=True)
    node = FixedEffects(in_files=list(files), in_jsons=list(jsons), run_names=["run-1", "run-2"])
    outputs = node.run(cwd=tmp_path).outputs
    table = read_table(tmp_path / "contrasts.tsv", text_columns=["region"])
    assert list(table.columns) == [
        *("contrast", "index", "region", "coverage", "effect", "variance", "unit", "n_runs"),
    ]
    np.testing.assert_allclose(table["effect"], [1.5, 2.0])
    np.testing.assert_allclose(table["variance"], [0.75, 4.0])
    assert table["coverage"].tolist() == [0.9, 0.2]
    assert table["n_runs"].tolist() == [2, 1]
    content = json.loads(Path(outputs.contrasts_json).read_text())
    assert content["Contrasts"]["reactivity"]["NotEstimated"] == {"run-2": "no event"}
    assert set(table.columns) <= set(content)


def test_a_session_of_one_run_is_that_run(tmp_path):
    file, facts = run_table(tmp_path, "one", [1.0, 2.0], [1.0, 4.0], [1.0, 0.7])
    FixedEffects(in_files=[file], in_jsons=[facts], run_names=["run-1"]).run(cwd=tmp_path)
    table = read_table(tmp_path / "contrasts.tsv")
    np.testing.assert_allclose(table[["effect", "variance"]], [[1, 1], [2, 4]])


def test_runs_with_other_regions_are_not_averaged(tmp_path):
    one = run_table(tmp_path, "one", [1.0, 2.0], [1.0, 4.0], [1.0, 0.7])
    write_table(read_table(tmp_path / "one.tsv").iloc[:1], tmp_path / "two.tsv")
    files = [one[0], str(tmp_path / "two.tsv")]
    node = FixedEffects(in_files=files, in_jsons=[one[1]] * 2, run_names=["a", "b"])
    with pytest.raises(ValueError, match="other contrasts or regions"):
        node.run(cwd=tmp_path)


def test_pictures_of_design_and_maps_are_written(folder):
    made_design(folder)
    given = {name: str(folder / name.replace("_", ".")) for name in ("design_json",)}
    given["design_file"] = str(folder / "design.tsv")
    picture = DesignFigure(**given).run(cwd=folder).outputs.out_file
    assert Path(picture).read_bytes()[:4] == b"\x89PNG"
    affine = np.diag([-3.0, 3, 3, 1])
    reference = np.full((8, 9, 10), 100.0, np.float32)
    z = np.full((8, 9, 10, 2), np.nan, np.float32)
    z[1:3, 2:8, 2:8, 0] = 6.0
    mask = np.zeros((8, 9, 10), np.uint8)
    mask[1:7, 1:8, 1:9] = 1
    files = {"in_file": reference, "mask_file": mask, "z_file": z}
    for name, values in files.items():
        nib.Nifti1Image(values, affine).to_filename(folder / f"{name}.nii")
    paths = {name: str(folder / f"{name}.nii") for name in files}
    node = ContrastFigure(**paths, design_json=given["design_json"])
    assert Path(node.run(cwd=folder).outputs.out_file).read_bytes()[:4] == b"\x89PNG"
