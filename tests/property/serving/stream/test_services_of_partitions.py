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
from aiops.errors import OutdatedState, StateError
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
from serving.stream.consumer.tenant_services import CAME, TenantServices
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


FEW = replace(config(2), max_tenants=2, idle_us=60 * MINUTE_US)


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
    sent = tenants_in_turn("abcdefa", timedelta(minutes=90))
    services, made = TenantServices(FEW), dict[str, Step]()
    for first in range(0, len(sent), cut):
        for tenant, step in services.apply(sent[first : first + cut]).items():
            made.setdefault(tenant, Step()).extend(step)
        assert len(services.tenants) <= 2
        services = TenantServices.restore(FEW, services.snapshot())
    assert services.tenants == ("f", "a")
    whole = TenantServices(FEW)
    wide = whole.apply(sent)
    assert state_hash(services.snapshot()) == state_hash(whole.snapshot())
    for tenant in "abcdef":
        assert made[tenant].counts == wide[tenant].counts
        pd.testing.assert_frame_equal(
            frame(made[tenant].service_features), frame(wide[tenant].service_features), check_exact=True
        )


def test_a_home_keeps_every_tenant_that_still_sends() -> None:
    services = TenantServices(FEW)
    services.apply(tenants_in_turn("abcd", timedelta(minutes=10)))
    assert services.tenants == ("a", "b", "c", "d")


def came(entries: Sequence[streams.Entry], tenant: str, minute: int, every: int = 0) -> list[streams.Entry]:
    """Return entries of the tenant that came from a minute on, all at once or in turn, whatever the time of what they hold."""
    times = [(minute + every * number) * MINUTE_US * 1000 for number in range(len(entries))]
    return [replace(entry, tenant=tenant, produced_ns=at) for entry, at in zip(entries, times, strict=True)]


def in_order(*parts: list[streams.Entry]) -> list[streams.Entry]:
    """Return the entries in the order in which they came."""
    entries = sorted((entry for part in parts for entry in part), key=lambda entry: entry.produced_ns)
    return [replace(entry, entry_id=f"{number}-0") for number, entry in enumerate(entries, 1)]


def said_of(days_ago: int) -> list[streams.Entry]:
    said, _ = stage1(2, [later(batch, -timedelta(days=days_ago)) for batch in batches(8)])
    return [entry for own in said for entry in own]


def held_after(sent: Sequence[streams.Entry], cut: int) -> tuple[tuple[str, ...], str]:
    """Return the tenants held after the entries, restored after every `cut`, and the hash of the state."""
    services = TenantServices(FEW)
    for first in range(0, len(sent), cut):
        services.apply(sent[first : first + cut])
        services = TenantServices.restore(FEW, services.snapshot())
    return services.tenants, state_hash(services.snapshot())


@pytest.mark.parametrize("cut", [1, 5, 10**6])
def test_a_tenant_that_sends_history_is_kept_while_it_sends_and_one_that_went_silent_is_not(cut: int) -> None:
    history, now = said_of(9), said_of(0)
    live, old = came(now, "live", 1), came(history, "history", 2, every=10)
    last = 2 + 10 * (len(old) - 1)
    assert last > 100
    sent = in_order(live, old, came(now, "new", last + 1))
    assert held_after(sent, cut)[0] == ("history", "new")
    assert held_after(sent, cut) == held_after(sent, len(sent))


def test_a_new_tenant_that_sends_history_makes_room_and_a_note_of_an_incident_is_something_that_came() -> None:
    history, now = said_of(9), said_of(0)
    note = json.dumps({"service": SERVICES[0], "known_at_us": 1}).encode()
    noted = came([replace(now[0], kind=streams.KIND_INCIDENT, payload=note)], "noted", 50)
    sent = in_order(came(now, "live", 1), noted, came(history, "history", 100))
    assert held_after(sent, 3)[0] == ("noted", "history")


def test_of_tenants_in_a_state_of_before_something_came_with_the_first_entry_after_it() -> None:
    now = said_of(0)
    services = TenantServices(FEW)
    services.apply(in_order(came(now, "a", 1), came(now, "b", 2)))
    before = {name: array for name, array in services.snapshot().items() if name != CAME}
    later_ones = in_order(came(now, "c", 1000), came(now, "c", 1059), came(now, "d", 1061))
    for cut in (1, 7, 10**6):
        services = TenantServices.restore(FEW, before)
        for first in range(0, len(later_ones), cut):
            services.apply(later_ones[first : first + cut])
            if later_ones[first : first + cut][-1].tenant == "c":
                assert services.tenants == ("a", "b", "c")
            services = TenantServices.restore(FEW, services.snapshot())
        assert services.tenants == ("c", "d")
    with pytest.raises(StateError, match="2 tenants and 1 times"):
        TenantServices.restore(FEW, before | {CAME: np.zeros(1, np.int64)})


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
