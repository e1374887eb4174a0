"""Deadlines of tests and of `aiops run` grow with how busy the machine is, and say so; no test has a fixed one."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.suite import load_timeout
from orchestration.suite.load_timeout import Patience, busyness
from tests.testing.deadlines import MOST, PATIENCE, REFERENCE_S, Deadline, Machine, work

TESTS = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_factor_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATIENCE, raising=False)


def machine(*times_slower: float) -> Machine:
    """Return a machine whose measurements are these, three in a row each; the last one holds."""
    measured = [value * REFERENCE_S for value in times_slower for _ in range(3)]
    return Machine(lambda: measured.pop(0) if len(measured) > 1 else measured[0])


def test_a_slow_machine_gets_more_time_and_a_fast_one_no_less() -> None:
    assert machine(4.0).factor() == pytest.approx(4.0)
    assert machine(0.5).factor() == 1.0
    assert machine(1e9).factor() == MOST


def test_the_busiest_measurement_of_the_session_counts() -> None:
    ours = machine(2.0, 5.0, 3.0)
    assert [round(ours.factor(anew=True), 6) for _ in range(3)] == [2.0, 5.0, 5.0]


def test_a_deadline_that_runs_out_looks_again_and_tells() -> None:
    ours = machine(1.0, 3.0)
    assert ours.factor() == 1.0
    late = Deadline(10.0, ours)
    late.began -= 20.0
    assert not late.passed, "the machine is three times as busy by now"
    late.began -= 20.0
    assert late.passed
    (line,) = ours.ran_out
    assert line.startswith("a deadline of 10 s ran out after 40 s: this machine takes 3.0 times as long")


def test_the_factor_can_be_set_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE, "7.5")
    assert machine(1.0).factor() == 7.5


def test_the_work_is_of_the_size_that_was_measured() -> None:
    before = os.times().user
    for _ in range(10):
        work()
    assert 0.1 < (os.times().user - before) / 10 / REFERENCE_S < 10.0


def test_limits_of_a_run_grow_with_the_load_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_timeout, "busyness", lambda: 1.0)
    assert (Patience(90.0).limit_s, str(Patience(90.0))) == (90.0, "90 s")
    monkeypatch.setattr(load_timeout, "busyness", lambda: 2.5)
    assert Patience(90.0).limit_s == 225.0
    assert str(Patience(90.0)) == "225 s (90 s stretched 2.5 times, for so many processes wait for each core)"
    assert 1.0 <= busyness() <= load_timeout.MOST


def fixed_deadlines(path: Path) -> Iterator[str]:
    """Yield calls with a fixed number of seconds, a pause of up to a second aside."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            waits = node.args[:1] if node.func.attr in {"wait", "join", "result"} else []
            waits += [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
            for given in waits:
                if isinstance(given, ast.Constant) and isinstance(given.value, int | float) and given.value > 1:
                    yield f"{path.name}:{node.lineno}: {ast.unparse(node)[:80]}"
        if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and "monotonic() + " in ast.unparse(node):
            yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def test_no_test_has_a_fixed_deadline(tmp_path: Path) -> None:
    lines = [line for path in TESTS.rglob("*.py") if "benchmarks" not in path.parts for line in fixed_deadlines(path)]
    assert lines == [], "wrap the seconds in tests.testing.deadlines.within"
    control = tmp_path / "control.py"
    fixed = ("process.wait(30)", "httpx.get(url, timeout=2)", "end = time.monotonic() + 5")
    control.write_text("\n".join((*fixed, "stop.wait(0.1)", "process.wait(within(30))")))
    assert len(list(fixed_deadlines(control))) == 3
