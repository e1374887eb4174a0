"""One feature, one function: any split, with a restart within, equals the whole bit for bit, and both equal the definitions."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.topology.graph import ServiceGraph
from aiops.types import SeriesBatch
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES, SERVICE_FEATURES, TIMESTAMP
from tests.testing.reference_engine import HOUR, SECOND, Point, ReferenceEngine
from tests.testing.series_names import points as points_batch

START = 1_760_000_000 * SECOND
GRAPH = ServiceGraph.from_pairs([("web", "cart"), ("web", "pay"), ("cart", "db"), ("pay", "db")])
SERVICES = ("web", "cart", "pay", "db", "job")
METRICS = ("cpu_utilization", "disk_utilization", "latency_p99_ms", "error_rate", "requests_per_second", "queue_length")


@dataclass(frozen=True)
class Stream:
    config: EngineConfig
    points: list[Point]
    incidents: list[tuple[int, str]]


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Random streams: series of their own interval and phase; points late, missing, doubled, equal; silences."""
    step_s = draw(st.sampled_from([30, 60, 300]))
    config = EngineConfig(
        step_s=step_s,
        lateness_s=draw(st.sampled_from([0, 30, 2 * step_s])),
        window_points=draw(st.sampled_from([16, 40, 240])),
        max_series=draw(st.sampled_from([4, 100])),
        warmup_points=draw(st.sampled_from([3, 15])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    late_share = draw(st.sampled_from([0.0, 0.05, 0.4]))
    silence = draw(st.sampled_from([0, 0, 20 * 60, 3 * 3600])) * SECOND
    arrivals: list[tuple[float, Point]] = []
    for service in SERVICES[: draw(st.integers(1, 5))]:
        for metric in rng.permutation(METRICS)[: rng.integers(1, 5)]:
            interval = int(rng.choice([10, 60, 60, 300])) * SECOND
            time = START + int(rng.integers(0, 600 * SECOND))
            level = float(rng.choice([0.0, 0.5, 40.0]))
            shifts_at, shifts_back = int(rng.integers(20, 50)), int(rng.integers(40, 120))
            shift = float(rng.choice([0.0, 50.0, -50.0]))
            for number in range(int(rng.integers(3, 90))):
                time += interval + int(rng.choice([0, 0, 1, 7_000_000])) + (silence if number == 30 else 0)
                if rng.random() < 0.1:
                    continue
                noise = rng.choice([0.0, 0.05, 3.0]) * rng.normal() + (30.0 if rng.random() < 0.02 else 0.0)
                point = Point(
                    time, service, str(metric), round(level + float(noise) + shift * (shifts_at <= number < shifts_back), 3)
                )
                delay = float(rng.exponential(2000 * SECOND)) if rng.random() < late_share else 0.0
                arrivals.append((time + delay, point))
                if rng.random() < 0.05:
                    arrivals.append((time + float(rng.exponential(300 * SECOND)), point))
    arrivals.sort(key=lambda arrival: arrival[0])
    incidents = [(START + int(rng.integers(0, 2 * HOUR)), str(rng.choice(SERVICES))) for _ in range(draw(st.integers(0, 3)))]
    return Stream(config, [point for _, point in arrivals], incidents)


def batch_of(points: list[Point]) -> SeriesBatch:
    columns = [
        pa.array([point.time for point in points], pa.int64()).cast(TIMESTAMP),
        pa.array([point.service for point in points], pa.string()).dictionary_encode(),
        pa.array([point.metric for point in points], pa.string()).dictionary_encode(),
        pa.array([point.value for point in points], pa.float64()),
    ]
    return points_batch(*columns)


def engine_of(stream: Stream) -> FeatureEngine:
    engine = FeatureEngine(stream.config, GRAPH)
    for known_at, service in stream.incidents:
        engine.note_incident(service, known_at)
    return engine


def close_all(engine: FeatureEngine, stream: Stream) -> EngineOutput:
    newest = max(point.time for point in stream.points)
    return engine.close_through(datetime.fromtimestamp(newest // SECOND + 7200, UTC))


def bytes_of(outputs: list[EngineOutput]) -> list[bytes]:
    """Return everything that outputs say, joined over the outputs, column by column."""
    joined = [
        np.concatenate([getattr(output, name) for output in outputs]).tobytes()
        for name in ("status", "z", "score", "expected", "scale")
    ]
    for name in ("series_features", "service_features"):
        table = pa.Table.from_batches([getattr(output, name) for output in outputs]).combine_chunks()
        joined += [
            column.to_numpy(zero_copy_only=False).tobytes()
            if pa.types.is_floating(column.type)
            else repr(column.to_pylist()).encode()
            for column in table.columns
        ]
    return joined


@settings(max_examples=60, deadline=None)
@given(streams(), st.data())
def test_any_split_with_a_restart_in_the_middle_equals_the_whole(stream: Stream, data: st.DataObject) -> None:
    whole = engine_of(stream)
    expected = [whole.update(batch_of(stream.points)), close_all(whole, stream)]
    size = len(stream.points)
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=8)))
    restart = data.draw(st.integers(0, len(cuts)))
    engine = engine_of(stream)
    outputs = []
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, size], strict=True)):
        if number == restart:
            engine = FeatureEngine.restore(stream.config, GRAPH, engine.snapshot())
        outputs.append(engine.update(batch_of(stream.points[begin:end])))
    outputs.append(close_all(engine, stream))
    assert bytes_of(outputs) == bytes_of(expected)


@settings(max_examples=25, deadline=None)
@given(streams())
def test_the_engine_computes_the_definitions(stream: Stream) -> None:
    engine = engine_of(stream)
    outputs = [engine.update(batch_of(stream.points)), close_all(engine, stream)]
    reference = ReferenceEngine(stream.config, GRAPH, incidents=stream.incidents)
    for point in stream.points:
        reference.apply(point)
    assert reference.watermark is not None
    while reference.next_tick <= reference.watermark + HOUR:
        reference.close(reference.next_tick)
        reference.next_tick += stream.config.step_s * SECOND
    assert outputs[0].status.tolist() == reference.status
    np.testing.assert_allclose(outputs[0].z, reference.z, rtol=1e-9, atol=1e-9)
    for rows, names, key, expected in (
        ("series_features", SERIES_FEATURES, "series", reference.series_rows),
        ("service_features", SERVICE_FEATURES, "service", reference.service_rows),
    ):
        table = pa.Table.from_batches([getattr(output, rows) for output in outputs])
        ticks = table["event_timestamp"].cast(pa.int64()).to_pylist()
        row_of = dict(zip(zip(ticks, table[key].to_pylist(), strict=True), range(table.num_rows), strict=True))
        assert sorted(row_of) == sorted((tick, name) for tick, name, _ in expected)
        order = [row_of[tick, name] for tick, name, _ in expected]
        for name in names:
            values = table[name].to_numpy()[order]
            np.testing.assert_allclose(values, [row[name] for _, _, row in expected], rtol=1e-9, atol=1e-9, err_msg=name)
