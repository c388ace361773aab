"""The locked analysis: what counts as planned, and what is told when something differs."""

import hashlib
import json

import pytest

from bids_utils.errors import DatasetError, SettingsError
from configs.lock import (
    LOCK_FILE,
    compare_lock,
    make_lock,
    planned_analyses,
    read_lock,
    write_lock,
)
from configs.settings import (
    AnatSettings,
    AtlasSettings,
    CompositeSettings,
    FuncSettings,
    GroupSettings,
    MechanismSettings,
    ModelSettings,
    PredictionSettings,
    ProcessSettings,
    ScoreSettings,
    SessionSettings,
    Settings,
    SourceSettings,
    VariableSettings,
)

GROUP = GroupSettings(
    arm_column="group",
    randomised=True,
    scores=(ScoreSettings(name="BDI 2"), ScoreSettings(name="WAI", role="process")),
    models=(
        ModelSettings(name="dose", formula="sessions", planned=True),
        ModelSettings(name="look", formula="age"),
    ),
)
SETTINGS = Settings(group=GROUP)


@pytest.fixture
def locked(tmp_path):
    """A lock on disk, and the table it was made of."""
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tBDI\nsub-01\tnot a number\n", encoding="utf-8")
    inputs = {"participants.tsv": table}
    write_lock(make_lock(SETTINGS, inputs, "2030-01-01T00:00:00+00:00", "1.0"), tmp_path)
    return tmp_path, inputs


def changed(**values):
    return SETTINGS.model_copy(update={"group": GROUP.model_copy(update=values)})


def test_planned_are_the_main_model_the_outcomes_and_what_says_so():
    names = ["model baseline_adjusted", "model symptoms_BDI-2", "model dose"]
    assert list(planned_analyses(SETTINGS)) == names


def test_the_lock_keeps_the_bytes_of_the_tables_and_reads_no_score(locked):
    folder, inputs = locked
    lock = read_lock(folder)
    content = inputs["participants.tsv"].read_bytes()
    assert lock.inputs == {"participants.tsv": hashlib.sha256(content).hexdigest()}
    comparison = compare_lock(lock, SETTINGS, inputs)
    assert comparison.notices == ()
    assert comparison.planned == set(planned_analyses(SETTINGS))


def test_a_lock_is_never_written_again(locked):
    with pytest.raises(SettingsError, match="locked on 2030-01-01.*never changed"):
        write_lock(make_lock(SETTINGS, {}, "2031", "1.0"), locked[0])


def test_a_changed_definition_makes_that_analysis_exploratory(locked):
    models = (ModelSettings(name="dose", formula="sessions + age", planned=True),)
    comparison = compare_lock(read_lock(locked[0]), changed(models=models))
    assert comparison.planned == {"model baseline_adjusted", "model symptoms_BDI-2"}
    [(what, where, advice)] = comparison.notices
    assert what == "formula was locked as 'sessions' and is 'sessions + age' now"
    assert where == f"{LOCK_FILE}: model dose"
    assert "exploratory" in advice


def test_what_decides_everything_makes_everything_exploratory(locked):
    comparison = compare_lock(read_lock(locked[0]), changed(covariates=("age",)))
    assert comparison.planned == frozenset()
    assert comparison.notices[0][0] == ("group.covariates was locked as [] and is ['age'] now")


@pytest.mark.parametrize(
    ("section", "what"),
    [
        (
            {"func": FuncSettings(strategy="36P")},
            "func.strategy was locked as '24P+CSF+WM' and is '36P' now",
        ),
        (
            {"func": FuncSettings(fd_threshold_mm=0.2)},
            "func.fd_threshold_mm was locked as 0.5 and is 0.2 now",
        ),
        (
            {"anat": AnatSettings(min_coverage=0.5)},
            "anat.min_coverage was locked as 0.8 and is 0.5 now",
        ),
        (
            {"sources": SourceSettings(stream="cross")},
            "sources.stream was locked as None and is 'cross' now",
        ),
        (
            {"sessions": SessionSettings(order=("pre", "post"))},
            "sessions.order was locked as None and is ['pre', 'post'] now",
        ),
    ],
)
def test_how_measures_are_made_decides_everything(locked, section, what):
    comparison = compare_lock(read_lock(locked[0]), SETTINGS.model_copy(update=section))
    assert comparison.planned == frozenset()
    [(told, where, advice)] = comparison.notices
    assert told == what
    assert where == f"{LOCK_FILE}: settings"
    assert "exploratory" in advice


