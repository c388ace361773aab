"""What is put into a page says what it seems to say."""

import json

from workflows.interfaces.report_pages import as_html, plain_json


def test_texts_in_the_data_of_a_page_have_no_signs_that_are_not_seen():
    value = {"na\u202eme": ["a\x1bb", ("c", 2.5, None)], 1: True}
    text = plain_json(value, sort_keys=False)
    assert json.loads(text) == {r"na\u202eme": [r"a\x1bb", ["c", 2.5, None]], "1": True}


def test_methods_keep_their_lines_and_turn_no_order_of_reading():
    html = as_html("# Methods\n\none \u202etwo\n")
    assert html == "<h3>Methods</h3>\n<p>one \\u202etwo</p>\n"
