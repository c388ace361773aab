"""The container files agree with pyproject.toml and each other, and name no place of a machine."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK, BUILD_LOCK = ROOT / "requirements.lock", ROOT / "requirements-build.lock"
CONTAINERFILE, DEFINITION = ROOT / "Containerfile", ROOT / "apptainer.def"
PYTHONS = ("3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def entries(lock):
    """Each pinned requirement of a lock, and its hashes."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    parts = [line.split("--hash=") for line in lines]
    return [(Requirement(pin.strip()), [h.strip() for h in hashes]) for pin, *hashes in parts]


def plain_name(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned_versions(lock, python):
    """Version of each package of a lock for one Python."""
    applies = {"python_version": python, "python_full_version": f"{python}.0"}
    versions = {}
    for requirement, _ in entries(lock):
        if requirement.marker is None or requirement.marker.evaluate(applies):
            assert requirement.name not in versions, f"{requirement.name} is pinned twice"
            (version,) = requirement.specifier
            assert version.operator == "=="
            versions[plain_name(requirement.name)] = version.version
    return versions


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_each_dependency_in_a_version_that_pyproject_allows(pyproject, python):
    versions = pinned_versions(LOCK, python)
    for text in pyproject["project"]["dependencies"]:
        needed = Requirement(text)
        assert needed.specifier.contains(versions.get(plain_name(needed.name), "0")), text


def test_the_lock_covers_the_pythons_of_pyproject(pyproject):
    allowed = Requirement(f"python{pyproject['project']['requires-python']}").specifier
    assert [f"3.{n}" for n in range(30) if f"3.{n}.5" in allowed] == list(PYTHONS)


def test_the_build_lock_has_what_builds_the_project(pyproject):
    versions = pinned_versions(BUILD_LOCK, "3.12")
    for needed in map(Requirement, pyproject["build-system"]["requires"]):
        assert needed.specifier.contains(versions[plain_name(needed.name)])


@pytest.mark.parametrize("lock", [LOCK, BUILD_LOCK])
def test_each_pin_has_hashes(lock):
    for requirement, hashes in entries(lock):
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in hashes), requirement


@pytest.mark.parametrize(
    "name",
    ["requirements.lock", "requirements-build.lock", "Containerfile", "apptainer.def"],
)
def test_container_files_name_no_index_and_no_place_of_a_machine(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"://|index-url|find-links|trusted-host|file:| @ |/h[o]me/|/r[o]ot/", text)


def labels_of_containerfile():
    text = CONTAINERFILE.read_text(encoding="utf-8")
    return dict(re.findall(r'(org\.opencontainers\.image\.\w+)="([^"]*)"', text))


def section(name):
    """Lines of a section of the Apptainer definition."""
    text = DEFINITION.read_text(encoding="utf-8")
    found = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for line in found.group(1).splitlines() if line.strip()]


def test_labels_of_both_images_are_those_of_pyproject(pyproject):
    project = pyproject["project"]
    expected = {
        "org.opencontainers.image.title": project["name"],
        "org.opencontainers.image.description": project["description"],
        "org.opencontainers.image.version": project["version"],
        "org.opencontainers.image.licenses": project["license"],
    }
    assert dict(line.split(" ", 1) for line in section("labels")) == expected
    own = labels_of_containerfile()
    assert own.pop("org.opencontainers.image.revision") == "${REVISION}"
    assert own == expected


def test_examples_name_the_version_of_pyproject(pyproject):
    pages = [CONTAINERFILE, DEFINITION, ROOT / "docs" / "containers.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"braindelta:(\d[\w.]*)", text))
    assert named == {pyproject["project"]["version"]}


def test_both_images_have_the_same_environment():
    stage = CONTAINERFILE.read_text(encoding="utf-8").rsplit("\nFROM ", 1)[1]
    block = re.search(r"^ENV (.*?[^\\])\n", stage, re.MULTILINE | re.DOTALL).group(1)
    here = dict(re.findall(r'(\w+)="([^"]*)"', block))
    there = dict(re.findall(r'export (\w+)="([^"]*)"', "\n".join(section("environment"))))
    assert here == there
    assert here["PYTHONNOUSERSITE"] == "1"


def test_the_image_runs_as_a_numbered_user_that_is_not_root():
    stage = CONTAINERFILE.read_text(encoding="utf-8").rsplit("\nFROM ", 1)[1]
    (user,) = re.findall(r"^USER (.+)$", stage, re.MULTILINE)
    uid, gid = map(int, user.split(":"))
    assert uid > 0
    assert gid > 0


def test_nothing_runs_in_the_last_stage():
    stage = CONTAINERFILE.read_text(encoding="utf-8").rsplit("\nFROM ", 1)[1]
    assert not re.search(r"^(RUN|ADD) ", stage, re.MULTILINE)


def test_both_builds_take_the_same_files(pyproject):
    ignore = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    build = CONTAINERFILE.read_text(encoding="utf-8").rsplit("\nFROM ", 1)[0]
    copied = [line.split() for line in re.findall(r"^COPY (.+)$", build, re.MULTILINE)]
    pairs = [line.split() for line in section("files")]
    taken = {source for *sources, _ in copied for source in sources}
    assert taken == let_through == {source for source, _ in pairs}
    assert all(place == f"/source/{source}" for source, place in pairs)
    packages = pyproject["tool"]["setuptools"]["packages"]["find"]["include"]
    licences, readme = pyproject["project"]["license-files"], pyproject["project"]["readme"]
    needed = {*(name.rstrip("*") for name in packages), *licences, readme, "pyproject.toml"}
    assert needed <= taken
    assert all((ROOT / source).exists() for source in taken)


def test_both_builds_start_from_the_same_base():
    text = CONTAINERFILE.read_text(encoding="utf-8")
    (here,) = re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE)
    assert section("arguments") == [f"BASE={here}"]
    assert re.search(r"^From: {{ BASE }}$", DEFINITION.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_mounts_of_both_images_are_the_same():
    text = CONTAINERFILE.read_text(encoding="utf-8")
    here = set(re.findall(r" /mount(/\w+)", text))
    (line,) = [line for line in section("post") if line.startswith("mkdir")]
    assert here == set(line.split()[2:])
