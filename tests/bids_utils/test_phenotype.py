import math

import pytest

from bids_utils.errors import DatasetError
from bids_utils.phenotype import list_problems, read_participants, read_scores


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
    assert table["problem"]["02"].endswith("BDI_ses-pre of sub-02 has several values: 10 and 12")
    assert table["problem"].drop("02").tolist() == ["", ""]


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
