"""The stream bench with all its processes, small: every acknowledged point is committed; the fields are those promised."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.bench.load.sent_bodies import Signal
from orchestration.bench.load.stream import StreamConfig, bench_stream
from orchestration.cli import app


def test_what_was_sent_is_committed_and_every_figure_is_there(tmp_path: Path) -> None:
    command = ["bench", "stream", "--protocol", "remote_write_2", "--series", "20000", "--seconds", "1", "--no-stage1", "--json"]
    outcome = CliRunner().invoke(app, command, env={"AIOPS_HOME": str(tmp_path)})
    assert outcome.exit_code == 0, outcome.output
    figures = json.loads(outcome.stdout)
    assert {"wire_points_per_second", "stage1_points_per_second", "p99_s", "bytes_per_series"} <= set(figures)
    assert figures["wire_points_per_second"]["remote_write_2"] > 0
    assert figures["p99_s"] > 0
    (run,) = figures["runs"]
    assert set(run["cpu_s_per_million"]) == {"sender", "receiver", "broker", "consumer"}
    assert set(run["answers"]) <= {"204", "503"}
    counts = run["counts"]
    warm_points = 3 * 20_000
    assert counts["in"] == 2000 * run["answers"]["204"] + warm_points
    assert counts["in"] == sum(count for outcome_name, count in counts.items() if outcome_name != "in")
    assert counts.get("rejected", 0) == 0


@pytest.mark.parametrize("signal", ["logs", "spans"])
def test_every_line_or_span_that_was_answered_is_in_the_lake_and_in_its_minutes(signal: Signal) -> None:
    config = StreamConfig(seconds=1, signals=(signal,), services=4, records=64, in_flight=4, signal_step_s=30, stage1=False)
    (run,) = bench_stream(config, lambda _: None).runs
    assert run.points_per_second > 0
    assert set(run.cpu_s_per_million) == {"sender", "receiver", "broker", "consumer", "signals"}
    assert set(run.answers) <= {"200", "429"}
    counts = run.counts
    assert counts["stored"] == counts["logs.records" if signal == "logs" else "spans.spans"]
    assert counts["stored"] >= 3 * 60 * 64
    assert counts["points"] == counts["points_in"] > 0
    assert counts.get("points_rejected", 0) == 0
