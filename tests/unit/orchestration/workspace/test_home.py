"""A run clears what a run made, and nothing else."""

from pathlib import Path

import pytest

from aiops.errors import ConfigurationError
from orchestration.rehearsal.run import fresh_home
from orchestration.workspace.home_lock import keep_for_good


def test_a_home_made_by_a_run_is_cleared_but_for_its_logs(home: Path) -> None:
    fresh_home(home, keep=False)
    (home / "lake").mkdir()
    (home / "logs").mkdir()
    fresh_home(home, keep=False)
    assert not (home / "lake").exists()
    assert (home / "logs").exists()


def test_a_home_with_other_data_is_refused(home: Path) -> None:
    (home / "lake").mkdir()
    with pytest.raises(ConfigurationError, match="did not make"):
        fresh_home(home, keep=False)
    assert (home / "lake").exists()


def test_adding_to_other_data_does_not_make_it_clearable(home: Path) -> None:
    (home / "lake").mkdir()
    fresh_home(home, keep=True)
    with pytest.raises(ConfigurationError, match="did not make"):
        fresh_home(home, keep=False)


def test_what_came_after_a_run_is_kept(home: Path) -> None:
    fresh_home(home, keep=False)
    (home / "lake").mkdir()
    keep_for_good(home)
    with pytest.raises(ConfigurationError, match="did not make"):
        fresh_home(home, keep=False)
