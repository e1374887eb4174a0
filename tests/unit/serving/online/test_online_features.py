"""Reader and writer of online features against a small in-memory Redis: freshness, order, counters, failures."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import redis

from aiops.errors import ConfigurationError, ContractError, Unavailable
from data_contracts.schemas.feature_views import (
    FEATURE_SERVICES,
    SERIES_VIEWS,
    SERVICE_HEALTH,
    SERVICE_VIEWS,
    VIEWS,
    ViewSpec,
    describe,
)
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES, SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from serving.online import feast_layout
from serving.online.online_features import RedisFeatures

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class HashServer:
    """A Redis of hashes only: what redis-py's client, pipeline and connection are asked for here."""

    def __init__(self, decode_responses: bool = False) -> None:
        self.hashes: dict[bytes, dict[bytes, bytes]] = {}
        self.down = False
        self.refuse_after = 1 << 30
        self.commands = 0
        self.disconnects = 0
        self.connection_kwargs = {"decode_responses": decode_responses}
        self.connection_pool = self

    def pipeline(self, transaction: bool) -> "HashPipeline":
        assert not transaction
        return HashPipeline(self)

    def get_connection(self) -> "HashServer":
        if self.down:
            raise redis.ConnectionError("refused")
        return self

    def release(self, connection: "HashServer") -> None:
        assert connection is self

    def disconnect(self) -> None:
        self.disconnects += 1

    def send_packed_command(self, packed: list[bytes]) -> None:
        for key, *pairs in parse(b"".join(packed)):
            self.commands += 1
            self.hashes.setdefault(key, {}).update(zip(pairs[::2], pairs[1::2], strict=True))

    def read_response(self) -> int:
        if self.commands > self.refuse_after:
            raise redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'")
        return 0


class HashPipeline:
    def __init__(self, server: HashServer) -> None:
        self._server = server
        self._asked: list[tuple[bytes, list[bytes]]] = []

    def __enter__(self) -> "HashPipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.clear()

    def hmget(self, key: bytes, fields: list[bytes]) -> None:
        self._asked.append((key, fields))

    def execute(self) -> list[list[bytes | None]]:
        if self._server.down:
            raise redis.ConnectionError("refused")
        return [[self._server.hashes.get(key, {}).get(field) for field in fields] for key, fields in self._asked]


def parse(data: bytes) -> Iterator[list[bytes]]:
    """Yield the arguments after the command's name of each RESP array."""
    at = 0

    def line() -> bytes:
        nonlocal at
        end = data.index(b"\r\n", at)
        text, at = data[at:end], end + 2
        return text

    while at < len(data):
        parts = []
        for _ in range(int(line()[1:])):
            size = int(line()[1:])
            parts.append(data[at : at + size])
            at += size + 2
        assert parts[0] == b"HSET"
        yield parts[1:]


@pytest.fixture
def server() -> HashServer:
    return HashServer()


@pytest.fixture
def features(server: HashServer) -> RedisFeatures:
    client: Any = server
    return RedisFeatures(client)


class ServiceRow(NamedTuple):
    """A row in which every feature has the same value."""

    service: str
    tick: datetime
    value: float


def service_rows(*rows: ServiceRow) -> pa.RecordBatch:
    """Return rows of features, each available 30 s after its tick."""
    columns: dict[str, Any] = {"event_timestamp": [row.tick for row in rows], "service": [row.service for row in rows]}
    columns["available_at"] = [row.tick + MINUTE / 2 for row in rows]
    for name in SERVICE_FEATURES:
        columns[name] = [row.value for row in rows]
    return pa.RecordBatch.from_pydict(
        {name: columns[name] for name in SERVICE_FEATURES_TABLE.names}, schema=SERVICE_FEATURES_TABLE
    )


def values(features: RedisFeatures, *services: str, now: datetime = NOW) -> list[float | None]:
    column: list[float | None] = features.read_services(services, now).column("hour").to_pylist()
    return column


def test_rows_come_back_in_the_order_asked(features: RedisFeatures) -> None:
    assert features.write_services(service_rows(ServiceRow("a", NOW, 1.0), ServiceRow("b", NOW, 2.0))) == 2
    assert values(features, "b", "absent", "a", "b") == [2.0, None, 1.0, 2.0]


