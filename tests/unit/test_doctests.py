"""Every example in a docstring of the rooms gives what it says; in a process of its own, as importing libraries changes it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOMS = ("data_contracts", "aiops", "models", "serving", "orchestration")
PROGRAM = """
import doctest, importlib, json, pkgutil, sys
counts = {}
for room in map(importlib.import_module, sys.argv[1:]):
    names = [found.name for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
    chosen = [name for name in names if not name.endswith((".__main__", ".migrations.env")) and "_pb2" not in name]
    outcomes = [doctest.testmod(importlib.import_module(name)) for name in chosen]
    counts[room.__name__] = [sum(outcome.failed for outcome in outcomes), sum(outcome.attempted for outcome in outcomes)]
print(json.dumps(counts))
"""


@dataclass(frozen=True)
class Outcomes:
    """(failed, attempted) examples of each room, and what was printed about those that failed."""

    counts: dict[str, tuple[int, int]]
    said: str


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """Run the examples of all rooms in one process: importing takes longer than they do."""
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", PROGRAM, *ROOMS], cwd=root, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return Outcomes(json.loads(answer.stdout.splitlines()[-1]), answer.stdout)


@pytest.mark.parametrize("room", ROOMS)
def test_examples_in_docstrings_are_true(outcomes: Outcomes, room: str) -> None:
    failed, attempted = outcomes.counts[room]
    assert failed == 0, outcomes.said
    assert attempted > 0
