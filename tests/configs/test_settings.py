"""Settings: one YAML, frozen, with errors that name the place and a suggestion."""

from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError

import configs
from bids_utils.errors import SettingsError
from configs.settings import FILES, Settings, dump_settings, load_settings

DEFAULT = Path(configs.__file__).parent / "default.yaml"


def write(folder, text):
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_default_yaml_shows_every_option_with_the_default_of_the_code():
    assert yaml.safe_load(DEFAULT.read_text(encoding="utf-8")) == Settings().model_dump(mode="json")


def test_settings_survive_saving_and_loading(tmp_path):
    settings = load_settings(
        write(tmp_path, "sessions: {order: [pre, post]}\ngroup: {scores: [{name: BDI}]}")
    )
    assert load_settings(write(tmp_path, dump_settings(settings))) == settings
    assert settings.sessions.order == ("pre", "post")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sesions: {}", r"sesions: unknown key; did you mean 'sessions'\?"),
        ("func: {high_pas_hz: 0.01}", r"func\.high_pas_hz: .*did you mean 'high_pass_hz'\?"),
        ("group: {scores: [{name: BDI, beter: lower}]}", r"scores\.0\.beter.*mean 'better'\?"),
        ("func: {min_coverage: 1.2}", r"func\.min_coverage: .*less than or equal to 1.*1\.2"),
        ("func: {high_pass_hz: 0.1, low_pass_hz: 0.1}", r"func.*low_pass_hz: 0\.1 .*above.* 0\.1"),
        ("func: {strategy: 12P}", r"func\.strategy: .*'24P'.*found '12P'"),
        ("sessions: {order: [pre, pre]}", "name at least two different sessions"),
        ("sessions: {order: [a, b], interval_days: [1, 2]}", "one interval between each two"),
        ("sessions: {order: [a, b], interval_days: [0]}", "greater than 0"),
        ("- a\n- b", "expected sections"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_a_wrong_file_names_the_place_and_what_is_possible(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_list_of_exclusions_lies_beside_the_settings_and_stays_there_when_saved(
    tmp_path,
):
    settings = load_settings(write(tmp_path, "sessions: {exclude: lists/bad.tsv}"))
    assert settings.sessions.exclude == tmp_path / "lists" / "bad.tsv"
    other = tmp_path / "out"
    other.mkdir()
    assert load_settings(write(other, dump_settings(settings))) == settings
    full = load_settings(write(tmp_path, "sessions: {exclude: /lists/bad.tsv}"))
    assert full.sessions.exclude == Path("/lists/bad.tsv")


def test_saved_settings_name_files_from_their_own_folder_and_tell_no_home(tmp_path):
    text = """
    sessions: {exclude: bad.tsv}
    atlas: {name: A, file: a/b.nii, labels: a/b.tsv, space: S, space_template: a/c.nii}
    func: {tasks: [{task: x, stats_model: m.json}, {task: y}]}
    group: {rescan: ../r.tsv}
    """
    settings = load_settings(write(tmp_path, text))
    other = tmp_path / "out"
    other.mkdir()
    saved = dump_settings(settings, other)
    assert str(tmp_path) not in saved
    assert load_settings(write(other, saved)) == settings


def test_every_setting_that_is_a_file_is_known_as_one():
    def files(section, start=()):
        for name, field in section.model_fields.items():
            parts = [field.annotation, *get_args(field.annotation)]
            parts += [part for one in parts for part in get_args(one)]
            for kind in {part for part in parts if isinstance(part, type)}:
                if issubclass(kind, BaseModel):
                    yield from files(kind, (*start, name))
                elif kind is Path:
                    yield (*start, name)

    assert set(files(Settings)) == set(FILES)


@pytest.mark.parametrize(
    "text",
    [
        "sessions: {exclude: ~/x}",
        "atlas: {name: A, file: ~/x, labels: ~/x, space: B, space_template: ~/x}",
    ],
)
def test_files_may_begin_at_the_home_folder(tmp_path, monkeypatch, text):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = load_settings(write(tmp_path, text))
    atlas = settings.atlas
    found = {settings.sessions.exclude, atlas.file, atlas.labels, atlas.space_template}
    assert found - {None} == {tmp_path / "home" / "x"}


def test_the_home_of_somebody_unknown_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match=r"sessions\.exclude: .*give the whole path"):
        load_settings(write(tmp_path, "sessions: {exclude: ~nobody_of_this_name/x}"))


def test_a_missing_file_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.yaml"):
        load_settings(tmp_path / "absent.yaml")


def test_settings_cannot_be_changed_after_loading():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().func.high_pass_hz = 1.0