@pytest.mark.parametrize(
    ("field", "value"),
    [("response_pct", 30.0), ("minimum", 0.0), ("moment", "after"), ("scale", "BDI-II")],
)
def test_a_changed_outcome_makes_all_models_that_are_fitted_to_it_exploratory(locked, field, value):
    scores = (ScoreSettings(name="BDI 2", **{field: value}), GROUP.scores[1])
    comparison = compare_lock(read_lock(locked[0]), changed(scores=scores))
    assert comparison.planned == frozenset()
    told = {where.partition(": ")[2]: what for what, where, _ in comparison.notices}
    text = f"scores.BDI 2.{field} was locked as None and is {value!r} now"
    assert told == dict.fromkeys(planned_analyses(SETTINGS), text)


def test_a_changed_process_score_leaves_models_of_outcomes_planned(locked):
    scores = (GROUP.scores[0], ScoreSettings(name="WAI", role="process", minimum=1))
    comparison = compare_lock(read_lock(locked[0]), changed(scores=scores))
    assert comparison.planned == set(planned_analyses(SETTINGS))


def with_scores(*scores):
    """A mechanism, a process and a prediction that use scores in different ways."""
    alliance, both = VariableSettings(score="WAI"), VariableSettings(score="both")
    column = VariableSettings(column="age")
    path = MechanismSettings(
        name="path", mediators=(alliance,), outcome=column, covariates=("Q@pre",), planned=True
    )
    process = ProcessSettings(
        name="weeks", process=alliance, outcome=column, sessions=("1", "2"), planned=True
    )
    group = GroupSettings(
        scores=scores,
        composites=(CompositeSettings(name="both", scores=("S", "T")),),
        mechanisms=(path,),
        processes=(process,),
        predictions=(PredictionSettings(name="who", target=both, brain=(column,)),),
    )
    return Settings(group=group)


@pytest.mark.parametrize(
    ("score", "exploratory"),
    [
        ("WAI", {"mechanism path", "process weeks"}),
        ("Q", {"mechanism path"}),
        ("T", {"prediction who", "model symptoms_both", "model change"}),
        ("X", set()),
    ],
)
def test_a_changed_score_makes_what_uses_it_exploratory(score, exploratory):
    scores = [ScoreSettings(name=name, role="process") for name in ("WAI", "Q", "S", "T", "X")]
    settings = with_scores(*scores)
    lock = make_lock(settings, {}, "2030", "1.0")
    other = with_scores(
        *(s.model_copy(update={"maximum": 7.0}) if s.name == score else s for s in scores)
    )
    comparison = compare_lock(lock, other)
    assert set(planned_analyses(settings)) - comparison.planned == exploratory
    for what, _, _ in comparison.notices:
        assert what == f"scores.{score}.maximum was locked as None and is 7.0 now"


def test_analyses_of_two_kinds_with_one_name_are_two_analyses(locked):
    """The mechanism `dose` was not locked; the model `dose` was."""
    mechanism = MechanismSettings(
        name="dose",
        mediators=(VariableSettings(score="WAI"),),
        outcome=VariableSettings(score="BDI 2"),
        planned=True,
    )
    comparison = compare_lock(read_lock(locked[0]), changed(mechanisms=(mechanism,)))
    assert comparison.planned == set(planned_analyses(SETTINGS))
    [(what, where, _)] = comparison.notices
    assert (what, where) == ("it was not locked", f"{LOCK_FILE}: mechanism dose")


