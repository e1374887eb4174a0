"""Shared fixtures: a private home for every test, free ports, the public corpora where present."""

import os
import socket
from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty AIOPS_HOME."""
    folder = tmp_path / "aiops-home"
    folder.mkdir()
    return folder


@pytest.fixture
def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Return the folder of the public corpora, or skip."""
    root = Path(os.environ.get("AIOPS_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"public data not found at {root}; set AIOPS_DATA to its folder")
    return root
