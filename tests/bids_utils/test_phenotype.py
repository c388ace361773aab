import math

import pytest

from bids_utils.errors import DatasetError
from bids_utils.phenotype import (
    ScoreRule,
    list_problems,
    read_participants,
    read_scores,
    take_in_scores,
    with_moments,
)


def scores_of(root, *names):
    table = read_scores(root, names)
    return {(row[0], row[1], row[2]): row[3] for row in table.itertuples(index=False)}


def test_people_keep_their_leading_zeros_and_numbers_are_numbers(make_dataset):
    text = "participant_id\tage\tgroup\nsub-007\t34\tcbt\n012\tn/a\twait\n"
    people = read_participants(make_dataset({"participants.tsv": text}))
    assert people.index.tolist() == ["007", "012"]
    assert people["age"].iloc[0] == 34.0
    assert math.isnan(people["age"].iloc[1])
    assert people["group"].tolist() == ["cbt", "wait"]


def test_codes_are_not_numbers(make_dataset):
    root = make_dataset(
        {
            "participants.tsv": "participant_id\tsite\tarm\tage\nsub-1\t01\t1\t30\n",
            "participants.json": {"arm": {"Levels": {"1": "cbt"}}, "age": {"Units": "year"}},
        }
    )
    people = read_participants(root)
    assert people.loc["1"].tolist() == ["01", "1", 30.0]


def test_text_among_numbers_and_repeated_people_are_set_aside_and_listed(make_dataset):
    text = "participant_id\tage\nsub-1\t34\nsub-2\tyoung\nsub-3\t40\nsub-1\t99\n"
    root = make_dataset({"participants.tsv": text})
    people = read_participants(root)
    assert people["age"].fillna(-1).tolist() == [34.0, -1.0, 40.0]
    first, second = list_problems(root)
    assert first.endswith("participants.tsv: several rows for sub-1; the first one holds")
    assert second.endswith("participants.tsv: age of sub-2 is 'young', not a number")


def test_without_participants_file_there_are_no_people_and_no_scores(make_dataset):
    root = make_dataset([])
    assert read_participants(root).shape == (0, 0)
    assert read_scores(root).columns.tolist() == [
        "participant_id",
        "session_id",
        "score",
        "value",
        "problem",
    ]
    assert list_problems(root) == ()


def test_a_table_without_people_is_refused(make_dataset):
    root = make_dataset({"participants.tsv": "id\tage\nsub-1\t3\n"})
    with pytest.raises(DatasetError, match="column participant_id is missing; found id, age"):
        read_participants(root)


def test_scores_come_from_all_places_in_one_long_table(make_dataset):
    root = make_dataset(
        {
            "participants.tsv": "participant_id\tage\tBDI_ses-pre\tBDI_ses-post\n"
            "sub-01\t30\t28\t11\nsub-02\t31\tn/a\t9\n",
            "phenotype/hamd.tsv": "participant_id\tsession_id\tHAMD\n"
            "sub-01\tses-pre\t20\nsub-01\tses-post\t8.5\n",
            "phenotype/ace.tsv": "participant_id\tACE\tWAI_ses-mid\nsub-01\t4\t60\n",
            "sub-02/sub-02_sessions.tsv": "session_id\tacq_time\tPHQ\nses-pre\t2020-01-01\t17\n",
        }
    )
    found = scores_of(root)
    assert math.isnan(found.pop(("02", "pre", "BDI")))
    (ace,) = [key for key in found if key[2] == "ACE"]
    assert found.pop(ace) == 4.0
    assert ace[0] == "01"
    assert not isinstance(ace[1], str)
    assert found == {
        ("01", "pre", "BDI"): 28.0,
        ("01", "post", "BDI"): 11.0,
        ("02", "post", "BDI"): 9.0,
        ("01", "pre", "HAMD"): 20.0,
        ("01", "post", "HAMD"): 8.5,
        ("01", "mid", "WAI"): 60.0,
        ("02", "pre", "PHQ"): 17.0,
    }


