"""YAML that could harm whoever reads it."""

import time

import pytest

from bids_utils.errors import SettingsError
from configs.plain_yaml import read_yaml
from configs.settings import load_settings


def written(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


def test_anchors_that_a_person_writes_are_allowed(tmp_path):
    text = "a: &waves [pre, post]\nb: *waves\nc: {<<: {d: 1}}\n"
    assert read_yaml(written(tmp_path, text)) == {
        "a": ["pre", "post"],
        "b": ["pre", "post"],
        "c": {"d": 1},
    }


def test_a_billion_laughs_are_refused_at_once(tmp_path):
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = written(tmp_path, "\n".join(lines))
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"settings.yaml: its anchors \(&\) make more than"):
        load_settings(path)
    assert time.monotonic() - began < 1


def test_an_anchor_that_holds_itself_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="settings.yaml: .* an anchor holds itself"):
        load_settings(written(tmp_path, "a: &a [*a]"))


def test_no_object_of_a_program_is_made(tmp_path):
    made = tmp_path / "made"
    text = f"random_seed: !!python/object/apply:os.mkdir ['{made}']"
    with pytest.raises(SettingsError, match="cannot be read as YAML: .*python/object/apply"):
        load_settings(written(tmp_path, text))
    assert not made.exists()


@pytest.mark.parametrize("text", ["[" * 50_000, "- " * 50_000, "a: 2001-02-30", "a: " + "9" * 5000])
def test_what_yaml_itself_cannot_hold_is_refused_in_plain_words(tmp_path, text):
    with pytest.raises(SettingsError, match="settings.yaml: "):
        load_settings(written(tmp_path, text))


def test_a_long_value_is_cut_in_the_message(tmp_path):
    with pytest.raises(SettingsError) as caught:
        load_settings(written(tmp_path, f"random_seed: {'x' * 10_000}"))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("anat:\n  a: 1\nfunc: {}\nanat:\n  b: 2\n", "'anat' .* lines 1 and 4"),
        ("a:\n  - {b: 1, b: 1}\n", "'b' .* lines 2 and 2"),
    ],
)
def test_a_key_that_stands_twice_is_refused_and_not_the_last_one_taken(tmp_path, text, lines):
    with pytest.raises(SettingsError, match=f"settings.yaml: {lines}; put them together"):
        read_yaml(written(tmp_path, text))


def test_the_same_key_in_two_places_is_no_twin(tmp_path):
    text = "a: [{b: 1}, {b: 2}]\nc: {b: 3}\n"
    assert read_yaml(written(tmp_path, text)) == {"a": [{"b": 1}, {"b": 2}], "c": {"b": 3}}
