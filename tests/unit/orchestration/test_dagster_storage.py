"""Dagster's storage in a home: opened by one at a time, so that web server and daemon can start together in a new one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestration.dagster_storage import HomeSqliteStorage


def test_a_storage_is_opened_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path / "new"))
    inside, most, together = 0, 0, threading.Barrier(4)

    def from_local(base_dir: str, inst_data: object = None) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return base_dir

    def open_storage(_: int) -> object:
        together.wait()
        return HomeSqliteStorage.from_config_value(None, {})

    monkeypatch.setattr(HomeSqliteStorage, "from_local", from_local)
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(open_storage, range(4)))
    assert opened == [str(tmp_path / "new")] * 4
    assert most == 1
