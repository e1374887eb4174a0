"""Expectations of lake partitions: what passes, what fails, and the words that say why."""

import math
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_contracts.expectations import RULES, FailedExpectation, PartitionReport, check_partition
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES, SERVICE_FEATURES

ROWS = 60
START = datetime(2026, 3, 1, tzinfo=UTC)


def minutes(offset: int = 0) -> Any:
    return pd.DatetimeIndex([START + timedelta(minutes=offset + row // 2) for row in range(ROWS)]).as_unit("us")


def telemetry() -> Any:
    """Return a partition that meets its expectations."""
    return pd.DataFrame(
        {
            "timestamp": minutes(),
            "series_id": [1, 2] * (ROWS // 2),
            "service": ["cart"] * ROWS,
            "metric": ["cpu_utilization", "queue_length"] * (ROWS // 2),
            "labels": [""] * ROWS,
            "value": [0.5, 5000.0] * (ROWS // 2),
            "available_at": minutes(),
        }
    )


def features(names: tuple[str, ...], **columns: Any) -> pd.DataFrame:
    cells: dict[str, Any] = {"event_timestamp": minutes(), "available_at": minutes(1), **columns}
    cells.update({name: np.full(ROWS, 0.5) for name in names})
    return pd.DataFrame(cells)


def partition(table: str) -> Any:
    """Return a partition of `table` that meets its expectations."""
    services = ["cart", "pay"] * (ROWS // 2)
    if table == "telemetry":
        return telemetry()
    if table == "series_features":
        series = [f"{service}|cpu" for service in services]
        names = {"series_id": [1, 2] * (ROWS // 2), "service": services, "metric": ["cpu"] * ROWS, "labels": [""] * ROWS}
        return features(SERIES_FEATURES, series=series, **names)
    if table == "service_features":
        return features(SERVICE_FEATURES, service=services)
    identity = {"incident_id": [f"i{row}" for row in range(ROWS)], "service": services, "kind": ["memory_leak"] * ROWS}
    times = {name: minutes(at) for at, name in enumerate(("onset_at", "starts_at", "ends_at", "known_at"))}
    return pd.DataFrame({**identity, **times})


def failures(table: str, frame: pd.DataFrame) -> dict[str, FailedExpectation]:
    """Return the failed checks by column."""
    report = check_partition(table, frame)
    assert report.success == (not report.failed)
    return {failure.column: failure for failure in report.failed}


@pytest.mark.parametrize("table", list(RULES))
def test_a_good_partition_passes(table: str) -> None:
    report = check_partition(table, partition(table))
    assert (report.failed, report.success, report.rows) == ((), True, ROWS)
    assert report.checks > 8
    assert report.describe() == f"{table}: {ROWS} rows meet all {report.checks} expectations"


@pytest.mark.parametrize("table", list(RULES))
def test_an_empty_partition_passes_where_its_columns_are_right(table: str) -> None:
    assert check_partition(table, partition(table).iloc[:0]).success
    assert not check_partition(table, partition(table).iloc[:0, 1:]).success


def test_each_violation_names_column_count_share_and_examples() -> None:
    frame = telemetry()
    frame.loc[0, "value"] = 1.7
    frame.loc[2, "value"] = -0.2
    frame.loc[3, "service"] = None
    frame.loc[4, "available_at"] = pd.NaT
    violations = failures("telemetry", frame)
    assert set(violations) == {"highest_valid/value", "value/lowest_valid", "service", "available_at"}
    above = violations["highest_valid/value"]
    assert (above.unexpected_count, above.unexpected_share) == (1, 1 / ROWS)
    assert "1.7" in above.examples[0]
    assert above.text.startswith("value must be at or below the highest valid value of its metric: 1 rows (1.67%)")
    assert violations["service"].text.startswith("service must not be null: 1 rows")


def test_a_row_that_is_there_twice_fails_but_a_later_correction_does_not() -> None:
    frame = telemetry()
    twice: Any = pd.concat([frame, frame.iloc[[7]]], ignore_index=True)
    (failure,) = check_partition("telemetry", twice).failed
    assert failure.text.startswith("timestamp, series_id, available_at must be unique: 2 rows")
    twice.loc[ROWS, "available_at"] += timedelta(minutes=5)
    assert check_partition("telemetry", twice).success


def test_wrong_columns_fail_in_words_and_the_others_are_still_checked() -> None:
    frame = telemetry().rename(columns={"available_at": "arrived"})
    frame.loc[0, "value"] = np.nan
    report = check_partition("telemetry", frame)
    texts = [failure.text for failure in report.failed]
    assert texts[0] == (
        "columns must be timestamp, series_id, service, metric, labels, value, available_at in this order; "
        "found timestamp, series_id, service, metric, labels, value, arrived"
    )
    assert texts[1].startswith("value must not be null")
    assert math.isnan(report.failed[0].unexpected_share)


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        ("value", ["1"] * ROWS, "value must have type float64; found cells of another type"),
        ("value", [1] * ROWS, "value must have type float64; found int64"),
        ("timestamp", minutes().tz_localize(None), "timestamp must have type Timestamp; found datetime64"),
        ("service", [7] * ROWS, "service must have type str; found int64"),
    ],
)
def test_wrong_types_fail(column: str, cells: Any, words: str) -> None:
    report = check_partition("telemetry", telemetry().assign(**{column: cells}))
    assert any(failure.text.startswith(words) for failure in report.failed)


def test_a_feature_that_is_available_before_its_tick_fails() -> None:
    frame = partition("service_features")
    frame.loc[9, "available_at"] = frame.loc[9, "event_timestamp"] - timedelta(seconds=1)
    (failure,) = check_partition("service_features", frame).failed
    assert failure.text.startswith("available_at must not be before event_timestamp: 1 rows")


def test_features_out_of_range_fail_and_unknown_ones_pass() -> None:
    frame = partition("service_features")
    frame["callers_abnormal_share"] = np.nan
    frame.loc[0, "callees_abnormal_share"] = 1.5
    frame.loc[1, "weekday"] = 7.0
    assert set(failures("service_features", frame)) == {"callees_abnormal_share", "weekday"}


def test_the_report_lists_every_failure() -> None:
    report = PartitionReport("t", 3, False, 9, (FailedExpectation("n", "c", 1, 0.5, ("x",), "c must be so"),))
    assert report.describe() == "t: 1 of 9 expectations are not met (3 rows)\n- c must be so"


def test_a_table_without_expectations_is_refused() -> None:
    with pytest.raises(ValueError, match="'edges' has no expectations; tables that do: telemetry"):
        check_partition("edges", telemetry())


def test_nothing_is_shown_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection was tried: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert check_partition("telemetry", telemetry()).success
    assert capfd.readouterr() == ("", "")