def test_the_answer_has_the_schema_and_all_features(features: RedisFeatures) -> None:
    features.write_services(service_rows(ServiceRow("a", NOW, 1.5)))
    row = features.read_services(["a"], NOW)
    assert row.schema.equals(SERVICE_FEATURES_TABLE)
    assert [row.column(name)[0].as_py() for name in SERVICE_FEATURES] == [1.5] * len(SERVICE_FEATURES)
    assert row.column("available_at")[0].as_py() == NOW + MINUTE / 2


def test_nothing_asked_nothing_read(features: RedisFeatures) -> None:
    assert features.read_services([], NOW).num_rows == 0
    assert features.write_services(service_rows()) == 0


def test_stale_rows_are_unknown_and_counted(features: RedisFeatures) -> None:
    features.write_services(service_rows(ServiceRow("a", NOW, 1.0)))
    last_fresh = NOW + MINUTE / 2 + timedelta(seconds=SERVICE_HEALTH.ttl_s)
    assert values(features, "a", now=last_fresh) == [1.0]
    assert values(features, "a", now=last_fresh + timedelta(microseconds=1)) == [None]
    assert features.read_statistics.stale_total == {v.name: int(v in SERVICE_VIEWS) for v in VIEWS}
    assert features.read_statistics.missing_total == {v.name: 0 for v in VIEWS}


def test_missing_rows_are_counted_by_view(features: RedisFeatures) -> None:
    values(features, "x", "y")
    assert features.read_statistics.missing_total == {v.name: 2 * (v in SERVICE_VIEWS) for v in VIEWS}
    assert features.read_statistics.freshness_s == {}


def test_freshness_is_the_age_of_the_newest_row_read(features: RedisFeatures) -> None:
    features.write_services(service_rows(ServiceRow("a", NOW - 10 * MINUTE, 1.0), ServiceRow("b", NOW - 3 * MINUTE, 1.0)))
    values(features, "a", "b")
    assert features.read_statistics.freshness_s == {view.name: 150.0 for view in SERVICE_VIEWS}


def test_statistics_are_snapshots(features: RedisFeatures) -> None:
    before = features.read_statistics
    values(features, "x")
    assert before.missing_total[SERVICE_HEALTH.name] == 0


def test_only_the_newest_row_of_a_call_is_written(features: RedisFeatures, server: HashServer) -> None:
    earlier = [ServiceRow("a", NOW - MINUTE, 1.0), ServiceRow("a", NOW - 2 * MINUTE, 0.0)]
    rows = service_rows(ServiceRow("a", NOW, 2.0), earlier[0], ServiceRow("b", NOW, 3.0), earlier[1])
    assert features.write_services(rows) == 2
    assert server.commands == 2
    assert values(features, "a", "b") == [2.0, 3.0]
    assert features.write_statistics.superseded_total == 2


def test_an_older_tick_never_replaces_a_newer_one(features: RedisFeatures, server: HashServer) -> None:
    features.write_services(service_rows(ServiceRow("a", NOW, 2.0)))
    assert features.write_services(service_rows(ServiceRow("a", NOW - MINUTE, 1.0))) == 0
    successor: Any = server
    assert RedisFeatures(successor).write_services(service_rows(ServiceRow("a", NOW - MINUTE, 1.0))) == 0
    assert values(features, "a") == [2.0]


def test_a_late_correction_of_an_old_tick_does_not_hide_the_newer_tick(features: RedisFeatures) -> None:
    features.write_services(service_rows(ServiceRow("a", NOW, 2.0)))
    late = service_rows(ServiceRow("a", NOW - MINUTE, 1.0))
    late = late.set_column(1, SERVICE_FEATURES_TABLE.field(1), pa.array([NOW + MINUTE], SERVICE_FEATURES_TABLE.field(1).type))
    assert features.write_services(late) == 0


def test_ticks_that_became_available_together_are_all_accepted_in_order(features: RedisFeatures) -> None:
    first, second = service_rows(ServiceRow("a", NOW, 1.0)), service_rows(ServiceRow("a", NOW + MINUTE, 2.0))
    second = second.set_column(1, SERVICE_FEATURES_TABLE.field(1), first.column("available_at"))
    assert features.write_services(first) == 1
    assert features.write_services(second) == 1


