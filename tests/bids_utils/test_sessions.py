from datetime import datetime

import pytest

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.sessions import (
    AcquisitionTime,
    OrderRule,
    SessionDates,
    SessionTime,
    check_order,
    days_between,
    order_sessions,
    read_dates,
)

PRE_POST_FU = OrderRule(("pre", "post", "fu"))
BY_DATES = OrderRule()


def at(text):
    return AcquisitionTime(datetime.fromisoformat(text), "T" in text)


def dates(**texts):
    return SessionDates({label: at(text) for label, text in texts.items()})


def placed(order):
    return [(time.label, time.days_from_baseline) for time in order.sessions]


def one(sessions, known, rule):
    return order_sessions({"01": sessions}, {"01": known}, rule)["01"]


def test_days_are_exact_with_times_and_whole_without():
    assert days_between(at("2020-03-01T18:00:00"), at("2020-03-02T06:00:00")) == 0.5
    assert days_between(at("2020-03-01T18:00:00"), at("2020-03-02")) == 1.0
    assert days_between(at("2020-02-28"), at("2020-03-01")) == 2.0
    assert days_between(at("2020-03-01"), at("2020-02-28")) == -2.0


def test_the_order_of_the_settings_holds_and_not_the_alphabet():
    order = one(["fu", "post", "pre"], SessionDates(), PRE_POST_FU)
    assert placed(order) == [("pre", 0.0), ("post", None), ("fu", None)]


def test_labels_in_the_settings_may_have_their_prefix():
    assert OrderRule(("ses-pre", "post")).order == ("pre", "post")


def test_dates_order_sessions_against_the_alphabet():
    known = dates(retest="2010-02-11", test="2010-01-01")
    assert placed(one(["retest", "test"], known, BY_DATES)) == [("test", 0.0), ("retest", 41.0)]


def test_exchanging_the_dates_exchanges_the_order():
    known = dates(retest="2010-01-01", test="2010-02-11")
    assert placed(one(["retest", "test"], known, BY_DATES)) == [("retest", 0.0), ("test", 41.0)]


def test_dates_give_the_days_of_an_order_from_the_settings():
    known = dates(pre="1925-01-01", post="1925-03-26", fu="1925-12-31")
    order = one(["fu", "post", "pre"], known, OrderRule(PRE_POST_FU.order, (70.0, 200.0)))
    assert placed(order) == [("pre", 0.0), ("post", 84.0), ("fu", 364.0)]


def test_planned_intervals_are_used_where_dates_are_missing():
    rule = OrderRule(PRE_POST_FU.order, (84.0, 180.0))
    known = dates(pre="2020-01-01", post="2020-03-01")
    order = one(["pre", "post", "fu"], known, rule)
    assert placed(order) == [("pre", 0.0), ("post", 84.0), ("fu", 264.0)]
    assert placed(one(["fu", "post"], SessionDates(), rule)) == [("post", 84.0), ("fu", 264.0)]


def test_days_are_not_counted_from_a_later_session_when_the_first_has_no_date():
    known = dates(post="2020-03-01", fu="2020-09-01")
    order = one(["pre", "post", "fu"], known, PRE_POST_FU)
    assert placed(order) == [("pre", 0.0), ("post", None), ("fu", None)]


def test_a_first_session_without_images_still_starts_the_count():
    known = dates(pre="2020-01-01", post="2020-01-31")
    assert placed(one(["post"], known, PRE_POST_FU)) == [("post", 30.0)]
    assert placed(one(["post"], known, BY_DATES)) == [("post", 30.0)]


def test_the_same_day_twice_gives_no_interval_rather_than_zero():
    known = dates(pre="2020-01-01", post="2020-01-01")
    assert placed(one(["pre", "post"], known, PRE_POST_FU)) == [("pre", 0.0), ("post", None)]


def test_dates_that_contradict_the_settings_refuse_the_participant_only():
    sessions = {"01": ["pre", "post"], "02": ["pre", "post"]}
    known = {
        "01": dates(pre="2020-06-01", post="2020-01-01"),
        "02": dates(pre="2020-01-01", post="2020-06-01"),
    }
    orders = order_sessions(sessions, known, PRE_POST_FU)
    assert orders["01"].sessions == ()
    assert "ses-pre was 152 days after ses-post" in orders["01"].problem
    assert "2020" not in orders["01"].problem
    assert "sessions.order says the reverse" in orders["01"].problem
    assert placed(orders["02"]) == [("pre", 0.0), ("post", 152.0)]


def test_a_session_that_the_settings_do_not_name_is_left_out():
    order = one(["pre", "pilot", "post"], SessionDates(), PRE_POST_FU)
    assert [time.label for time in order.sessions] == ["pre", "post"]
    assert order.left_out == {"pilot": "the session is not in sessions.order (pre, post, fu)"}


def test_without_order_a_session_without_date_is_left_out():
    order = one(["a", "b", "c"], dates(a="2020-05-01", c="2020-01-01"), BY_DATES)
    assert placed(order) == [("c", 0.0), ("a", 121.0)]
    assert "no acq_time" in order.left_out["b"]


