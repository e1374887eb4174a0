"""Stage 1 over several partitions: how their entries are interleaved, cut and restored never matters; it decides as over one."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.detection.levels import CATALOGUE_VERSION, CatalogueLevels, Tier1
from aiops.errors import OutdatedState
from aiops.features.engine_config import EngineConfig
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from data_contracts.values.moments import microseconds_of
from serving.ingest.row_routing import RowRouting
from serving.stream import streams
from serving.stream.consumer.checkpoint import state_hash
from serving.stream.consumer.partition import PartitionConfig
from serving.stream.consumer.partition_step import OutputPlace, Step, outputs_of
from serving.stream.consumer.second_opinion import Watched
from serving.stream.consumer.tenant_partitions import TenantPartitions, TenantsConfig
from serving.stream.consumer.tenant_services import TenantServices
from serving.stream.partitioning import home_of
from tests.testing.stream_harness import GRAPH, SERVICES, Batch, batches

TENANT = "acme"
MINUTE_US = 60_000_000


def config(partitions: int) -> TenantsConfig:
    tier1 = Tier1(CatalogueLevels(), CATALOGUE_VERSION)
    of_tenant = PartitionConfig(
        EngineConfig(warmup_s=0),
        GRAPH,
        tier1,
        MINUTE_US,
        30_000_000,
        5 * MINUTE_US,
        300,
        1000,
        Watched(True, True),
        partitions=partitions,
    )
    return TenantsConfig(of_tenant, lambda _: GRAPH, 8)


def sent_to(partitions: int, sent: Sequence[Batch]) -> list[list[streams.Entry]]:
    """Return the entries of every partition as a producer appends them."""
    routing, entries = RowRouting(partitions, 200), [list[streams.Entry]() for _ in range(partitions)]

    def append(partition: int, kind: bytes, payload: bytes, at_us: int) -> None:
        entry_id = f"{len(entries[partition]) + 1}-0"
        entries[partition].append(streams.Entry(entry_id, kind, payload, at_us * 1000, at_us, TENANT))

    for batch in sent:
        at_us = microseconds_of(batch.available_at)
        if batch.rows is not None:
            for partition, entry in routing.entries(TENANT, batch.rows, batch.available_at + timedelta(seconds=300)):
                append(partition, entry.kind, entry.payload, at_us)
        elif batch.incident:
            note = json.dumps({"service": batch.incident, "known_at_us": at_us}).encode()
            append(home_of(TENANT, partitions), streams.KIND_INCIDENT, note, at_us)
        else:
            for partition in range(partitions):
                append(partition, streams.KIND_CLOSE, json.dumps({"until_us": at_us}).encode(), at_us)
    return entries


def stage1(partitions: int, sent: Sequence[Batch]) -> tuple[list[list[streams.Entry]], Step]:
    """Return what every partition says of services, as entries, and all else that they gave."""
    said, whole = [list[streams.Entry]() for _ in range(partitions)], Step()
    for number, entries in enumerate(sent_to(partitions, sent)):
        partition = TenantPartitions(config(partitions))
        for first in range(0, len(entries), 3):
            for tenant, step in partition.apply(entries[first : first + 3]).items():
                whole.extend(step)
                outputs = outputs_of(step, OutputPlace(number, entries[first].produced_ns, tenant), archives=False)
                said[number] += [
                    streams.Entry("", output.kind, output.payload, output.produced_ns, 0, tenant)
                    for output in outputs
                    if output.stream == streams.partials(0)
                ]
            partition = TenantPartitions.restore(config(partitions), partition.snapshot())
    return said, whole


def interleaved(said: list[list[streams.Entry]], rng: np.random.Generator) -> Iterator[streams.Entry]:
    order = rng.permutation(np.repeat(np.arange(len(said)), [len(own) for own in said]))
    queues = [iter(own) for own in said]
    for number, part in enumerate(order.tolist()):
        yield replace(next(queues[part]), entry_id=f"{number + 1}-0")


def added_up(partitions: int, entries: Sequence[streams.Entry], cut: int) -> tuple[Step, str]:
    """Return what the services' stage gave for entries, restored after every `cut`, and the hash of its state."""
    services, whole = TenantServices(config(partitions)), Step()
    for first in range(0, len(entries), cut):
        for step in services.apply(entries[first : first + cut]).values():
            whole.extend(step)
        services = TenantServices.restore(config(partitions), services.snapshot())
    return whole, state_hash(services.snapshot())


def frame(batches_of_rows: Sequence[pa.RecordBatch]) -> Any:
    rows = pa.Table.from_batches(batches_of_rows).to_pandas()
    return rows.sort_values(["event_timestamp", "service"], ignore_index=True)


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 5), st.integers(0, 2**32))
def test_interleaving_cuts_and_restores_change_nothing(partitions: int, seed: int) -> None:
    said, _ = stage1(partitions, batches(25, seed=seed % 7))
    plain = [entry for own in said for entry in own]
    plain_step, state = added_up(partitions, plain, 10**6)
    rng = np.random.default_rng(seed)
    other, other_state = added_up(partitions, list(interleaved(said, rng)), int(rng.integers(1, 40)))
    assert other_state == state
    pd.testing.assert_frame_equal(frame(other.candidates), frame(plain_step.candidates), check_exact=True)
    pd.testing.assert_frame_equal(frame(other.service_features), frame(plain_step.service_features), check_exact=True)
    assert plain_step.counts["partial_sums_late"] == other.counts["partial_sums_late"] == 0
    assert plain_step.candidates
    assert frame(plain_step.candidates)["metric"].notna().any()


