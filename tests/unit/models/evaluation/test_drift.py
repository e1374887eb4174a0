"""The drift measure on a simulated application: it is quiet on ordinary days, nights and incidents, and loud on a new level."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError
from aiops.simulator.simulation_config import DriftSpec, SimulationConfig
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.telemetry_schemas import EDGES, SERVICE_FEATURES
from models.evaluation.drift import DRIFT_COLUMNS, DriftPolicy, DriftReport, mask_incidents, match_season, measure_drift
from tests.testing.simulated_rows import MONDAY, Rows, service_rows

pytestmark = [
    # Evidently 0.7 changes numpy's scalar types through an alias that numpy 2 deprecates.
    pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning"),
    # Importing Evidently imports its web server, written for an older litestar.
    pytest.mark.filterwarnings("ignore:Call to deprecated function 'Dependency':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Use of deprecated class 'DependencyKwarg':DeprecationWarning"),
]
POLICY = DriftPolicy(reference_rows=1500)
HISTORY_H = 66.0


@cache
def quiet() -> Rows:
    """Return three and a half days of six services without a drift; hour 0 is a Monday, midnight UTC."""
    return service_rows(SimulationConfig(seed=1, services=6, hours=84, incidents_per_day=2.0))


@cache
def shifted() -> Rows:
    """Return another application, with a new level from hour 72 on for 60 % of its services."""
    drift = DriftSpec("level", start_h=72, magnitude=0.8, share=0.6, ramp_min=0)
    return service_rows(SimulationConfig(seed=2, services=6, hours=84, incidents_per_day=2.0, drift=drift))


def masked(rows: Rows, first_h: float, last_h: float) -> pd.DataFrame:
    return mask_incidents(rows.between(first_h, last_h), rows.incidents, rows.graph)


def measured(rows: Rows, first_h: float, last_h: float) -> DriftReport:
    return measure_drift(masked(rows, 0, HISTORY_H), masked(rows, first_h, last_h), POLICY, html=False)


@pytest.mark.parametrize(("simulated", "first_h"), [(quiet, 67.0), (quiet, 76.0), (shifted, 64.0)])
def test_ordinary_operation_is_no_drift(simulated: Callable[[], Rows], first_h: float) -> None:
    report = measured(simulated(), first_h, first_h + 8)
    assert report.checked, report.reason
    assert not report.drifted, report.reason
    assert report.reason.startswith("no drift: ")


def test_new_level_is_drift_and_the_reason_names_it() -> None:
    report = measured(shifted(), 74, 82)
    assert report.drifted, report.reason
    assert next(column.column for column in sorted(report.columns, key=lambda drift: -drift.score)) == "latency_level"
    assert "latency_level" in report.reason
    assert 0 < report.share <= 1


def test_night_is_no_drift_but_the_same_numbers_at_noon_are() -> None:
    night = masked(quiet(), 75, 81)
    calm = measure_drift(masked(quiet(), 0, HISTORY_H), night, POLICY, html=False)
    assert calm.checked
    assert not calm.drifted, calm.reason
    at_noon = night.assign(event_timestamp=night["event_timestamp"] - timedelta(hours=12))
    control = measure_drift(masked(quiet(), 0, HISTORY_H), at_noon, POLICY, html=False)
    assert control.drifted, control.reason


def test_matched_reference_has_the_hours_of_the_current_rows() -> None:
    rows = quiet()
    night = rows.between(75, 81)
    reference, current = match_season(rows.between(0, HISTORY_H), night, 20_000)
    hours = reference["event_timestamp"].dt.hour.value_counts(normalize=True)
    assert set(hours.index) == {3, 4, 5, 6, 7, 8}
    assert hours.max() - hours.min() < 0.02
    assert len(current) == len(night)
    assert reference["event_timestamp"].is_monotonic_increasing


def test_hours_without_a_reference_are_left_out() -> None:
    rows = quiet()
    reference, current = match_season(rows.between(0, 6), rows.between(76, 84), 20_000)
    assert set(current["event_timestamp"].dt.hour) == {4, 5}
    assert set(reference["event_timestamp"].dt.hour) == {4, 5}


@pytest.mark.parametrize("day", [5, 6])
def test_at_a_weekend_levels_are_not_compared_with_working_days(day: int) -> None:
    weekend = grid(300, hours=6, start_h=24.0 * day)
    report = measure_drift(grid(400, hours=24), weekend, POLICY, html=False)
    compared = {column.column for column in report.columns}
    assert report.checked
    assert compared
    assert not any(name.endswith(("_level", "_slope_per_min")) or name == "minutes_to_limit" for name in compared)
    assert any(text.startswith("traffic_level: the reference has too few rows of these hours") for text in report.screened)


def test_incident_is_masked_with_all_that_it_reaches_and_nothing_else() -> None:
    graph = calls([("web", "cart"), ("cart", "database"), ("web", "search"), ("billing", "ledger")])
    rows = grid(1, services=("web", "cart", "database", "search", "billing", "ledger"), hours=10)
    left = mask_incidents(rows, incident("cart", onset_h=3, end_h=5), graph, margin_min=30)
    gone = rows.loc[rows.index.difference(left.index)]
    assert set(gone["service"]) == {"web", "cart", "database"}  # its callers and its callees
    hours = (gone["event_timestamp"] - pd.Timestamp(MONDAY)) / timedelta(hours=1)
    assert hours.min() == 3.0
    assert hours.max() == 5.5
    assert len(gone) == 3 * 31  # every 5 min of [3 h, 5.5 h]


def test_masking_reaches_indirect_callers_through_a_cycle() -> None:
    graph = calls([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")])
    rows = grid(1, services=("a", "b", "c", "d"), hours=2)
    assert mask_incidents(rows, incident("c", onset_h=0, end_h=2), graph).empty


def test_incidents_are_strange_unless_masked() -> None:
    rows = quiet()
    inside = rows.between(0, 84).drop(index=masked(rows, 0, 84).index)
    assert len(inside) > 100
    outside = masked(rows, 0, 84)
    assert inside["abnormal_share"].mean() > 2 * outside["abnormal_share"].mean()


def test_unknown_and_constant_columns_are_screened_and_named() -> None:
    reference, current = grid(400, hours=24), grid(400, hours=24)
    reference["callers_worst"] = 0.5
    current["minutes_to_limit"] = np.nan
    report = measure_drift(reference, current.drop(columns="score"), POLICY, html=False)
    assert report.checked
    named = {name.partition(":")[0]: name for name in report.screened}
    assert set(named) == {"callers_worst", "minutes_to_limit", "score"}
    assert "constant" in named["callers_worst"]
    assert "known in fewer than" in named["minutes_to_limit"]
    assert "absent" in named["score"]
    assert {column.column for column in report.columns} == set(DRIFT_COLUMNS) - {"callers_worst", "minutes_to_limit"}
    assert report.prediction is None


def test_nothing_known_on_both_sides_is_not_checked() -> None:
    empty = grid(400, hours=24)
    empty[[*DRIFT_COLUMNS, "score"]] = np.nan
    report = measure_drift(grid(400, hours=24), empty, POLICY, html=False)
    assert not report.checked
    assert "no column is known" in report.reason


def test_too_few_rows_are_not_checked_and_the_reason_says_how_many() -> None:
    report = measure_drift(grid(400, hours=24), grid(199, hours=24), DriftPolicy(min_rows=200), html=False)
    assert (report.checked, report.drifted, report.share) == (False, False, 0.0)
    assert report.reason == "not checked: 199 rows were served outside incidents; at least 200 are needed"
    assert report.rows_current == 199


@pytest.mark.parametrize("side", ["reference", "current"])
def test_missing_columns_are_an_error_that_names_side_and_column(side: str) -> None:
    frames = {"reference": grid(400, hours=24), "current": grid(400, hours=24)}
    frames[side] = frames[side].drop(columns="latency_level")
    with pytest.raises(ConfigurationError, match=rf"{side} rows lack the columns \['latency_level'\]"):
        measure_drift(frames["reference"], frames["current"], POLICY)


def grid(rows: int, services: tuple[str, ...] = ("a",), hours: float = 24, start_h: float = 0) -> pd.DataFrame:
    """Return random service vectors spread evenly over some hours: `rows` of one service, or one each 5 min of several."""
    rng = np.random.default_rng(3)
    count = rows if len(services) == 1 else int(hours * 12)
    begin = pd.Timestamp(MONDAY + timedelta(hours=start_h))
    step = timedelta(minutes=5) if len(services) > 1 else timedelta(hours=hours) / count
    times = [begin + step * number for number in range(count)] * len(services)
    values = {name: rng.random(len(times)) for name in (*SERVICE_FEATURES, "score")}
    names = np.repeat(services, count)
    return pd.DataFrame({"service": names, "event_timestamp": pd.DatetimeIndex(times).as_unit("us"), **values})


def calls(pairs: Sequence[tuple[str, str]]) -> ServiceGraph:
    rows = [{"caller": caller, "callee": callee, "valid_from": MONDAY} for caller, callee in pairs]
    return ServiceGraph.from_edges(pa.Table.from_pylist(rows, schema=EDGES))


def incident(service: str, onset_h: float, end_h: float) -> pd.DataFrame:
    onset, end = (pd.Timestamp(MONDAY + timedelta(hours=hours)) for hours in (onset_h, end_h))
    return pd.DataFrame([{"service": service, "onset_at": onset, "starts_at": onset, "ends_at": end, "known_at": end}])