def test_forgotten_entities_are_read_again_from_the_store(server: HashServer) -> None:
    client: Any = server
    small = RedisFeatures(client, max_entities=1)
    small.write_services(service_rows(ServiceRow("a", NOW, 1.0), ServiceRow("b", NOW, 1.0)))
    assert small.write_services(service_rows(ServiceRow("a", NOW - MINUTE, 0.0), ServiceRow("b", NOW - MINUTE, 0.0))) == 0
    assert small.write_services(service_rows(ServiceRow("a", NOW + MINUTE, 2.0))) == 1


def test_many_rows_are_sent_in_several_parts(features: RedisFeatures, server: HashServer) -> None:
    rows = service_rows(*(ServiceRow(f"s{i}", NOW, float(i)) for i in range(5000)))
    assert features.write_services(rows) == 5000
    assert values(features, "s0", "s2048", "s4999") == [0.0, 2048.0, 4999.0]


def test_a_server_that_is_down_is_unavailable_and_a_repeat_succeeds(features: RedisFeatures, server: HashServer) -> None:
    server.down = True
    with pytest.raises(Unavailable, match="AIOPS_BROKER__URL"):
        features.write_services(service_rows(ServiceRow("a", NOW, 1.0)))
    with pytest.raises(Unavailable):
        values(features, "a")
    server.down = False
    assert features.write_services(service_rows(ServiceRow("a", NOW, 1.0))) == 1


def test_a_refused_write_drops_the_connection_and_can_be_repeated(features: RedisFeatures, server: HashServer) -> None:
    server.refuse_after = 0
    with pytest.raises(Unavailable, match="OOM"):
        features.write_services(service_rows(ServiceRow("a", NOW, 1.0), ServiceRow("b", NOW, 1.0)))
    assert server.disconnects == 1
    assert features.write_statistics.written_total == 0
    server.refuse_after = 1 << 30
    server.hashes.clear()
    assert features.write_services(service_rows(ServiceRow("a", NOW, 1.0))) == 1


def test_a_client_that_decodes_text_is_refused() -> None:
    client: Any = HashServer(decode_responses=True)
    with pytest.raises(ConfigurationError, match="decode_responses"):
        RedisFeatures(client)


def test_views_of_two_entities_are_refused(features: RedisFeatures) -> None:
    with pytest.raises(ConfigurationError, match="one entity"):
        features.read(VIEWS, ["a"], NOW)


def test_a_value_of_another_type_is_a_broken_contract(features: RedisFeatures, server: HashServer) -> None:
    features.write_services(service_rows(ServiceRow("a", NOW, 1.0)))
    (stored,) = server.hashes.values()
    stored[feast_layout.feature_field("service_context", "hour")] = b"\x20\x01"
    with pytest.raises(ContractError, match="double"):
        values(features, "a")


def test_an_extreme_double_comes_back_exactly() -> None:
    numbers = np.array([0.0, -0.0, 5e-324, -1.7e308, np.inf])
    cells = [b"\x29" + number.tobytes() for number in numbers]
    assert feast_layout.decode_doubles(cells).tobytes() == numbers.tobytes()


@pytest.mark.parametrize("damaged", [b"\x08", b"\x1a\x00", b"\x08\x80"])
def test_damaged_times_are_a_broken_contract(damaged: bytes) -> None:
    with pytest.raises(ContractError):
        feast_layout.decode_time(damaged)


def test_views_cover_every_feature_exactly_once() -> None:
    assert sorted(f for view in SERVICE_VIEWS for f in view.features) == sorted(SERVICE_FEATURES)
    assert [f for view in SERIES_VIEWS for f in view.features] == list(SERIES_FEATURES)
    assert all(describe(f) for view in VIEWS for f in view.features)
    assert {name for service in FEATURE_SERVICES for name in service.views} <= {view.name for view in VIEWS}


def test_a_view_of_unknown_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        ViewSpec("v", "service", SERVICE_FEATURES_TABLE, ("nonsense",), 60, "")
