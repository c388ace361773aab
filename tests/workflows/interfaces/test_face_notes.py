"""Images that seem to have a face are told; others are not."""

import pandas as pd

from bids_utils.derivatives import write_table
from workflows.interfaces.face_notes import face_sentences, with_face
from workflows.interfaces.group_quality import cohort_face_notes


def quality(root, person, session, share):
    name = f"sub-{person}_ses-{session}_desc-quality_T1w.tsv"
    path = root / f"sub-{person}" / f"ses-{session}" / "anat" / name
    write_table(pd.DataFrame({"cjv": [0.5], "face_share": [share]}), path)
    return path


def test_a_face_is_told_with_its_session_and_what_to_do(tmp_path):
    quality(tmp_path, "01", "pre", 0.61)
    quality(tmp_path, "01", "post", 0.04)
    quality(tmp_path, "02", "pre", float("nan"))
    (told,) = face_sentences(tmp_path, dict.fromkeys(("01", "02", "03"), ("pre", "post")))
    assert told.startswith(
        "sub-01: the T1w image seems not to be defaced (share of the face: ses-pre (0.61))"
    )
    assert "remove faces before images leave" in told


def test_sessions_with_a_face_are_told_in_the_order_of_time(tmp_path):
    for session in ("post", "pre", "extra"):
        quality(tmp_path, "01", session, 0.5)
    (told,) = face_sentences(tmp_path, {"01": ["ses-pre", "ses-post"]})
    assert "ses-pre (0.50), ses-post (0.50), ses-extra (0.50)" in told


def test_the_cohort_has_one_note_on_all_of_them(tmp_path):
    files = [quality(tmp_path, person, "pre", 0.5) for person in ("01", "02")]
    files.append(quality(tmp_path, "03", "pre", 0.1))
    (note,) = cohort_face_notes([str(file) for file in files])
    assert note.what == "the T1w image seems not to be defaced (2 images of 2 people)"
    assert "sub-01, sub-02" in note.where
    assert cohort_face_notes([str(files[2])]) == []


def test_tables_of_other_images_and_of_older_versions_are_passed_over(tmp_path):
    path = tmp_path / "sub-01_ses-pre_desc-quality_T1w.tsv"
    write_table(pd.DataFrame({"cjv": [0.5]}), path)
    assert with_face([path, tmp_path / "sub-01_ses-pre_desc-qc_bold.tsv"]) == []
