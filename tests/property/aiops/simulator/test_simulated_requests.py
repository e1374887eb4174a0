"""Simulated log lines and spans: they replay bit for bit, hang together, follow the metrics, and show gray faults."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.signals.span_edges import edges_of
from aiops.signals.span_rows import SPAN_ROWS
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import GRAY_KINDS, GrayKind, ScriptedIncident, SimulationConfig
from data_contracts.schemas.wire_schemas import LOGS, SPANS

SEEDS = st.integers(0, 2**64 - 1)
WARM_MIN = 90.0
"""Quiet minutes before the fault of a test."""


def whole(simulation: Simulation) -> tuple[pa.Table, pa.Table]:
    """Return all lines and all spans."""
    parts = list(simulation.requests())
    return pa.concat_tables([part.logs for part in parts]), pa.concat_tables([part.spans for part in parts])


def by_id(rows: pa.Table) -> pa.Table:
    keys = [(name, "ascending") for name in ("log_id", "trace_id", "span_id") if name in rows.column_names]
    return rows.sort_by(keys).combine_chunks()


def faulty(seed: int, kind: GrayKind, service: str) -> SimulationConfig:
    fault = ScriptedIncident(kind, WARM_MIN, service, duration_min=40.0)
    return SimulationConfig(
        seed=seed, services=8, hours=2.5, traces_per_min=60.0, incidents_per_day=0.0, decoys_per_day=0.0, scripted=(fault,)
    )


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, services=st.integers(3, 50), applications=st.integers(1, 3), step_s=st.sampled_from([7, 60, 300]))
def test_same_config_gives_the_same_rows_in_their_schemas(seed: int, services: int, applications: int, step_s: int) -> None:
    applications = min(applications, services // 3)
    config = SimulationConfig(
        seed=seed, services=services, hours=1.0, step_s=step_s, applications=applications, gray_per_day=12.0
    )
    logs, spans = whole(simulate(config))
    assert (logs.schema, spans.schema) == (LOGS, SPANS)
    assert all(ours.equals(theirs) for ours, theirs in zip(whole(simulate(config)), (logs, spans), strict=True))
    logs.validate(full=True)
    spans.validate(full=True)
    assert len(logs["log_id"].unique()) == logs.num_rows
    assert len(spans["span_id"].unique()) == spans.num_rows
    if step_s < 300:
        assert not whole(simulate(replace(config, seed=(seed + 1) % 2**64)))[0].equals(logs)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, cuts=st.lists(st.integers(0, 600), max_size=4), step_s=st.sampled_from([1, 60]))
def test_cuts_change_nothing(seed: int, cuts: list[int], step_s: int) -> None:
    config = SimulationConfig(seed=seed, services=5, hours=600 * step_s / 3600, step_s=step_s, traces_per_min=600 / step_s)
    simulation = simulate(config)
    places = [config.start + timedelta(seconds=step_s * cut) for cut in sorted([0, *cuts, 600])]
    parts = [part for begin, end in pairwise(places) for part in simulation.requests(begin, end)]
    logs, spans = whole(simulation)
    assert by_id(pa.concat_tables([part.logs for part in parts])).equals(by_id(logs))
    assert by_id(pa.concat_tables([part.spans for part in parts])).equals(by_id(spans))


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, services=st.integers(3, 20))
def test_spans_hang_together_and_lines_lie_in_them(seed: int, services: int) -> None:
    simulation = simulate(SimulationConfig(seed=seed, services=services, hours=2.0))
    logs, spans = (table.to_pandas() for table in whole(simulation))
    spans["end"] = spans["timestamp"] + pd.to_timedelta(spans["duration_us"], unit="us")
    children = spans[spans["parent_id"].notna()]
    pairs = children.merge(spans, left_on=["trace_id", "parent_id"], right_on=["trace_id", "span_id"], suffixes=("", "_above"))
    assert len(pairs) == len(children)
    waited = pairs[pairs["kind"] != "consumer"]
    assert (waited["timestamp"] >= waited["timestamp_above"]).all()
    assert (waited["end"] <= waited["end_above"]).all()
    calls = {(edge.caller, edge.callee) for edge in simulation.plan.topology.edges}
    names = simulation.services
    crossing = pairs[pairs["service"] != pairs["service_above"]]
    assert {
        (names.index(caller), names.index(callee))
        for caller, callee in zip(crossing["service_above"], crossing["service"], strict=True)
    } <= calls
    lines = logs.merge(spans, on=["trace_id", "span_id"], suffixes=("", "_span"))
    assert len(lines) == len(logs)
    assert (lines["service"] == lines["service_span"]).all()
    assert (lines["timestamp"] >= lines["timestamp_span"]).all()
    assert (lines["timestamp"] <= lines["end"]).all()


def test_rates_errors_and_latencies_are_those_of_the_metrics() -> None:
    simulation = simulate(SimulationConfig(seed=3, services=10, hours=24.0, traces_per_min=30.0, incidents_per_day=0.0))
    telemetry = pa.concat_tables(list(simulation.telemetry())).to_pandas()
    metrics = telemetry.groupby(["service", "metric"], observed=True)["value"].median().unstack()
    spans = whole(simulation)[1]
    entry = simulation.plan.topology.entries[0]
    edges = edges_of(spans.select(SPAN_ROWS.names)).to_pandas()
    rows = spans.to_pandas()
    served = rows[rows["kind"].isin(["server", "consumer"])]
    seconds, kept = 86_400.0, simulation.traffic.kept_share(entry)
    for name in simulation.services:
        own = served[served["service"] == name]
        traffic = telemetry[(telemetry["service"] == name) & (telemetry["metric"] == "requests_per_second")]["value"].mean()
        assert len(own) / kept / seconds == pytest.approx(traffic, rel=0.1), name
        assert (own["status"] == "error").mean() == pytest.approx(metrics.loc[name, "error_rate"], abs=0.003), name
        ratio = own["duration_us"].median() / 1000 / metrics.loc[name, "latency_p50_ms"]
        assert 0.6 < ratio < 4.0, name  # calls may take longer than the service's own metric leaves room for
    stores = [simulation.services[store] for store in simulation.plan.topology.stores]
    for name in stores:  # nothing below them: their latency is the metric's
        own_ms = served[served["service"] == name]["duration_us"].median() / 1000
        assert own_ms == pytest.approx(metrics.loc[name, "latency_p50_ms"], rel=0.1)
    calls = edges.groupby("callee")["calls"].sum() / seconds
    for name in stores:
        traffic = telemetry[(telemetry["service"] == name) & (telemetry["metric"] == "requests_per_second")]["value"].mean()
        assert calls[name] == pytest.approx(traffic, rel=0.1)


def test_an_incident_shows_in_the_spans_of_its_root() -> None:
    slow = ScriptedIncident("slow_dependency", WARM_MIN, "payments-db", duration_min=40.0)
    failing = ScriptedIncident("disk_fill", 3 * WARM_MIN, "payments-db", buildup_min=30.0, duration_min=40.0)
    config = SimulationConfig(services=8, hours=6.0, traces_per_min=60.0, incidents_per_day=0.0, scripted=(slow, failing))
    simulation = simulate(config)
    logs, spans = (table.to_pandas() for table in whole(simulation))
    own = spans[(spans["service"] == "payments-db") & (spans["kind"] == "server")]

    def during(rows: pd.DataFrame, start_min: float) -> pd.DataFrame:
        start = config.start + timedelta(minutes=start_min)
        return rows[(rows["timestamp"] >= start + timedelta(minutes=3)) & (rows["timestamp"] < start + timedelta(minutes=40))]

    assert during(own, WARM_MIN)["duration_us"].median() > 2.0 * during(own, 20.0)["duration_us"].median()
    assert (during(own, 3 * WARM_MIN)["status"] == "error").mean() > 0.05 > (during(own, 20.0)["status"] == "error").mean()
    words = during(logs[logs["service"] == "payments-db"], 3 * WARM_MIN)["body"]
    assert words.str.contains("No space left on device").any()
    assert not during(logs, 20.0)["body"].str.contains("No space left on device").any()


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(GRAY_KINDS))
def test_gray_faults_change_no_metric(seed: int, kind: GrayKind) -> None:
    config = faulty(seed, kind, "checkout")
    ours, theirs = (
        pa.concat_tables(list(simulate(each).telemetry())) for each in (config, replace(config, scripted=(), gray_per_day=0.0))
    )
    assert ours.equals(theirs)


class Around:
    """Lines and spans of the root before its fault and while it lasts, of one kind."""

    def __init__(self, seed: int, kind: GrayKind) -> None:
        config = faulty(seed, kind, "checkout")
        self.simulation = simulate(config)
        logs, spans = whole(self.simulation)
        self._begin = config.start + timedelta(minutes=WARM_MIN)
        self.logs, self.spans = logs.to_pandas(), spans.to_pandas()

    def parts(self, rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Yield what was before the fault, and what is in it."""
        yield rows[rows["timestamp"] < self._begin]
        yield rows[(rows["timestamp"] >= self._begin) & (rows["timestamp"] < self._begin + timedelta(minutes=40))]

    def is_awaited(self) -> bool:
        """Return whether a caller of the root waits for its answers."""
        plans, root = self.simulation.traffic.journeys.plans, self.simulation.services.index("checkout")
        return any(call.callee == root and not call.is_message for plan in plans for call in plan.calls)

    def own_lines(self) -> tuple[pd.Series, pd.Series]:
        before, inside = self.parts(self.logs[self.logs["service"] == "checkout"])
        return before["body"], inside["body"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_skipped_step_leaves_lines_out(seed: int) -> None:
    around = Around(seed, "skipped_step")
    before, inside = (
        lines.str.replace(r"[0-9a-f]{12}|\d+", "#", regex=True).value_counts(normalize=True) for lines in around.own_lines()
    )
    rarer = (inside.reindex(before.index, fill_value=0.0) / before)[before > 0.02]
    assert rarer.min() < 0.6
    noticed = around.logs["body"].str.startswith("Answer of checkout lacks a field")
    assert noticed.any() == around.is_awaited()
    assert not next(around.parts(around.logs[noticed])).size


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_handled_exception_is_written_while_errors_stay(seed: int) -> None:
    around = Around(seed, "handled_exception")
    before, inside = around.own_lines()
    assert not before.str.contains("NullPointerException").any()
    assert inside.str.contains("NullPointerException").mean() > 0.05
    served = around.spans[(around.spans["service"] == "checkout") & around.spans["kind"].isin(["server", "consumer"])]
    was, now = (part["status"].eq("error").mean() for part in around.parts(served))
    assert abs(now - was) < 0.01


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stopped_job_writes_nothing(seed: int) -> None:
    around = Around(seed, "stopped_job")
    before, inside = (lines.str.startswith("Job checkout-cleanup").sum() for lines in around.own_lines())
    assert before >= 2 * (WARM_MIN // 5 - 1)
    assert inside == 0
    others = around.logs[around.logs["body"].str.startswith("Job gateway-cleanup")]
    assert all(len(part) for part in around.parts(others))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_slow_network_shows_between_both_ends_of_calls_only(seed: int) -> None:
    around = Around(seed, "slow_network")
    spans = around.spans
    calls = spans[spans["kind"] == "server"].merge(
        spans[spans["kind"] == "client"],
        left_on=["trace_id", "parent_id"],
        right_on=["trace_id", "span_id"],
        suffixes=("", "_above"),
    )
    calls["gap_ms"] = (calls["duration_us_above"] - calls["duration_us"]) / 1000
    at_root = (calls["service"] == "checkout") | (calls["service_above"] == "checkout")
    for rows, grew in ((calls[at_root], True), (calls[~at_root], False)):
        was, now = (part["gap_ms"].median() for part in around.parts(rows))
        assert (now - was > 4.0) == grew
        assert grew or abs(now - was) < 0.2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_wrong_parameter_keeps_the_template(seed: int) -> None:
    around = Around(seed, "wrong_parameter")
    odd = r"(?<![A-Za-z])-1\b|null|localhost:0|SKU-0\b|XXX|tenant none"
    before, inside = (lines.str.contains(odd, regex=True).mean() for lines in around.own_lines())
    assert before == 0.0
    assert inside > 0.05


def test_messages_are_spans_of_producers_and_consumers_and_some_are_linked() -> None:
    rows = [whole(simulate(SimulationConfig(seed=seed, services=20, hours=1.0)))[1].to_pandas() for seed in range(5)]
    spans = pd.concat(rows)
    assert {"producer", "consumer", "internal"} <= set(spans["kind"])
    linked = spans[spans["links"].notna()]
    assert len(linked)
    assert linked["parent_id"].isna().all()
    assert set(linked["kind"]) == {"consumer"}


def test_volume_is_what_is_asked_for() -> None:
    config = SimulationConfig(seed=5, services=10, hours=12.0)
    for per_min in (2.0, 20.0):
        spans = whole(simulate(replace(config, traces_per_min=per_min)))[1]
        roots = spans.to_pandas().query("kind == 'server' and parent_id.isna()")
        assert len(roots) / 720.0 == pytest.approx(per_min, rel=0.5)  # the hours of a night and a morning
    assert not list(simulate(replace(config, traces_per_min=0.0)).requests())
    few = whole(simulate(replace(config, lines_per_request=0)))[0].num_rows
    assert few < whole(simulate(config))[0].num_rows
    assert np.isfinite(few)
