import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_utils.errors import ToolError
from workflows.interfaces.engine import run_engine


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Run the given source as an engine module."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(source, *arguments):
        (tmp_path / "fake_engine.py").write_text(source)
        run_engine("fake_engine", list(arguments), tmp_path)

    return run


def test_an_engine_sees_one_thread_its_arguments_and_its_folder(child, tmp_path):
    child(
        "import os, sys, pathlib\n"
        "pathlib.Path('seen').write_text(os.environ['OMP_NUM_THREADS'] + repr(sys.argv[1:]))",
        "a b",
        "-x",
    )
    assert (tmp_path / "seen").read_text() == "1['a b', '-x']"


def test_an_engine_has_a_pipe_that_tells_it_when_we_are_gone(child, tmp_path):
    child(
        "import os, pathlib, select, stat\n"
        "pipe = select.poll()\n"
        "pipe.register(0, 0)\n"
        "is_pipe = stat.S_ISFIFO(os.fstat(0).st_mode)\n"
        "pathlib.Path('seen').write_text(f'{is_pipe} {pipe.poll(0)}')"
    )
    assert (tmp_path / "seen").read_text() == "True []"


def test_an_engine_can_import_the_package_from_any_folder(child):
    child("import bids_utils.errors")


def test_a_segmentation_fault_is_an_error_of_this_participant_only(child):
    with pytest.raises(ToolError, match="fake_engine crashed .SIGSEGV."):
        child("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")


def test_a_killed_engine_is_explained_by_memory(child):
    with pytest.raises(ToolError, match="too little memory"):
        child("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


def test_a_failed_engine_shows_its_last_words_and_its_arguments(child):
    with pytest.raises(ToolError, match=r"exit code 1(?s:.)*T1w.nii(?s:.)*ValueError: no brain"):
        child("raise ValueError('no brain')", "T1w.nii")


def test_greedy_finds_a_known_shift_twice_alike_in_a_folder_with_spaces(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    points = np.zeros((32, 32, 32))
    points[tuple(np.random.default_rng(0).integers(10, 22, (3, 30)))] = 1
    blob = 1000 * ndimage.gaussian_filter(points, 2)
    shifted = np.eye(4)
    shifted[0, 3] = 2.0
    nib.Nifti1Image(blob.astype("f4"), np.eye(4)).to_filename(folder / "fixed image.nii.gz")
    nib.Nifti1Image(blob.astype("f4"), shifted).to_filename(folder / "moving.nii.gz")
    arguments = ["-a", "-dof", "6", "-ia-identity", "-n", "40x20", "-m", "SSD"]
    images = ["-i", "fixed image.nii.gz", "moving.nii.gz"]
    for output in ("one.mat", "two.mat"):
        run_engine(
            "workflows.interfaces.greedy_engine", [*arguments, *images, "-o", output], folder
        )
    found = np.loadtxt(folder / "one.mat")
    np.testing.assert_allclose(found, shifted, atol=0.15)
    np.testing.assert_array_equal(found, np.loadtxt(folder / "two.mat"))
