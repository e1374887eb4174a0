"""Entries of receivers within a partition: points are scored, counted and offered to the lake; what is refused says why."""

import json
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from aiops.detection.levels import CATALOGUE_VERSION, CatalogueLevels, Tier1
from aiops.features.engine import EngineConfig
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.wire_schemas import WIRE_POINTS
from data_contracts.series.key import labels_text
from data_contracts.series.text import series_of
from data_contracts.telemetry.rejects import rows_from_json
from data_contracts.telemetry.validate import validate
from data_contracts.values.moments import moment_of_us
from serving.stream import streams
from serving.stream.consumer.checkpoint import state_hash
from serving.stream.consumer.commit import Output
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.consumer.partition_step import OutputPlace, Step, outputs_of
from serving.stream.consumer.second_opinion import Watched
from serving.stream.consumer.warm_up import warm_up
from tests.testing.raw_rows import (
    MINUTE,
    SECOND,
    STALE,
    START_US,
    Raw,
    Sample,
    classic,
    definition_entry,
    histograms_payload,
    points_payload,
    raw,
    received_entry,
)

T = START_US
TOTAL, GAUGE, SHARE = raw("requests_total", "total", code="500"), raw("load", "value"), raw("error_rate", "value")
PARTS = classic("rpc_seconds", [0.1, 1.0, math.inf])
ODD = classic("error", [math.inf], "db")
WHOLE = raw("size_bytes", "histogram")
SERIES = [TOTAL, GAUGE, SHARE, *PARTS, *ODD, WHOLE]


def config(max_series: int = 100) -> PartitionConfig:
    tier1 = Tier1(CatalogueLevels(), CATALOGUE_VERSION)
    engine = EngineConfig(max_series=max_series)
    watched = Watched(False, True)
    return PartitionConfig(engine, ServiceGraph.from_pairs(()), tier1, MINUTE, 30 * SECOND, 10**13, 300, max_series, watched)


@cache
def entries() -> list[streams.Entry]:
    """Return three hours of a small world: definitions first, then a round a minute in two entries, some of it wrong."""
    rng = np.random.default_rng(7)
    made = [definition_entry(1, SERIES, T)]
    levels = np.zeros(len(SERIES))
    for number in range(180):
        time = T + number * MINUTE
        levels += np.sort(rng.integers(0, 60, levels.size))
        values = [Sample(each, time, float(level)) for each, level in zip(SERIES[:-1], levels, strict=False)]
        values[2] = Sample(SHARE, time, 0.01 if number % 50 else 1.5)
        if number % 40 == 20:
            values[0] = Sample(TOTAL, time, STALE)
        if number % 30 == 7:
            values += [values[0], Sample(TOTAL, time - 20 * MINUTE, 1.0), Sample(raw("stranger", "value"), time, 1.0)]
        cut = int(rng.integers(1, len(values) - 1))
        made.append(received_entry(len(made) + 1, values[:cut], time))
        made.append(received_entry(len(made) + 1, values[cut:], time + SECOND))
        counts = tuple(float(level) for level in np.sort(levels[:3]))
        made.append(received_entry(len(made) + 1, [Sample(WHOLE, time, 9.0, upper=(1.0, 2.0, 4.0), counts=counts)], time))
        if number % 60 == 59:
            made.append(definition_entry(len(made) + 1, SERIES, time))
    note = json.dumps({"until_us": T + 200 * MINUTE}).encode()
    made.append(streams.Entry(f"{len(made) + 1}-0", streams.KIND_CLOSE, note, 0, T + 200 * MINUTE))
    return made


def run(partition: Partition, cuts: Sequence[int] = (10**6,)) -> Step:
    step, at = Step(), 0
    for number in range(len(entries())):
        end = at + cuts[number % len(cuts)]
        step.extend(partition.apply(entries()[at:end]))
        at = end
    return step


@cache
def whole() -> tuple[Step, str]:
    partition = Partition.new(config())
    step = run(partition)
    return step, state_hash(partition.snapshot())


def outputs(step: Step) -> list[Output]:
    return outputs_of(step, OutputPlace(0, 0, "default"), True)


def rows(made: Sequence[pa.RecordBatch]) -> list[dict[str, object]]:
    return [row for batch in made for row in batch.to_pylist()]


def test_every_raw_value_and_every_point_made_of_histograms_is_counted_once() -> None:
    counts = whole()[0].counts
    outcomes = ("points_scored", "points_warmup", "points_rejected", "points_repeated", "points_folded")
    assert counts["points_in"] == sum(counts[name] for name in outcomes)
    assert all(counts[name] > 0 for name in outcomes)
    assert counts["points_rejected"] == len(rows(whole()[0].rejected))
    assert counts["series_defined"] == len(SERIES) + 3 * 4


