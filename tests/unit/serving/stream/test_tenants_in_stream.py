"""Tenants of one partition never touch one another: not by their clocks, not by their limits, not by equal names."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aiops.detection.levels import CATALOGUE_VERSION, CatalogueLevels, Tier1
from aiops.features.engine import EngineConfig
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.codec import encode
from data_contracts.values.moments import microseconds_of
from serving.stream import streams
from serving.stream.consumer.checkpoint import state_hash
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.second_opinion import Watched
from serving.stream.consumer.tenant_partitions import TenantPartitions, TenantsConfig
from serving.stream.partitioning import home_of, partitions_of
from tests.testing.stream_harness import GRAPH, METRICS, SERVICES, batches

MAX_SERIES = len(SERVICES) * len(METRICS)
AHEAD = timedelta(hours=1)
HOUR_US = 3_600_000_000
TABLES = ("candidates", "rejected", "series_features", "service_features")


def config(max_tenants: int = 8) -> TenantsConfig:
    """Return a configuration with room for exactly the series of one tenant."""
    tier1 = Tier1(CatalogueLevels(), CATALOGUE_VERSION)
    engine = EngineConfig(max_series=MAX_SERIES)
    of_tenant = PartitionConfig(engine, GRAPH, tier1, 60_000_000, 30_000_000, 60_000_000, 300, MAX_SERIES, Watched(True, True))
    return TenantsConfig(of_tenant, lambda _: GRAPH, max_tenants)


def entries(tenant: str, ahead: timedelta = timedelta(0), more: int = 0, seed: int = 5) -> list[streams.Entry]:
    """Return telemetry of a tenant whose clock is `ahead`, `more` metrics added to those that all have."""
    made = []
    for batch in batches(12, seed=seed):
        if batch.rows is None:
            continue
        moved = pc.add(batch.rows["timestamp"], pa.scalar(ahead, pa.duration("us")))
        tables = [batch.rows.set_column(0, "timestamp", moved)]
        extra = tables[0].slice(0, MAX_SERIES)
        tables += [extra.set_column(2, "metric", pa.array([f"own_{number}"] * extra.num_rows)) for number in range(more)]
        payload = encode(pa.concat_tables(tables))
        at = microseconds_of(batch.available_at + ahead)
        made.append(streams.Entry(f"{len(made) + 1}-0", streams.KIND_TELEMETRY, payload, 0, at, tenant))
    return made


def mixed(*tenants: Sequence[streams.Entry]) -> list[streams.Entry]:
    """Return the entries of several tenants in turn."""
    return [entry for turn in itertools.zip_longest(*tenants) for entry in turn if entry is not None]


def run(partition: TenantPartitions, sent: Sequence[streams.Entry], at_a_time: int = 5) -> dict[str, Step]:
    """Return what the entries gave, by tenant."""
    whole: dict[str, Step] = {}
    for first in range(0, len(sent), at_a_time):
        for tenant, step in partition.apply(sent[first : first + at_a_time]).items():
            whole.setdefault(tenant, Step()).extend(step)
    return whole


def written(step: Step) -> tuple[Counter[str], list[bytes]]:
    """Return everything that a step gave, as bytes."""
    tables = [getattr(step, name) for name in TABLES]
    return step.counts, [streams.to_ipc(pa.Table.from_batches(rows).combine_chunks()) if rows else b"" for rows in tables]


def test_a_tenant_an_hour_ahead_with_too_many_series_changes_nothing_of_another() -> None:
    quiet = entries("quiet")
    alone = run(TenantPartitions(config()), quiet)["quiet"]
    both = run(TenantPartitions(config()), mixed(entries("loud", ahead=AHEAD, more=3, seed=6), quiet))
    assert both["loud"].counts["rejected.too_many_series"] > 0
    assert both["loud"].counts["points_scored"] > 0
    assert alone.counts["points_scored"] > 0
    assert alone.counts["rejected.too_many_series"] == 0
    assert alone.candidates
    assert written(both["quiet"]) == written(alone)


def test_control_in_one_engine_the_clock_and_the_limit_of_one_spoil_the_other() -> None:
    quiet = [replace(entry, tenant="one") for entry in entries("quiet")]
    loud = [replace(entry, tenant="one") for entry in entries("loud", ahead=AHEAD, more=3, seed=6)]
    alone = run(TenantPartitions(config()), quiet)["one"]
    both = run(TenantPartitions(config()), mixed(loud, quiet))["one"]
    assert alone.counts["rejected.too_many_series"] == 0 < both.counts["rejected.too_many_series"]
    assert both.counts["rejected.too_late"] > 10 * max(1, alone.counts["rejected.too_late"])
    assert written(both)[1] != written(alone)[1]


@pytest.mark.parametrize("at_a_time", [1, 3, 1000])
def test_any_cut_with_a_restore_at_each_gives_the_same_bytes(at_a_time: int) -> None:
    sent = mixed(entries("a"), entries("b", ahead=AHEAD, seed=6), entries(DEFAULT_TENANT, seed=7))
    partition = TenantPartitions(config())
    whole = run(partition, sent)
    cut, made = TenantPartitions(config()), dict[str, Step]()
    for first in range(0, len(sent), at_a_time):
        for tenant, step in cut.apply(sent[first : first + at_a_time]).items():
            made.setdefault(tenant, Step()).extend(step)
        cut = TenantPartitions.restore(config(), cut.snapshot())
    assert cut.tenants == partition.tenants == ("a", "b", DEFAULT_TENANT)
    assert {tenant: written(step) for tenant, step in made.items()} == {name: written(step) for name, step in whole.items()}
    again = TenantPartitions.restore(config(), partition.snapshot())
    assert state_hash(again.snapshot()) == state_hash(cut.snapshot())


def test_tenants_beyond_the_limit_are_rejected_with_a_reason_and_the_others_go_on() -> None:
    partition = TenantPartitions(config(max_tenants=2))
    steps = run(partition, mixed(entries("a"), entries("b"), entries("c")))
    assert partition.tenants == ("a", "b")
    refused = steps["c"]
    assert refused.counts["points_in"] == refused.counts["points_rejected"] == refused.counts["rejected.too_many_tenants"] > 0
    assert refused.counts["points_in"] == steps["a"].counts["points_in"]
    row = refused.rejected[0].to_pylist()[0]
    assert (row["reason"], row["field"]) == ("too_many_tenants", "tenant")
    assert "AIOPS_TELEMETRY__MAX_TENANTS" in row["detail"]
    assert '"service"' in row["row"]
    assert written(steps["a"]) == written(run(TenantPartitions(config()), entries("a"))["a"])


@pytest.mark.parametrize("at_a_time", [1, 7, 1000])
def test_a_tenant_that_nothing_came_of_for_long_gives_its_place_to_a_new_one(at_a_time: int) -> None:
    few = replace(config(max_tenants=2), idle_us=HOUR_US)
    sent = [*mixed(entries("a"), entries("b")), *mixed(entries("c", ahead=3 * AHEAD), entries("b", ahead=3 * AHEAD))]
    partition, made = TenantPartitions(few), dict[str, Step]()
    for first in range(0, len(sent), at_a_time):
        for tenant, step in partition.apply(sent[first : first + at_a_time]).items():
            made.setdefault(tenant, Step()).extend(step)
        partition = TenantPartitions.restore(few, partition.snapshot())
    assert partition.tenants == ("b", "c")
    assert made["c"].counts["rejected.too_many_tenants"] == 0
    assert made["c"].counts["points_scored"] > 0
    wide = run(TenantPartitions(config()), sent)
    assert written(made["a"]) == written(wide["a"])
    assert written(made["b"]) == written(wide["b"])
    assert written(made["c"]) == written(wide["c"])


def test_a_tenant_that_still_sends_keeps_its_place() -> None:
    few = replace(config(max_tenants=2), idle_us=HOUR_US)
    sent = [*mixed(entries("a"), entries("b")), *entries("c", ahead=AHEAD / 4)]
    partition = TenantPartitions(few)
    assert run(partition, sent)["c"].counts["rejected.too_many_tenants"] > 0
    assert partition.tenants == ("a", "b")


def test_what_names_no_tenant_comes_into_the_dead_letters_of_the_default_one() -> None:
    own = entries(DEFAULT_TENANT)
    steps = run(TenantPartitions(config()), [*own, replace(own[0], tenant="../etc", source="x 1-0")])
    assert set(steps) == {DEFAULT_TENANT}
    assert steps[DEFAULT_TENANT].counts["rejected.undecodable"] == 1
    assert "tenant '../etc'" in steps[DEFAULT_TENANT].rejected[-1].to_pylist()[0]["detail"]


def test_a_snapshot_of_version_0_1_is_that_of_the_default_tenant() -> None:
    sent = entries(DEFAULT_TENANT)
    before = Partition.new(config().partition)
    first = before.apply(sent[:6])
    after = TenantPartitions.restore(config(), before.snapshot())
    rest = run(after, sent[6:])[DEFAULT_TENANT]
    first.extend(rest)
    assert after.tenants == (DEFAULT_TENANT,)
    assert written(first) == written(run(TenantPartitions(config()), sent)[DEFAULT_TENANT])


def test_series_spread_and_tenants_have_homes() -> None:
    ids = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 10_000)
    counts = np.bincount(partitions_of(ids, 8), minlength=8)
    assert counts.min() > 1100
    assert home_of(DEFAULT_TENANT, 8) == 0
    assert len({home_of(f"tenant-{number}", 8) for number in range(40)}) > 4