def test_new_and_dropped_analyses_are_told(locked):
    models = (ModelSettings(name="late", formula="age", planned=True),)
    comparison = compare_lock(read_lock(locked[0]), changed(models=models))
    told = {where.partition(": ")[2]: what for what, where, _ in comparison.notices}
    assert told == {
        "model late": "it was not locked",
        "model dose": "it was locked and is not asked for any more",
    }


def test_a_table_that_changed_is_told_and_the_analysis_stays_planned(locked):
    folder, inputs = locked
    inputs["participants.tsv"].write_text("participant_id\nsub-01\n", encoding="utf-8")
    comparison = compare_lock(read_lock(folder), SETTINGS, inputs)
    assert "participants.tsv is not as it was" in comparison.notices[0][0]
    assert "model dose" in comparison.planned


def test_a_list_of_exclusions_is_told_by_what_it_says_not_by_where_it_lies(locked, tmp_path):
    folder, inputs = locked
    listed = tmp_path / "exclude.tsv"
    listed.write_text("participant_id\treason\n01\tasleep\n", encoding="utf-8")
    sessions = SETTINGS.sessions.model_copy(update={"exclude": listed})
    settings = SETTINGS.model_copy(update={"sessions": sessions})
    comparison = compare_lock(read_lock(folder), settings, inputs | {listed.name: listed})
    assert comparison.planned == set(planned_analyses(SETTINGS))
    ((what, _, _),) = comparison.notices
    assert what.startswith("exclude.tsv is not as it was")


@pytest.fixture
def own_atlas(tmp_path):
    """Return a function: settings with an atlas of the user's own in a folder."""

    def own_atlas(folder, table):
        file, labels = tmp_path / folder / "own.nii.gz", tmp_path / folder / "own.tsv"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"labels")
        labels.write_text(table, encoding="utf-8")
        space = "MNI152NLin2009aSym"
        atlas = AtlasSettings(name="Mine", file=file, labels=labels, space=space)
        return SETTINGS.model_copy(update={"atlas": atlas})

    return own_atlas


def test_an_atlas_may_move_but_other_labels_make_everything_exploratory(own_atlas):
    lock = make_lock(own_atlas("a", "index\tname\n1\tx\n"), {}, "2030", "1.0")
    moved = compare_lock(lock, own_atlas("b", "index\tname\n1\tx\n"))
    assert (moved.planned, moved.notices) == (set(planned_analyses(SETTINGS)), ())
    renamed = compare_lock(lock, own_atlas("a", "index\tname\n1\ty\n"))
    assert renamed.planned == frozenset()
    [(what, where, _)] = renamed.notices
    assert what.startswith("atlas.sha256 was locked as ")
    assert where == f"{LOCK_FILE}: settings"


def test_another_atlas_is_told_by_its_name_and_makes_everything_exploratory(locked, own_atlas):
    comparison = compare_lock(read_lock(locked[0]), own_atlas("a", "index\tname\n1\tx\n"))
    assert comparison.planned == frozenset()
    assert comparison.notices[0][0] == (
        "atlas.name was locked as 'DesikanKilliany' and is 'Mine' now"
    )


def test_a_table_of_repeated_scans_leaves_all_that_is_planned(locked, tmp_path):
    comparison = compare_lock(read_lock(locked[0]), changed(rescan=tmp_path / "rescan.tsv"))
    assert comparison.planned == set(planned_analyses(SETTINGS))
    assert comparison.notices == ()


def test_without_a_lock_what_is_planned_is_planned(tmp_path):
    assert read_lock(tmp_path) is None
    assert compare_lock(None, SETTINGS).planned == set(planned_analyses(SETTINGS))


def test_a_file_that_is_no_lock_is_an_error(tmp_path):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"time": "x"}), encoding="utf-8")
    with pytest.raises(DatasetError, match="not a lock"):
        read_lock(tmp_path)
