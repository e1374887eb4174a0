"""Deadlines of tests and of `aiops run` grow with how busy the machine is, and say so; no test has a fixed one."""

import ast
import os
from collections.abc import Iterator, Mapping, Set
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


WAITS = {"wait": 0, "join": 0, "result": 0, "settimeout": 0, "wait_for": 1, "create_connection": 1}
"""Calls that wait, and which of their arguments says how long."""
CLOCKS = ("monotonic() +", "perf_counter() +")
STRETCHING = ("serving_harness", "stream_harness")
"""Where functions that stretch the seconds which they are given come from."""


def number_of(node: ast.expr, named: Mapping[str, float]) -> float | None:
    """Return what a number, or the name of one, says; None for anything else."""
    if isinstance(node, ast.Name):
        return named.get(node.id)
    known = isinstance(node, ast.Constant) and isinstance(node.value, int | float)
    return float(node.value) if known else None


def named_numbers(tree: ast.Module) -> dict[str, float]:
    """Return the numbers that a module gives names to."""
    named: dict[str, float] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        number = number_of(node.value, {}) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value else None
        if isinstance(target, ast.Name) and number is not None:
            named[target.id] = number
    return named


def stretching(tree: ast.Module) -> set[str]:
    """Return the names of functions that stretch what they are given: imported ones, and those that use a Deadline."""
    modules = (node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(STRETCHING))
    own = (node.name for node in tree.body if isinstance(node, ast.FunctionDef) and "Deadline(" in ast.unparse(node))
    return {alias.name for node in modules for alias in node.names} | set(own)


def waits_of(call: ast.Call, stretched: Set[str]) -> list[ast.expr]:
    """Return the arguments of a call that say how long it waits."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    place = len(call.args) if name in stretched else WAITS.get(name, len(call.args))
    return call.args[place : place + 1] + [keyword.value for keyword in call.keywords if keyword.arg == "timeout"]


def counts_pauses(node: ast.AST) -> bool:
    """Return whether a loop waits for something by a fixed number of pauses."""
    fixed = isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == "_"
    text = ast.unparse(node) if fixed else ""
    return "range(" in text and "break" in text and ("sleep(" in text or ".wait(" in text)


def fixed_deadlines(path: Path) -> Iterator[str]:
    """Yield calls with a fixed number of seconds, a pause of up to a second aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named, stretched = named_numbers(tree), stretching(tree)
    for node in ast.walk(tree):
        given = [number_of(argument, named) for argument in waits_of(node, stretched)] if isinstance(node, ast.Call) else []
        if isinstance(node, ast.BinOp) and any(clock in ast.unparse(node) for clock in CLOCKS):
            given = [number_of(node.right, named)]
        if any(number is not None and number > 1 for number in given) or counts_pauses(node):
            yield f"{path.name}:{node.lineno}: {ast.unparse(node)[:80]}"  # type: ignore[attr-defined]


def test_no_test_has_a_fixed_deadline(tmp_path: Path) -> None:
    lines = [line for path in TESTS.rglob("*.py") if "benchmarks" not in path.parts for line in fixed_deadlines(path)]
    assert lines == [], "wrap the seconds in tests.testing.deadlines.within"
    control = tmp_path / "control.py"
    fixed = (
        "process.wait(30)",
        "httpx.get(url, timeout=2)",
        "end = time.monotonic() + 5",
        "process.wait(LONG_S)",
        "socket.recv(timeout=LONG_S)",
        "asyncio.wait_for(work(), 20)",
        "for _ in range(100):\n    if done():\n        break\n    time.sleep(0.05)",
    )
    sound = ("LONG_S: Final = 60.0", "stop.wait(0.1)", "process.wait(within(LONG_S))", "wait_for(ready, 60, why)")
    harness = "from tests.testing.serving_harness import wait_for"
    control.write_text("\n".join((*sound, *fixed)).replace("wait_for(ready, 60, why)", ""))
    assert len(list(fixed_deadlines(control))) == len(fixed)
    control.write_text("\n".join((harness, *sound)))
    assert not list(fixed_deadlines(control))
