"""Two tenants share a home: every table of the lake and every command that reads it shows a tenant its own rows alone."""

import shlex
from datetime import UTC, datetime, timedelta
from math import sin
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_contracts.series.key import series_ids
from data_contracts.series.text import series_of
from data_contracts.telemetry.series_rows import with_series_id
from orchestration.cli import run
from orchestration.pipeline.features import Window, build_features
from orchestration.workspace.workspace import Workspace
from serving.lake import opening
from serving.lake.lake_tables import LAKE_TABLES
from serving.lake.opening import open_lake

MINE, THEIRS = "acme", "beta"
SERVICE = {MINE: "till-of-acme", THEIRS: "desk-of-beta"}
START = datetime(2025, 3, 1, tzinfo=UTC)
HOURS = 24

READING = {
    "detections": True,
    "forecast": True,
    "rejected list": True,
    "graph show": True,
    "graph history": True,
    "changes list --since 2020-01-01": True,
}
"""Commands that read the lake; True = what they print names a service of the tenant."""


def _cell(kind: pa.DataType, text: str) -> Any:
    """Return a cell of a type."""
    if pa.types.is_string(kind):
        return text
    if pa.types.is_timestamp(kind):
        return START
    if pa.types.is_boolean(kind):
        return True
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return None
    return 1


def _row(table: str, tenant: str) -> pa.Table:
    schema = LAKE_TABLES[table].schema
    row = {field.name: "" if field.name == "labels" else _cell(field.type, SERVICE[tenant]) for field in schema}
    return pa.Table.from_pylist([row], schema=schema)


@pytest.mark.parametrize("table", LAKE_TABLES)
def test_no_table_shows_the_rows_of_another_tenant(tmp_path: Path, table: str) -> None:
    lakes = open_lake(tmp_path)
    for tenant in (MINE, THEIRS):
        lakes.for_tenant(tenant).write(table, _row(table, tenant), "the-same-key")
    for tenant in (MINE, THEIRS):
        rows = lakes.for_tenant(tenant).read(table)
        assert rows.equals(_row(table, tenant))
    assert lakes.for_tenant("default").read(table).num_rows == 0


def test_control_a_lake_that_forgets_the_tenant_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "folder_of", lambda _: "tenant=one")
    with pytest.raises(AssertionError):
        test_no_table_shows_the_rows_of_another_tenant(tmp_path, "telemetry")


def _csv(tenant: str) -> str:
    """Return telemetry of one service of a tenant with one bad row, as a file."""
    lines = ["timestamp,service,metric,value"]
    for minute in range(60 * HOURS):
        at = START + timedelta(minutes=minute)
        lines.append(
            f"{at.isoformat()},{SERVICE[tenant]},memory_utilization,{0.5 + 0.3 * sin(minute / 20) + 0.01 * (minute % 7):.4f}"
        )
    lines.append(f"{START.isoformat()},{SERVICE[tenant]},latency_p50_ms,-1")
    return "\n".join(lines) + "\n"


def _detection(tenant: str) -> pa.Table:
    row = _row("detections", tenant).drop_columns(["series_id", "metric", "labels", "anomalous"])
    row = row.append_column("metric", pa.array(["latency_p50_ms"])).append_column("labels", pa.array([""]))
    row = with_series_id(row, tenant).append_column("anomalous", pa.array([True]))
    return row.select(LAKE_TABLES["detections"].schema.names)


@pytest.fixture
def spaces(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Workspace]:
    """Return the workspaces of two tenants that ingested, detected, changed and imported the same things, each by its names."""
    monkeypatch.setenv("AIOPS_HOME", str(home))
    monkeypatch.setenv("AIOPS_TENANT", "default")
    for tenant, service in SERVICE.items():
        (tmp_path / f"{tenant}.csv").write_text(_csv(tenant))
        (tmp_path / f"{tenant}-calls.csv").write_text(f"caller,callee\nweb-{service},{service}\n")
        change = f"at,service,kind,what\n{START.isoformat()},{service},deployment,v2\n"
        (tmp_path / f"{tenant}-changes.csv").write_text(change)
        for command in (
            f"ingest --source csv --path {tmp_path / tenant}.csv",
            f"graph import --edges {tmp_path / tenant}-calls.csv",
            f"changes import --path {tmp_path / tenant}-changes.csv",
        ):
            assert run(["--tenant", tenant, *shlex.split(command)]) == 0, command
        Workspace.open(tenant=tenant).lake.add("detections", _detection(tenant))
    return {tenant: Workspace.open(tenant=tenant) for tenant in SERVICE}


def test_no_command_shows_the_rows_of_another_tenant(spaces: dict[str, Workspace], capsys: pytest.CaptureFixture[str]) -> None:
    for command, marks in READING.items():
        for tenant, other in ((MINE, THEIRS), (THEIRS, MINE), ("default", MINE)):
            capsys.readouterr()
            code = run(["--tenant", tenant, *shlex.split(command)])
            printed = "".join(capsys.readouterr())
            assert SERVICE[other] not in printed, (command, tenant)
            if tenant in SERVICE:
                assert code == 0, (command, printed)
                assert not marks or SERVICE[tenant] in printed, (command, printed)


def test_features_of_one_tenant_leave_the_other_as_it_was(spaces: dict[str, Workspace]) -> None:
    end = START + timedelta(hours=HOURS)

    def build(space: Workspace) -> None:
        build_features(space, Window(START, end), lambda _: None)

    build(spaces[MINE])
    assert spaces[MINE].lake.read("service_features")["service"].unique().to_pylist() == [SERVICE[MINE]]
    assert spaces[THEIRS].lake.read("service_features").num_rows == 0
    features = spaces[MINE].lake.read("service_features")
    build(spaces[THEIRS])
    assert spaces[MINE].lake.read("service_features").to_pandas().equals(features.to_pandas())
    theirs = spaces[THEIRS].lake.read("service_features")
    names = [name for name in features.column_names if name != "service"]
    assert theirs.select(names).to_pandas().equals(features.select(names).to_pandas())


def test_ids_differ_where_only_the_tenant_does() -> None:
    keys = [series_of("cart|up", tenant) for tenant in (MINE, THEIRS)]
    assert len(set(series_ids(keys).tolist())) == 2
