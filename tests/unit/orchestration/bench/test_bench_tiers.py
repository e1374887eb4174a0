"""The bench of the tiers: what it counts and how it judges, on a small stage 1 and on calls whose cost is known."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest

from orchestration.bench.load.tier_probes import Probe, Stage1Run, probe_service, tree_cpu_s
from orchestration.bench.load.tiers import TARGET_MS, _figures, _left, _write
from orchestration.bench.load.tiers_world import WorldConfig, _scenario, ticks, warm_start
from tests.unit.serving.stream.test_confirmation import batch, candidate

SMALL = WorldConfig(seed=3, services=3, history_h=4.0, replay_h=1.0)


def test_ticks_are_all_points_once_and_in_order() -> None:
    scenario = _scenario(SMALL)
    split = scenario.split
    parts = list(ticks(scenario, split.replay_start, split.replay_end))
    times = [part.column("timestamp").unique().to_pylist() for part in parts]
    assert all(len(tick_times) == 1 for tick_times in times)
    assert times == sorted(times)
    whole = sum(chunk.num_rows for chunk in scenario.source.batches(split.replay_start, split.replay_end))
    assert sum(part.num_rows for part in parts) == whole > 0
    assert split.history_start < warm_start(scenario) < split.replay_start


def test_a_probe_measures_each_call_and_the_cost_of_all() -> None:
    clock = iter([1.0, 3.0])
    asked: list[int] = []
    probe = probe_service(lambda rows: asked.append(rows.num_rows), [batch(candidate("cpu")), batch()], lambda: next(clock), 50)
    assert probe.latency_ms.shape == (50,)
    assert (probe.rows, probe.cpu_s, probe.cpu_us_per_row) == (50, 2.0, 40_000.0)
    assert set(asked) == {1}, "an empty tick asks nobody"
    nothing = probe_service(lambda _: None, [batch()], lambda: 0.0, 5)
    assert (nothing.rows, np.isnan(nothing.quantile_ms(0.5))) == (0, True)


def test_processor_time_grows_with_work() -> None:
    import os

    before = tree_cpu_s(os.getpid())
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert tree_cpu_s(os.getpid()) - before >= 0.03


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_the_99th_percentile_is_held_against_the_target(tier: int) -> None:
    quick, slow = np.full(100, TARGET_MS[tier] / 2), np.full(100, TARGET_MS[tier] / 2)
    slow[:3] = 2 * TARGET_MS[tier]
    assert _figures(tier, Probe(quick, 10, 1.0)).met
    assert not _figures(tier, Probe(slow, 10, 1.0)).met
    assert not _figures(tier, Probe(np.array([np.nan]), 0, 0.0)).met, "what was not measured meets no target"


def test_only_candidates_with_a_point_leave_tier_1() -> None:
    rows = [batch(candidate("cpu"), candidate(None, flagged=False, scheduled=True)), batch(candidate("cpu", False, True))]
    assert _left(Stage1Run(Probe(np.ones(1), 100, 1.0), rows, 100)) == (0.02, 0.01)
    assert _left(Stage1Run(Probe(np.ones(1), 0, 0.0), [], 0)) == (0.0, 0.0)


def test_the_table_is_written(tmp_path: Path) -> None:
    out = tmp_path / "new" / "tiers.csv"
    _write(out, [_figures(tier, Probe(np.array([1.0]), 2, 1e-6)) for tier in (1, 2)])
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["tier"], row["p99_ms"], row["cpu_us_per_row"], row["met"]) for row in rows] == [
        ("1", "1.0", "0.5", "True"),
        ("2", "1.0", "0.5", "True"),
    ]
