"""What all tests share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_dir():
    """Folder with real data, named by BRAINDELTA_SHARED or beside the repository."""
    named = os.environ.get("BRAINDELTA_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs real data: set BRAINDELTA_SHARED")
    return folder