@pytest.mark.parametrize("text", ["high", "12,5", "inf", "> 20"])
def test_text_in_a_score_is_a_problem_and_the_others_go_on(make_dataset, text):
    rows = f"participant_id\tsession_id\tBDI\nsub-01\tses-pre\t{text}\nsub-02\tses-pre\t7\n"
    root = make_dataset({"phenotype/bdi.tsv": rows})
    table = read_scores(root)
    assert math.isnan(table["value"][0])
    assert table["problem"][0].endswith(
        f"bdi.tsv: BDI of sub-01 in ses-pre is '{text}', not a number"
    )
    assert table.loc[1, ["value", "problem"]].tolist() == [7.0, ""]
    assert list_problems(root) == (table["problem"][0],)


def test_columns_of_text_are_no_scores_unless_asked_for(make_dataset):
    rows = "participant_id\tdrug\nsub-01\tsertraline\nsub-02\t20\nsub-03\tnone\n"
    root = make_dataset({"phenotype/drugs.tsv": rows})
    assert read_scores(root).empty
    asked = read_scores(root, ["drug"])
    assert asked["value"].isna().tolist() == [True, False, True]
    assert asked["problem"].str.contains("not a number").tolist() == [True, False, True]


def test_two_values_for_one_score_are_a_problem_and_equal_ones_are_not(make_dataset):
    root = make_dataset(
        {
            "participants.tsv": "participant_id\tBDI_ses-pre\nsub-01\tn/a\nsub-02\t10\nsub-03\t5\n",
            "phenotype/bdi.tsv": "participant_id\tsession_id\tBDI\n"
            "sub-01\tpre\t21\nsub-02\tpre\t12\nsub-03\tpre\t5.0\n",
        }
    )
    table = read_scores(root).set_index("participant_id")
    assert table.index.tolist() == ["02", "03", "01"]
    assert table["value"].fillna(-1).to_dict() == {"01": 21.0, "02": -1.0, "03": 5.0}
    assert table["problem"]["02"].endswith(
        "BDI_ses-pre of sub-02 in ses-pre has several values: 10 and 12"
    )
    assert table["problem"].drop("02").tolist() == ["", ""]


def test_a_score_column_ends_with_a_known_session(make_dataset):
    rows = "participant_id\tBDI_pre\tbdi.post\tWAI_pre\tBDI_late\tage\nsub-1\t20\t9\t50\t7\t30\n"
    root = make_dataset({"participants.tsv": rows})
    assert read_scores(root).empty
    assert scores_of_sessions(root, ["pre", "post"]) == {
        ("1", "pre", "BDI"): 20.0,
        ("1", "post", "bdi"): 9.0,
        ("1", "pre", "WAI"): 50.0,
    }


def scores_of_sessions(root, sessions, names=()):
    table = read_scores(root, names, sessions)
    return {(row[0], row[1], row[2]): row[3] for row in table.itertuples(index=False)}


def test_a_column_that_is_asked_for_is_not_split(make_dataset):
    root = make_dataset({"phenotype/x.tsv": "participant_id\thope_post\nsub-1\t4\n"})
    (key,) = scores_of_sessions(root, ["post"], ["hope_post"])
    assert key[2] == "hope_post"
    assert not isinstance(key[1], str)


def test_a_score_of_participants_tsv_without_session_counts_if_asked_for(make_dataset):
    root = make_dataset({"participants.tsv": "participant_id\tage\tWAI\nsub-1\t30\t48\n"})
    assert read_scores(root).empty
    table = read_scores(root, ["WAI"])
    assert table[["participant_id", "score", "value"]].to_numpy().tolist() == [["1", "WAI", 48.0]]


def test_one_broken_sessions_file_does_not_stop_the_others(make_dataset):
    root = make_dataset(
        {
            "sub-01/sub-01_sessions.tsv": "session_id\tPHQ\nses-pre\t17\textra\n",
            "sub-02/sub-02_sessions.tsv": "session_id\tPHQ\nses-pre\t12\n",
        }
    )
    assert scores_of(root) == {("02", "pre", "PHQ"): 12.0}
    (problem,) = list_problems(root)
    assert "sub-01_sessions.tsv, line 2: 3 cells, but the header has 2" in problem
    assert problem.endswith("the scores of this file are not used")


