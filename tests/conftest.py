"""What all tests share."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

DESCRIPTION = {"Name": "tiny", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
REPOSITORY = Path(__file__).parents[1]
CHROMIUM_OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def shared_dir():
    """Folder with real data, named by BRAINDELTA_SHARED or beside the repository."""
    named = os.environ.get("BRAINDELTA_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs real data: set BRAINDELTA_SHARED")
    return folder


@pytest.fixture
def make_dataset(tmp_path):
    """Return a function that writes files (path -> text or object) into a BIDS folder."""

    def make(files, description=DESCRIPTION):
        root = tmp_path / "bids"
        root.mkdir(exist_ok=True)
        if description is not None:
            (root / "dataset_description.json").write_text(json.dumps(description))
        items = files.items() if isinstance(files, dict) else ((name, "") for name in files)
        for name, content in items:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8")
        return root

    return make


@pytest.fixture
def locked_folder():
    """A folder that this process can see but neither read nor write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        inner = folder / "locked"
        inner.mkdir()
        inner.chmod(0o000)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield inner
        finally:
            if user == 0:
                os.seteuid(0)
            inner.chmod(0o755)


@pytest.fixture(scope="session")
def chromium():
    """Chromium without a window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install .[browser]")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()
