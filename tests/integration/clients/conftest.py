"""Fixtures of tests with real clients: a receiver of its own for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testing.receiver_harness import Receiver, receiver_settings


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """Return a running receiver with a broker of its own, both empty."""
    home = tmp_path / "home"
    home.mkdir()
    with Receiver(receiver_settings(home)) as started:
        yield started
