"""Every example in a docstring of the rooms gives what it says; in a process of its own, as importing libraries changes it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = ("data_contracts", "aiops", "models", "serving", "orchestration")
PROGRAM = """
import doctest, importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
names = [found.name for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
chosen = [name for name in names if not name.endswith((".__main__", ".migrations.env")) and "_pb2" not in name]
outcomes = [doctest.testmod(importlib.import_module(name)) for name in chosen]
print(sum(outcome.failed for outcome in outcomes), sum(outcome.attempted for outcome in outcomes))
"""


@pytest.mark.parametrize("room", ROOMS)
def test_examples_in_docstrings_are_true(room: str) -> None:
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", PROGRAM, room], cwd=root, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    failed, attempted = map(int, answer.stdout.splitlines()[-1].split())
    assert failed == 0, answer.stdout
    assert attempted > 0
