"""100,000 damaged bodies of each format: no crash, no read past the body's end, every row that is named exists."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.deadlines import within
from tests.testing.wire_bodies import REQUESTS
from tests.testing.wire_fuzz import JSON

ROOT = Path(__file__).parents[4]
BODIES = 100_000
READ_ON = """
from tests.testing.wire_fuzz import GuardedMemory
import ctypes
body = GuardedMemory(10).placed(b"0123456789")
address = ctypes.addressof(ctypes.c_char.from_buffer(body))
print(ctypes.string_at(address + {offset}, 1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", [*sorted(REQUESTS), JSON])
def test_damaged_bodies_are_refused_or_read(form: str) -> None:
    command = [sys.executable, "-m", "tests.testing.wire_fuzz", form, str(BODIES), "20260302"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=within(120.0))
    assert answer.returncode == 0, answer.stderr[-2000:]
    counts = json.loads(answer.stdout)
    assert counts["bodies"] == BODIES
    assert 0 < counts["refused"] < BODIES
    assert min(counts["with_faults"], counts["points"], counts["described"]) > 0


@pytest.mark.parametrize(("offset", "survives"), [(9, True), (10, False)])
def test_a_process_that_reads_on_does_not_survive(offset: int, survives: bool) -> None:
    command = [sys.executable, "-c", READ_ON.format(offset=offset)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=within(60.0))
    assert (answer.returncode == 0) is survives