def test_without_order_equal_dates_refuse_the_participant():
    known = dates(a="2020-05-01", b="2020-05-01T10:00:00", pilot="2020-05-01")
    assert "ses-a and ses-b have the same date" in one(["b", "a"], known, BY_DATES).problem


def test_one_participant_against_the_order_of_the_others_is_refused():
    sessions = dict.fromkeys(("01", "02", "03"), ["post", "pre"])
    known = dict.fromkeys(("01", "02"), dates(pre="2020-01-01", post="2020-03-01"))
    known["03"] = dates(post="2020-01-01", pre="2020-03-01")
    orders = order_sessions(sessions, known, BY_DATES)
    assert placed(orders["01"]) == placed(orders["02"]) == [("pre", 0.0), ("post", 60.0)]
    assert "2 other participant(s) have them the other way round" in orders["03"].problem
    assert orders["03"].sessions == ()


def test_two_participants_against_each_other_are_both_refused():
    known = {
        "01": dates(pre="2020-01-01", post="2020-03-01"),
        "02": dates(post="2020-01-01", pre="2020-03-01"),
    }
    orders = order_sessions(dict.fromkeys(known, ["pre", "post"]), known, BY_DATES)
    assert all("other way round" in order.problem for order in orders.values())


def test_neither_order_nor_dates_says_what_to_write_where():
    sessions = {"01": ["post", "pre"], "02": ["pre"]}
    with pytest.raises(DatasetError, match="order of the sessions in time is unknown") as caught:
        order_sessions(sessions, {}, BY_DATES)
    for part in ("acq_time", "sub-X/sub-X_sessions.tsv", "sessions: order:", "post, pre"):
        assert part in str(caught.value)


def test_a_single_session_needs_no_date():
    assert one(["post"], SessionDates(), BY_DATES).sessions == (SessionTime("post", None),)


def test_an_order_with_unknown_sessions_is_refused_with_the_nearest():
    check_order(("pre", "post"), ["post", "pre", "pre"])
    with pytest.raises(SettingsError, match="no.* has a session 'pots'; did you mean 'post'"):
        check_order(("pre", "pots"), ["pre", "post"])


def test_dates_come_from_the_sessions_file_and_else_from_the_earliest_scan(make_dataset):
    scans = "filename\tacq_time\nfunc/b\t1880-01-10T05:22:54\nanat/a\t1880-01-10T05:17:54.5Z\n"
    root = make_dataset(
        {
            "sub-01/sub-01_sessions.tsv": "session_id\tacq_time\nses-pre\t1879-12-01\npost\tn/a\n",
            "sub-01/ses-pre/sub-01_ses-pre_scans.tsv": scans,
            "sub-01/ses-post/sub-01_ses-post_scans.tsv": scans,
            "sub-01/ses-fu/sub-01_ses-fu_scans.tsv": "filename\nanat/a\n",
        }
    )
    found = read_dates(root, "01", ["pre", "post", "fu", "none"])
    moment = datetime(1880, 1, 10, 5, 17, 54, 500000)  # noqa: DTZ001
    assert found.times == {"pre": at("1879-12-01"), "post": AcquisitionTime(moment, True)}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("session_id\tacq_time\nses-pre\t15/06/2009\n", "row 1: acq_time is not like"),
        ("session\tacq_time\nses-pre\t2009-06-15\n", "the column session_id is missing"),
        ("session_id\tacq_time\nses-pre\n", "line 2: 1 cells"),
        (
            "session_id\tacq_time\nses-pre\t2009-06-15\nses-pre\t2010-06-15\n",
            "two different dates for session 'pre'",
        ),
        (
            "session_id\tacq_time\nses-pre\t1802-06-15\nses-post\t1880-06-15\n",
            "the dates go from 1802 to 1880; they were not shifted together",
        ),
    ],
)
def test_dates_that_cannot_be_read_are_a_problem_and_do_not_stop(make_dataset, text, problem):
    found = read_dates(make_dataset({"sub-01/sub-01_sessions.tsv": text}), "01", ["pre"])
    assert len(found.problems) == 1
    assert problem in found.problems[0]


def test_unreadable_dates_are_noted_when_the_settings_give_the_order():
    order = one(["post", "pre"], SessionDates({}, ("the dates are odd",)), PRE_POST_FU)
    assert [time.label for time in order.sessions] == ["pre", "post"]
    assert order.note == "the dates are odd"


@pytest.mark.needs_shared
def test_real_dates_shifted_session_by_session_are_set_aside(shared_dir):
    root = shared_dir / "data" / "bids_examples" / "synthetic"
    found = read_dates(root, "01", ["01", "02"])
    assert found.times == {}
    assert "1802 to 1880" in found.problems[0]
    kept = read_dates(root, "03", ["01", "02"])
    assert kept.times["01"] == at("1852-10-11T23:35:34")
    assert kept.times["02"] == at("1843-04-22T00:23:54")