@pytest.mark.parametrize("partitions", [2, 3, 8])
def test_several_partitions_decide_as_one_does(partitions: int) -> None:
    sent = batches(40, seed=11)
    whole = Step()
    for step in TenantPartitions(config(1)).apply(sent_to(1, sent)[0]).values():
        whole.extend(step)
    said, elsewhere = stage1(partitions, sent)
    split, _ = added_up(partitions, list(interleaved(said, np.random.default_rng(3))), 7)
    for counter in ("points_in", "points_scored", "points_warmup", "points_rejected"):
        assert elsewhere.counts[counter] == whole.counts[counter]
    single, several = frame(whole.service_features), frame(split.service_features)
    assert len(single) == len(several) > 30 * len(SERVICES)
    for name in SERVICE_FEATURES:
        np.testing.assert_allclose(several[name], single[name], rtol=1e-9, atol=1e-9, err_msg=name)
    exact = [
        "event_timestamp",
        "service",
        "flagged",
        "scheduled",
        "metric",
        "point_timestamp",
        "value",
        "z",
        "finding",
        "certain",
    ]
    pd.testing.assert_frame_equal(frame(split.candidates)[exact], frame(whole.candidates)[exact], check_exact=True)


def test_a_partition_that_was_given_a_tick_before_says_so_and_changes_nothing() -> None:
    said, _ = stage1(2, batches(20, seed=1))
    plain = [entry for own in said for entry in own]
    services = TenantServices(config(2))
    services.apply(plain)
    before = state_hash(services.snapshot())
    again = services.apply([entry for entry in plain if entry.kind == streams.KIND_PARTIALS])[TENANT]
    assert again.counts["partial_sums_late"] > 0
    assert not again.candidates
    assert not again.service_rows
    assert state_hash(services.snapshot()) == before


def later(batch: Batch, by: timedelta) -> Batch:
    """Return the batch with all times moved."""
    rows = batch.rows
    if rows is not None:
        rows = rows.set_column(0, "timestamp", pc.add(rows["timestamp"], pa.scalar(by, pa.duration("us"))))
    return replace(batch, available_at=batch.available_at + by, rows=rows)


def tenants_in_turn(names: Sequence[str], apart: timedelta) -> list[streams.Entry]:
    """Return the entries of one tenant after another, each `apart` later in event time."""
    entries: list[streams.Entry] = []
    for number, name in enumerate(names):
        said, _ = stage1(2, [later(batch, number * apart) for batch in batches(8, seed=number)])
        entries += [replace(entry, tenant=name) for own in said for entry in own]
    return [replace(entry, entry_id=f"{number}-0") for number, entry in enumerate(entries, 1)]


@pytest.mark.parametrize("cut", [1, 7, 10**6])
def test_a_home_forgets_tenants_that_are_idle_where_there_are_too_many_whatever_the_cut(cut: int) -> None:
    few = replace(config(2), max_tenants=2, idle_us=60 * MINUTE_US)
    sent = tenants_in_turn("abcdefa", timedelta(minutes=90))
    services, made = TenantServices(few), dict[str, Step]()
    for first in range(0, len(sent), cut):
        for tenant, step in services.apply(sent[first : first + cut]).items():
            made.setdefault(tenant, Step()).extend(step)
        assert len(services.tenants) <= 2
        services = TenantServices.restore(few, services.snapshot())
    assert services.tenants == ("f", "a")
    whole = TenantServices(few)
    wide = whole.apply(sent)
    assert state_hash(services.snapshot()) == state_hash(whole.snapshot())
    for tenant in "abcdef":
        assert made[tenant].counts == wide[tenant].counts
        pd.testing.assert_frame_equal(
            frame(made[tenant].service_features), frame(wide[tenant].service_features), check_exact=True
        )


def test_a_home_keeps_every_tenant_that_still_sends() -> None:
    few = replace(config(2), max_tenants=2, idle_us=60 * MINUTE_US)
    services = TenantServices(few)
    services.apply(tenants_in_turn("abcd", timedelta(minutes=10)))
    assert services.tenants == ("a", "b", "c", "d")


def test_a_state_of_one_partition_is_outdated_where_there_are_several_and_the_other_way_round() -> None:
    alone, paired = TenantPartitions(config(1)), TenantPartitions(config(2))
    for partition, entries in ((alone, sent_to(1, batches(8))[0]), (paired, sent_to(2, batches(8))[0])):
        partition.apply(entries)
    with pytest.raises(OutdatedState, match="several"):
        TenantPartitions.restore(config(2), alone.snapshot())
    with pytest.raises(OutdatedState, match="one"):
        TenantPartitions.restore(config(1), paired.snapshot())
    said, _ = stage1(2, batches(8))
    services = TenantServices(config(2))
    services.apply([entry for own in said for entry in own])
    with pytest.raises(OutdatedState):
        TenantServices.restore(config(3), services.snapshot())


def test_what_is_no_partial_sum_becomes_a_dead_letter_and_its_neighbours_count() -> None:
    said, _ = stage1(2, batches(20, seed=1))
    plain = [entry for own in said for entry in own]
    strange = replace(plain[0], payload=b"no Arrow"), replace(plain[0], kind=streams.KIND_INCIDENT, payload=b"{}")
    plain_step, _ = added_up(2, plain, 10**6)
    other, _ = added_up(2, [*strange, *plain], 10**6)
    assert other.counts["rejected.undecodable"] == other.counts["points_in"] == 2
    pd.testing.assert_frame_equal(frame(other.candidates), frame(plain_step.candidates), check_exact=True)
