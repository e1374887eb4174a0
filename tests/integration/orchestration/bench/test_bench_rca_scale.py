"""`aiops bench rca-scale`, small: connected graphs, the root found, time that grows no faster than edges by far."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.rca.baseline import medians_of
from orchestration.bench.load.rca_scale import bench_rca_scale, measured, system_of, telemetry
from orchestration.cli import run as aiops
from tests.testing.deadlines import within


def silent(_: str) -> None:
    """Say nothing."""


@pytest.mark.parametrize("size", [10, 50, 200])
def test_a_system_is_one_component_of_the_size_asked(size: int) -> None:
    system = system_of(size, 1)
    assert len(system.services) == size
    assert set(system.graph.components().values()) == {0}
    assert sorted(system.deepest_first) == sorted(system.calls)
    last_made = {caller: place for place, (caller, _) in enumerate(system.deepest_first)}
    assert all(last_made.get(callee, -1) < place for place, (_, callee) in enumerate(system.deepest_first))


def test_trouble_reaches_callers_and_nobody_else() -> None:
    system, root = system_of(50, 1), 7
    callers = {root}
    for caller, callee in system.deepest_first:
        callers |= {caller} if callee in callers else set()
    calm = telemetry(system, 50, None).values.reshape(50, 50, 4)[:, :, 2].mean(axis=0)
    slow = telemetry(system, 50, root).values.reshape(50, 50, 4)[:, :, 2].mean(axis=0)
    strayed = set(np.flatnonzero(slow - calm > 4.0 * system.own_s[root]).tolist())
    assert strayed == callers
    assert 1 < len(callers) < 50


def test_the_root_is_found_on_every_size_and_sizes_are_written(tmp_path: Path) -> None:
    figures = bench_rca_scale(tmp_path / "sizes.jsonl", silent, (50, 400))
    assert [size.services for size in figures.sizes] == [50, 400]
    assert all(size.top1 >= 0.8 for size in figures.sizes)
    assert figures.growth_exponent < 1.5
    lines = [json.loads(line) for line in (tmp_path / "sizes.jsonl").read_text().splitlines()]
    assert [line["services"] for line in lines] == [50, 400]


def test_medians_leave_out_what_is_not_known() -> None:
    values = np.array([[1.0, np.nan, np.nan, np.inf], [3.0, 5.0, np.nan, 2.0], [2.0, 1.0, np.nan, 4.0], [9.0, 3.0, np.nan, 1.0]])
    np.testing.assert_array_equal(medians_of(values), [2.5, 3.0, np.nan, 2.0])
    assert np.isnan(medians_of(np.empty((0, 2)))).all()


@pytest.mark.slow
def test_five_thousand_services() -> None:
    assert measured(system_of(5000, 1)).seconds_per_incident < within(3.0)


def test_the_command_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert aiops(["bench", "rca-scale", "--help"]) == 0
    assert "5,000 services" in capsys.readouterr().out
