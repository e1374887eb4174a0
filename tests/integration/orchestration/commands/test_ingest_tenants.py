"""A file that names tenants: each row goes to the lake of its own tenant, the account holds, nobody sees another's rows."""

import json
from pathlib import Path

import pytest

from data_contracts.series.key import SeriesKey
from orchestration.cli import run
from orchestration.workspace.workspace import Workspace

ROWS = """timestamp,tenant,service,metric,value
2025-03-01T00:00:00Z,,acme/cart,latency_p50_ms,1
2025-03-01T00:00:00Z,acme,cart,latency_p50_ms,2
2025-03-01T00:00:00Z,beta,cart,latency_p50_ms,3
2025-03-01T00:01:00Z,beta,cart,latency_p50_ms,-1
2025-03-01T00:02:00Z,acme,cart,latency_p50_ms,4
2025-03-01T00:02:00Z,acme,cart,latency_p50_ms,4
2025-03-01T00:03:00Z,no/tenant,cart,latency_p50_ms,5
"""


@pytest.fixture(autouse=True)
def file(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def _ids(tenant: str | None = None) -> list[int]:
    return sorted(set(Workspace.open(tenant=tenant).lake.read("telemetry")["series_id"].to_pylist()))


def test_rows_go_to_the_tenant_they_name(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingest", "--source", "csv", "--path", str(file), "--json"]) == 0
    account = json.loads(capsys.readouterr().out)
    assert (account["read"], account["stored"], account["already_there"], account["rejected"]) == (7, 4, 1, 2)
    assert account["tenants"] == {"default": 1, "acme": 3, "beta": 1}
    assert _ids() == [SeriesKey("default", "acme/cart", "latency_p50_ms").series_id]
    assert _ids("acme") == [SeriesKey("acme", "cart", "latency_p50_ms").series_id]
    assert _ids("beta") == [SeriesKey("beta", "cart", "latency_p50_ms").series_id]
    assert Workspace.open(tenant="acme").lake.read("telemetry")["value"].to_pylist() == [2.0, 4.0]
    assert Workspace.open(tenant="beta").lake.read("rejected")["reason"].to_pylist() == ["out_of_range"]
    assert Workspace.open(tenant="acme").lake.read("rejected").num_rows == 0


def test_rows_that_name_none_are_those_of_the_tenant_of_the_command(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_TENANT", "default")
    assert run(["--tenant", "gamma", "ingest", "--source", "csv", "--path", str(file)]) == 0
    assert _ids("gamma") == [SeriesKey("gamma", "acme/cart", "latency_p50_ms").series_id]
    assert _ids("acme") == [SeriesKey("acme", "cart", "latency_p50_ms").series_id]
    assert _ids("default") == []


def test_nothing_accepted_ends_with_a_true_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("timestamp,service,metric,value\n2025-03-01T00:00:00Z,cart,latency_p50_ms,-1\n")
    assert run(["ingest", "--source", "csv", "--path", str(bad)]) == 4
    assert "0 of 1 rows were accepted (1 out_of_range)" in capsys.readouterr().err


def test_a_workspace_of_a_tenant_has_its_settings_too() -> None:
    space = Workspace.open(tenant="acme")
    assert (space.tenant, space.settings.tenant) == ("acme", "acme")