def test_what_was_scored_goes_to_the_lake_with_the_catalogue_before_it() -> None:
    step = whole()[0]
    assert sum(known.rows.num_rows for known in step.points) == step.counts["points_scored"] + step.counts["points_warmup"]
    made = [output for output in outputs(step) if output.stream == streams.points(0)]
    assert [made[0].kind, made[-1].kind] == [streams.KIND_DEFINITIONS, streams.KIND_POINTS]
    known_at = [output.available_us for output in made if output.kind == streams.KIND_POINTS]
    assert known_at == sorted(set(known_at))
    assert (known_at[0], known_at[-1]) == (T, T + 179 * MINUTE + SECOND)
    catalogue = {row["series_id"]: row["scored"] for row in streams.from_ipc(made[0].payload).to_pylist()}
    scored = {row["series_id"] for known in step.points for row in known.rows.to_pylist()}
    assert scored <= {series_id for series_id, of_its_own in catalogue.items() if of_its_own}
    assert [
        output for output in outputs_of(step, OutputPlace(0, 0, "default"), False) if output.stream == streams.points(0)
    ] == []


@pytest.mark.parametrize("cuts", [(1,), (3, 1, 7), (50, 2)])
def test_however_entries_are_read_outputs_and_state_are_the_same(cuts: Sequence[int]) -> None:
    expected, expected_hash = whole()
    partition = Partition.new(config())
    step = run(partition, cuts)
    assert state_hash(partition.snapshot()) == expected_hash
    assert step.counts == expected.counts
    assert rows(step.rejected) == rows(expected.rejected)
    assert [known.rows for known in step.points] == [known.rows for known in expected.points]
    assert [known.rows for known in step.catalogue] == [known.rows for known in expected.catalogue]


@pytest.mark.parametrize("stop_at", [1, 2, 200, 401])
def test_a_restored_partition_goes_on_bit_for_bit(stop_at: int) -> None:
    partition = Partition.new(config())
    step = partition.apply(entries()[:stop_at])
    partition = Partition.restore(config(), partition.snapshot())
    step.extend(partition.apply(entries()[stop_at:]))
    assert state_hash(partition.snapshot()) == whole()[1]
    assert step.counts == whole()[0].counts


def test_refused_values_say_what_they_were_and_are_never_taken_for_gauges_later() -> None:
    letters = rows(whole()[0].rejected)
    reasons = {str(row["reason"]) for row in letters}
    assert reasons == {"too_late", "unknown_series", "out_of_range"}
    late = next(row for row in letters if row["reason"] == "too_late")
    cells = json.loads(str(late["row"]))
    assert (cells["service"], cells["metric"], cells["labels"], cells["value"]) == ("web", "requests_total", {"code": "500"}, 1.0)
    again = validate(rows_from_json([str(late["row"])]), moment_of_us(T + 10**12)).rejected
    assert again.column("reason").to_pylist() == ["not_normalised"]
    assert "requests_total{code=" in str(late["detail"])


def test_points_made_of_a_histogram_obey_the_limits_of_their_name() -> None:
    letters = [row for row in rows(whole()[0].rejected) if "error_rate" in str(row["row"]) and row["reason"] == "out_of_range"]
    assert letters
    assert all("lies outside 0.0 to 1.0 (ratio)" in str(row["detail"]) for row in letters)


def test_what_the_engine_refuses_is_named_too() -> None:
    partition = Partition.new(config(max_series=1))
    other = raw("other", "value")
    step = partition.apply(
        [definition_entry(1, [GAUGE, other], T), received_entry(2, [Sample(GAUGE, T, 1.0), Sample(other, T, 2.0)], T)]
    )
    assert [(row["reason"], json.loads(str(row["row"]))["metric"]) for row in rows(step.rejected)] == [
        ("too_many_series", "other")
    ]


def test_series_without_room_are_refused_with_their_name() -> None:
    partition = Partition.new(config(max_series=1))
    step = partition.apply([definition_entry(1, SERIES[:6], T)])
    assert [row["reason"] for row in rows(step.rejected)] == ["too_many_series"] * 2
    assert step.counts["points_in"] == step.counts["points_rejected"] == 2
    assert json.loads(str(rows(step.rejected)[0]["row"]))["metric"] == "rpc_seconds_bucket"