def test_repeated_rows_are_listed(make_dataset):
    rows = "sub-01\tpre\t20\nsub-01\tses-post\t9\nsub-01\tpre\t20\nsub-02\tpre\t7\n"
    root = make_dataset({"phenotype/bdi.tsv": "participant_id\tsession_id\tBDI\n" + rows})
    (problem,) = list_problems(root)
    assert "bdi.tsv: several rows for sub-01 in ses-pre" in problem
    assert len(read_scores(root)) == 3


def test_values_outside_the_scale_are_set_aside(make_dataset):
    rows = "sub-1\tpre\t99\nsub-2\tpre\t63\nsub-3\tpre\t-1\nsub-4\tpre\t0\n"
    root = make_dataset({"phenotype/bdi.tsv": "participant_id\tsession_id\tBDI\n" + rows})
    found = take_in_scores(root, [ScoreRule("BDI", 0, 63)], ["pre"])
    assert found.scores["value"].fillna(-9).tolist() == [-9, 63, -9, 0]
    assert [text.split(": ", 1)[1] for text in found.problems] == [
        "BDI of sub-1 in ses-pre is 99, outside of the scale (0 to 63)",
        "BDI of sub-3 in ses-pre is -1, outside of the scale (0 to 63)",
    ]
    free = take_in_scores(root, [ScoreRule("BDI")], ["pre"])
    assert free.problems == ()
    assert free.scores["value"].tolist() == [99, 63, -1, 0]


def test_each_score_carries_the_moment_it_was_taken(make_dataset):
    root = make_dataset(
        {
            "phenotype/scores.tsv": "participant_id\tBDI_ses-pre\tBDI_ses-mid\tWAI\tACE\n"
            "sub-1\t20\t15\t48\t2\n"
        }
    )
    rules = [ScoreRule("BDI", moment="after"), ScoreRule("WAI", moment=3), ScoreRule("ACE")]
    found = take_in_scores(root, rules, ["pre"], {"pre": "before"})
    moments = dict(zip(found.scores["score"] + found.scores["session_id"].fillna(""),
                       found.scores["moment"], strict=True))  # fmt: skip
    assert moments == {"BDIpre": "before", "BDImid": None, "WAI": 3, "ACE": None}
    assert found.problems == ()
    assert [note.split(":")[0].split(";")[0] for note in found.notes] == [
        "ses-mid has scores (BDI) but no scan",
        "ACE belongs to no session",
    ]


def test_moments_of_sessions_are_known_sessions_too(make_dataset):
    root = make_dataset({"participants.tsv": "participant_id\tBDI_t1\nsub-1\t20\n"})
    found = take_in_scores(root, [ScoreRule("BDI")], [], {"t1": "before"})
    assert found.scores[["session_id", "value", "moment"]].to_numpy().tolist() == [
        ["t1", 20.0, "before"]
    ]


def test_a_score_that_nobody_has_gets_the_nearest_names(make_dataset):
    root = make_dataset({"phenotype/x.tsv": "participant_id\tMADRS_ses-pre\tHAM\nsub-1\t20\tn/a\n"})
    found = take_in_scores(root, [ScoreRule("MADSR"), ScoreRule("HAM")], ["pre"])
    assert found.scores["value"].isna().all()
    assert found.problems == (
        "no column 'MADSR' in participants.tsv, phenotype/ or *_sessions.tsv; "
        "did you mean 'MADRS'?",
        "the column 'HAM' is empty for everybody",
    )


def test_a_score_that_is_the_same_for_everybody_is_a_problem(make_dataset):
    rows = "sub-1\tpre\t20\nsub-2\tpre\t20\nsub-3\tpre\t20\nsub-1\tpost\t9\nsub-2\tpost\t8\n"
    root = make_dataset({"phenotype/bdi.tsv": "participant_id\tsession_id\tBDI\n" + rows})
    (problem,) = take_in_scores(root, [ScoreRule("BDI")], ["pre", "post"]).problems
    assert problem.startswith("all 3 values of BDI in ses-pre are 20;")


