"""Kernels compiled beforehand are all that the processes need: nothing is compiled at their start."""

import os
import subprocess
import sys
from pathlib import Path

from tests.testing.deadlines import within


def test_a_second_build_compiles_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": "generic"}  # none beside the sources fit
    command = (sys.executable, "-m", "orchestration.suite.kernel_build", "scorer")
    subprocess.run(command, env=environment, check=True, timeout=within(120))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ci]")}
    assert kept
    subprocess.run(command, env=environment, check=True, timeout=within(120))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ci]")} == kept