def damaged() -> list[tuple[bytes, bytes]]:
    points = points_payload([Sample(GAUGE, T, 1.0)])
    loose = pa.schema([field.with_nullable(True) for field in WIRE_POINTS])
    nulls = pa.table([pa.nulls(1, field.type) for field in loose], schema=loose)
    histograms = histograms_payload([Sample(WHOLE, T, 1.0, upper=(1.0, 2.0), counts=(1.0,))])
    return [
        (streams.KIND_POINTS, points[: len(points) // 2]),
        (streams.KIND_POINTS, b"no Arrow at all"),
        (streams.KIND_HISTOGRAMS, points),
        (streams.KIND_DEFINITIONS, points),
        (streams.KIND_POINTS, streams.to_ipc(nulls.replace_schema_metadata(WIRE_POINTS.metadata))),
        (streams.KIND_HISTOGRAMS, histograms),
    ]


@pytest.mark.parametrize(("kind", "payload"), damaged())
def test_a_damaged_payload_is_a_dead_letter_and_no_more(kind: bytes, payload: bytes) -> None:
    partition = Partition.new(config())
    step = partition.apply([streams.Entry("1-0", kind, payload, 0, T)])
    assert step.counts == {"points_in": 1, "points_rejected": 1, "rejected.undecodable": 1}


def test_warming_up_compiles_what_receivers_need() -> None:
    assert warm_up(config()) > 0


@pytest.mark.parametrize("series", [TOTAL, GAUGE, raw("jobs", "delta")], ids=["total", "gauge", "delta"])
def test_what_comes_again_within_the_window_counts_as_repeated_however_old(series: Raw) -> None:
    rng = np.random.default_rng(3)
    levels = np.cumsum(rng.uniform(1, 1000, 40))
    partition = Partition.new(config())
    sent = [Sample(series, T + n * MINUTE, float(level)) for n, level in enumerate(levels)]
    partition.apply([definition_entry(1, [*SERIES, raw("jobs", "delta")], T)])
    partition.apply([received_entry(2 + n, [sample], sample.time_us) for n, sample in enumerate(sent)])
    step = partition.apply([received_entry(100, sent, T + 40 * MINUTE)])
    unknown = 2 if series.role == "delta" else 0  # the first amount gives no rate, the second's interval is not kept
    assert step.counts["points_repeated"] == 40 - unknown, step.counts
    assert len(rows(step.rejected)) == unknown


@pytest.mark.parametrize("series", [TOTAL, GAUGE], ids=["total", "gauge"])
def test_another_value_for_an_old_time_is_still_a_dead_letter(series: Raw) -> None:
    partition = Partition.new(config())
    sent = [Sample(series, T + n * MINUTE, 100.0 * n + n % 7) for n in range(40)]
    partition.apply([definition_entry(1, SERIES, T)])
    partition.apply([received_entry(2 + n, [sample], sample.time_us) for n, sample in enumerate(sent)])
    other = [Sample(sample.series, sample.time_us, sample.value + 0.5) for sample in sent[5:30]]
    step = partition.apply([received_entry(100, other, T + 40 * MINUTE)])
    assert step.counts["points_repeated"] == 0
    assert len(rows(step.rejected)) == len(other)


def test_an_old_part_of_a_histogram_is_known_when_it_comes_again() -> None:
    partition = Partition.new(config())
    rounds = [[Sample(part, T + n * MINUTE, float(n * (k + 1))) for k, part in enumerate(PARTS)] for n in range(12)]
    partition.apply([definition_entry(1, SERIES, T)])
    partition.apply([received_entry(2 + n, sent, sent[0].time_us) for n, sent in enumerate(rounds)])
    step = partition.apply([received_entry(100, rounds[1], T + 12 * MINUTE)])
    assert (step.counts["points_repeated"], step.counts["points_rejected"]) == (len(PARTS), 0)


def test_an_old_whole_histogram_is_known_when_it_comes_again() -> None:
    partition = Partition.new(config())
    sent = [
        Sample(WHOLE, T + n * MINUTE, 9.0 * n, upper=(1.0, 2.0, 4.0), counts=(3.0 * n, 5.0 * n, 1.0 * n * n)) for n in range(30)
    ]
    partition.apply([definition_entry(1, SERIES, T)])
    partition.apply([received_entry(2 + n, [sample], sample.time_us) for n, sample in enumerate(sent)])
    step = partition.apply([received_entry(100, sent, T + 30 * MINUTE)])
    assert (step.counts["points_repeated"], step.counts["points_rejected"]) == (30, 0)


def test_a_label_with_line_breaks_and_bars_is_one_series_with_one_text() -> None:
    odd = raw("requests", "value", path='a|b\nc="d"\\')
    partition = Partition.new(config())
    partition.apply([definition_entry(1, [odd], T)])
    step = partition.apply(
        [received_entry(2 + n, [Sample(odd, T + n * MINUTE, float(n % 3))], T + n * MINUTE) for n in range(40)]
    )
    assert step.counts["points_rejected"] == 0
    (name,) = {judged.series[slot].text for judged in step.judged for slot in judged.slot.tolist()}
    assert name == r'web|requests{path="a|b\nc=\"d\"\\"}'
    assert series_of(name, "default") == odd.key
    late = partition.apply([received_entry(100, [Sample(odd, T + MINUTE, 77.0)], T + 41 * MINUTE)])
    (letter,) = rows(late.rejected)
    again = validate(rows_from_json([str(letter["row"])]), moment_of_us(T + 42 * MINUTE), "test", 300, "default").accepted
    assert again.column("labels").to_pylist() == [labels_text(odd.key.labels)]