def test_without_any_file_every_score_is_missing(make_dataset):
    found = take_in_scores(make_dataset([]), [ScoreRule("BDI")], ["pre"])
    assert found.scores.empty
    assert found.scores.columns.tolist()[-1] == "moment"
    assert found.problems[0].startswith("no column 'BDI' in participants.tsv")
    assert with_moments(found.scores, {}, {}).empty


@pytest.mark.needs_shared
def test_the_scores_of_a_real_trial_are_counted_right(shared_dir):
    root = shared_dir / "data" / "openneuro_ds003007"
    table = read_scores(root)
    bdi = table[table["score"] == "BDI"].set_index(["participant_id", "session_id"])["value"]
    assert bdi.groupby("session_id").count().to_dict() == {"pre": 28, "post": 26}
    assert bdi["08", "pre"] == 36
    assert bdi["08", "post"] == 35
    assert "ICD-10" not in set(table["score"])
    assert list_problems(root) == ()
    people = read_participants(root)
    assert people["group"].value_counts().to_dict() == {
        "depr_no_treatment": 15,
        "depr_cbt": 8,
        "depr_nfb": 6,
    }
    assert people["IQ_Raven"].isna().tolist().index(True) == people.index.get_loc("28")


@pytest.mark.needs_shared
def test_phenotype_files_of_a_real_dataset_give_scores_without_session(shared_dir):
    table = read_scores(shared_dir / "data" / "bids_examples" / "pheno004")
    ace = table[table["score"] == "b_ace_q7"]
    assert ace[["participant_id", "value"]].to_numpy().tolist() == [["01", 1.0], ["03", 0.0]]
    assert ace["session_id"].isna().all()


@pytest.mark.needs_shared
def test_a_real_trial_is_taken_in_with_its_ranges(shared_dir):
    rules = [ScoreRule("BDI", 0, 63), ScoreRule("MADRS", 0, 60), ScoreRule("Zung_SDS", 20, 80)]
    root = shared_dir / "data" / "openneuro_ds003007"
    found = take_in_scores(root, rules, ["pre", "post"], {"pre": "before", "post": "after"})
    assert (found.problems, found.notes) == ((), ())
    counts = found.scores.dropna(subset="value").groupby(["score", "moment"]).size()
    assert counts["BDI"].to_dict() == {"before": 28, "after": 26}
    wrong = take_in_scores(root, [ScoreRule("BDI", 0, 21)], ["pre", "post"])
    assert len(wrong.problems) > 5
    assert "outside of the scale (0 to 21)" in wrong.problems[0]


def test_the_order_of_the_rows_decides_nothing(make_dataset):
    people = ["sub-03\t30", "sub-01\t20", "sub-02\t40"]
    scores = [
        "sub-02\tses-pre\t4",
        "sub-01\tses-pre\t1",
        "sub-02\tses-post\t3",
        "sub-01\tses-post\t2",
    ]
    found = []
    for step in (1, -1):
        files = {
            "participants.tsv": "\n".join(["participant_id\tage", *people[::step]]) + "\n",
            "phenotype/bdi.tsv": "\n".join(["participant_id\tsession_id\tBDI", *scores[::step]]),
        }
        root = make_dataset(files)
        found.append(
            (read_participants(root)["age"].to_dict(), read_scores(root)["value"].tolist())
        )
    assert found[0] == found[1] == ({"01": 20, "02": 40, "03": 30}, [2, 1, 3, 4])


def test_free_text_about_a_person_is_not_quoted(make_dataset):
    rows = [f"sub-0{n}\t{n}0" for n in range(1, 4)]
    rows.append("sub-04\tErika Mustermann takes 20 mg since 2019")
    table = "\n".join(["participant_id\tdose", *rows, "sub-05\t20 mg"])
    problems = list_problems(make_dataset({"participants.tsv": table}))
    assert not any("Mustermann" in problem for problem in problems)
    assert any("dose of sub-04 is a text of 39 signs, not a number" in text for text in problems)
    assert any("dose of sub-05 is '20 mg', not a number" in text for text in problems)
