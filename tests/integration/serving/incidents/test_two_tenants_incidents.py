"""Two tenants walk every route, command and table of incidents: neither sees nor changes the other's; what leaks is found out."""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from sqlalchemy import ColumnElement, FromClause, true

from aiops.settings.tree import Settings
from orchestration.cli import app as commands
from orchestration.cli import run
from serving.incidents.api.ports import TenantParts
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_tables import METADATA
from serving.incidents.store.tenant_connection import Statement, TenantConnection
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from tests.testing.incident_api import RunningApi, bearer, running
from tests.testing.two_tenants import TENANTS, filled, kept_of, this_second

KEY = "an-hs256-secret-for-this-test-only-0123456789"
MINE, THEIRS = TENANTS
UNTIL = (this_second() + timedelta(hours=2)).isoformat()
ALERT = {"status": "firing", "labels": {"alertname": "down", "service": "till"}, "startsAt": this_second().isoformat()}


@dataclass(frozen=True)
class Call:
    """One call of a route: `path` with {i}, {j} for incidents; `shows_tenant` = the answer holds something of the tenant."""

    method: str
    path: str
    body: Any = None
    shows_tenant: bool = True
    changes: bool = False


def post(path: str, body: Any, shows_tenant: bool = True) -> Call:
    return Call("POST", path, body, shows_tenant, changes=True)


CALLS = {
    "get_incidents": Call("GET", "/incidents"),
    "get_incidents_incident_id": Call("GET", "/incidents/{i}"),
    "get_incidents_incident_id_alerts": Call("GET", "/incidents/{i}/alerts"),
    "get_incidents_incident_id_root_cause": Call("GET", "/incidents/{i}/root_cause"),
    "get_incidents_incident_id_timeline": Call("GET", "/incidents/{i}/timeline"),
    "get_incidents_incident_id_evidence_svg": Call("GET", "/incidents/{i}/evidence.svg", shows_tenant=False),
    "get_held_back": Call("GET", "/held-back", shows_tenant=False),
    "get_silences": Call("GET", "/silences"),
    "get_maintenance": Call("GET", "/maintenance"),
    "get_audit": Call("GET", "/audit"),
    "get_audit_check": Call("GET", "/audit/check", shows_tenant=False),
    "get_graph": Call("GET", "/graph"),
    "get_changes": Call("GET", "/changes?since=2020-01-01T00:00:00Z"),
    "get_events": Call("GET", "/events?after=0", shows_tenant=False),
    "get_metrics": Call("GET", "/metrics", shows_tenant=False),
    "get_docs_json": Call("GET", "/docs.json", shows_tenant=False),
    "get_livez": Call("GET", "/livez", shows_tenant=False),
    "get_readyz": Call("GET", "/readyz", shows_tenant=False),
    "get": Call("GET", "/", shows_tenant=False),
    "get_open_incident_id": Call("GET", "/open/{i}", shows_tenant=False),
    "post_incidents_incident_id_acknowledge": post("/incidents/{i}/acknowledge", {"note": "mine"}),
    "post_incidents_incident_id_mitigate": post("/incidents/{i}/mitigate", {"note": "mine"}),
    "post_incidents_incident_id_resolve": post("/incidents/{i}/resolve", {"note": "mine"}),
    "post_incidents_incident_id_merge": post("/incidents/{j}/merge", {"into": "{k}"}),
    "post_incidents_incident_id_verdict": post("/incidents/{i}/verdict", {"kind": "true"}),
    "post_silences": post("/silences", {"name": "s2", "matchers": [{"label": "service", "value": "x"}], "ends_at": UNTIL}, False),
    "post_maintenance": post("/maintenance", {"name": "m2", "matchers": [{"label": "a", "value": "x"}], "ends_at": UNTIL}, False),
    "delete_silences_name": Call("DELETE", "/silences/quiet", shows_tenant=False, changes=True),
    "delete_maintenance_name": Call("DELETE", "/maintenance/work", shows_tenant=False, changes=True),
    "post_changes": post("/changes", {"service": "cart", "what": "mine"}, False),
    "post_alerts_alertmanager": post("/alerts/alertmanager", {"version": "4", "alerts": [ALERT]}, False),
    "post_alerts_webhook_name": post("/alerts/webhook/shop", {"service": "till", "name": "down"}, False),
}
"""By operation. In this order: what reads comes before what changes."""


@dataclass
class Walk:
    """What one tenant may do, done over an API on which two have the same incidents; `faults` is what is not as it should be."""

    api: RunningApi
    database: IncidentDatabase
    lakes: dict[str, Lake]
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = this_second()
        self.ids = {tenant: filled(self.database, lake, now) for tenant, lake in self.lakes.items()}

    def go(self) -> list[str]:
        """Walk all routes, as the description lists them; return the faults."""
        listed = self.api.client.get("/docs.json", headers=bearer("viewer", tenants=["*"])).json()["paths"]
        operations = {value["operationId"] for path in listed.values() for value in path.values()}
        self.faults += [f"{name}: no call walks it" for name in sorted(operations ^ CALLS.keys())]
        for name in CALLS:
            self.walk(name)
        return self.faults

    def walk(self, name: str) -> None:
        """Make one call as the first tenant, and try it for the second."""
        call = self.named(CALLS[name])
        before = [kept_of(self.database, self.lakes[tenant]) for tenant in (MINE, THEIRS)]
        answer = self.send(call, {"x-scope-orgid": MINE})
        after = [kept_of(self.database, self.lakes[tenant]) for tenant in (MINE, THEIRS)]
        if not answer.is_success:
            self.faults.append(f"{name}: {answer.status_code} {answer.text[:200]}")
        if THEIRS in answer.text:
            self.faults.append(f"{name}: the answer tells of the other tenant")
        if call.shows_tenant and MINE not in answer.text:
            self.faults.append(f"{name}: the answer tells nothing of the tenant itself")
        if before[1] != after[1]:
            self.faults.append(
                f"{name}: changed {[table for table in after[1] if before[1][table] != after[1][table]]} of the other"
            )
        if call.changes != (before[0] != after[0]):
            self.faults.append(f"{name}: changed nothing of its own, or something in spite of only reading")
        if name not in ("get_metrics", "get_docs_json", "get_livez", "get_readyz", "get", "get_open_incident_id"):
            self.refused(name, call)

    def refused(self, name: str, call: Call) -> None:
        """Try a call for the second tenant with a token of the first."""
        before = kept_of(self.database, self.lakes[THEIRS])
        answer = self.send(call, {"x-scope-orgid": THEIRS})
        problem = answer.json() if answer.headers["content-type"].startswith("application/problem+json") else {}
        named = (answer.status_code, problem.get("value"), "tenants" in problem.get("rule", ""))
        if named != (403, THEIRS, True):
            self.faults.append(f"{name}: a token of another tenant is answered {named}")
        if before != kept_of(self.database, self.lakes[THEIRS]):
            self.faults.append(f"{name}: a call that was refused changed something")

    def named(self, call: Call) -> Call:
        i, j, k, _ = self.ids[MINE]
        body = json.loads(json.dumps(call.body).replace("{k}", k))
        return replace(call, path=call.path.replace("{i}", i).replace("{j}", j), body=body)

    def send(self, call: Call, headers: dict[str, str]) -> httpx.Response:
        headers = {**headers, **bearer("admin", f"ann of {MINE}", [MINE])}
        if not call.path.startswith("/events"):
            body = None if call.body is None else json.dumps(call.body)
            sent = {**headers, "content-type": "application/json"} if call.method == "POST" else headers
            return self.api.client.request(call.method, call.path, content=body, headers=sent)
        with self.api.client.stream("GET", call.path, headers=headers) as answer:
            reply = "" if answer.status_code == 200 else answer.read().decode()
            for line in answer.iter_lines() if not reply else ():
                reply += line + "\n"
                if ": alive" in line:
                    break
            return httpx.Response(answer.status_code, headers={"content-type": answer.headers["content-type"]}, text=reply)


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Callable[[], Walk]]:
    from serving.incidents.intake.alert_sources import AlertSource, AlertSources

    sources = AlertSources(sources={"shop": AlertSource(service="service", name="name")})
    with running(tmp_path, KEY, sources=sources) as api:
        lakes = {tenant: api.tenants.lake(tenant) for tenant in TENANTS}
        yield lambda: Walk(api, api.tenants.database, lakes)


def test_no_route_sees_or_changes_another_tenants(walk: Callable[[], Walk]) -> None:
    walked = walk()
    assert walked.ids[MINE] == walked.ids[THEIRS], "equal alerts have equal ids: nothing but the tenant tells them apart"
    kept = kept_of(walked.database, walked.lakes[THEIRS])
    assert [table for table, rows in kept.items() if not rows] == [], "every table has something that could be seen"
    assert {table.name for table in METADATA.tables.values()} <= kept.keys()
    assert walked.go() == []


def test_a_store_that_ignores_the_tenant_is_detected(walk: Callable[[], Walk], monkeypatch: pytest.MonkeyPatch) -> None:
    def own(_self: TenantConnection, _table: FromClause) -> ColumnElement[bool]:
        return true()

    def unchecked(_self: TenantConnection, _statement: Statement) -> None:
        return

    walked = walk()
    monkeypatch.setattr(TenantConnection, "own", own)
    monkeypatch.setattr(TenantConnection, "_check", unchecked)
    leaky = (
        *("get_incidents", "get_audit", "get_silences", "get_incidents_incident_id_alerts"),
        *("delete_silences_name", "post_incidents_incident_id_resolve"),
    )
    for name in leaky:
        walked.faults.clear()
        walked.walk(name)
        assert walked.faults, name


def test_a_handler_bound_to_another_tenant_is_detected(walk: Callable[[], Walk]) -> None:
    walked = walk()
    own, theirs = walked.api.tenants(MINE), walked.api.tenants(THEIRS)
    leaky = {
        "store": "get_incidents",
        "desk": "post_silences",
        "graphs": "get_graph",
        "changes": "get_changes",
        "teaching": "post_incidents_incident_id_verdict",
    }
    for part, name in leaky.items():
        walked.api.tenants.known[MINE] = bound(own, theirs, part)
        walked.faults.clear()
        walked.walk(name)
        assert walked.faults, part


def bound(own: TenantParts, theirs: TenantParts, part: str) -> TenantParts:
    return replace(own, **{part: getattr(theirs, part)})


def test_a_webhook_may_name_its_tenant_in_the_query(walk: Callable[[], Walk]) -> None:
    walked = walk()
    body, token = {"version": "4", "alerts": [ALERT]}, bearer("operator", tenants=[MINE])
    counts = [walked.api.tenants(tenant).store.counts for tenant in TENANTS]  # type: ignore[attr-defined]
    before = [count()["inbox"] for count in counts]
    post = walked.api.client.post
    assert post(f"/alerts/alertmanager?tenant={MINE}", json=body, headers=token).status_code == 202
    assert [count()["inbox"] for count in counts] == [before[0] + 1, before[1]]
    assert post(f"/alerts/alertmanager?tenant={THEIRS}", json=body, headers=token).status_code == 403
    both = {**token, "x-scope-orgid": THEIRS}
    assert post(f"/alerts/alertmanager?tenant={MINE}", json=body, headers=both).status_code == 400
    assert post("/alerts/alertmanager", json=body, headers=token).status_code == 403, "without a name it is the default tenant's"


def test_a_signed_webhook_is_of_its_sources_tenant(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from pydantic import SecretStr

    from serving.http.signature import signed_headers
    from serving.incidents.intake.alert_sources import AlertSource, AlertSources

    source = AlertSource(secret=SecretStr("a-secret-of-the-source"), service="service", name="name", tenant=MINE)
    body = json.dumps({"service": "till", "name": "down"}).encode()
    with running(tmp_path, KEY, sources=AlertSources(sources={"shop": source})) as api:
        signed = {**signed_headers("a-secret-of-the-source", body, datetime.now(UTC)), "content-type": "application/json"}
        assert api.client.post("/alerts/webhook/shop", content=body, headers=signed).status_code == 202
        assert api.tenants(MINE).store.counts()["inbox"] == 1  # type: ignore[attr-defined]
        other = {**signed, "x-scope-orgid": THEIRS}
        assert api.client.post("/alerts/webhook/shop", content=body, headers=other).status_code == 403


COMMANDS = {
    "incidents list": "",
    "incidents show": "{i}",
    "incidents held-back": "",
    "incidents audit": "",
    "incidents silence list": "",
    "incidents maintenance list": "",
    "rca explain": "{i}",
    "rca ask": "--service cart --at 2026-01-01T00:00:00Z",
    "changes list": "",
    "graph show": "",
    "graph history": "",
    "graph learn": None,
    "incidents ack": "{i}",
    "incidents mitigate": "{i}",
    "incidents resolve": "{i}",
    "incidents merge": "{k} {j}",
    "incidents verdict": "{i} --true",
    "incidents silence add": "s2 service=x --for 1h",
    "incidents silence remove": "quiet",
    "incidents maintenance add": "m2 service=x --for 1h",
    "incidents maintenance remove": "work",
    "changes import": "--path {folder}/changes.csv",
    "graph import": "--edges {folder}/edges.csv",
}
"""Command: its words; None = it needs telemetry, and its own test has it."""


def leaves(group: Any, words: str = "") -> Iterator[str]:
    """Yield the commands below a group."""
    below = getattr(group, "commands", None)
    if below is None:
        yield words
    else:
        for name, command in below.items():
            yield from leaves(command, f"{words} {name}".strip())


def test_no_command_sees_or_changes_another_tenants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = ("incidents", "rca", "changes", "graph")
    known = {words for words in leaves(typer.main.get_command(commands)) if words.split()[0] in groups}
    assert known == COMMANDS.keys(), "a command that nobody walks"
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    monkeypatch.setenv("AIOPS_TENANT", "default")
    (tmp_path / "changes.csv").write_text("at,service,kind,what\n2026-01-01T00:00:00Z,cart,deployment,mine\n")
    (tmp_path / "edges.csv").write_text("caller,callee\nweb,cart\n")
    settings = Settings(home=tmp_path)
    lakes = {tenant: open_lake(settings).for_tenant(tenant) for tenant in TENANTS}
    now = this_second()
    with IncidentDatabase.open(settings.incident_store_url) as database:
        (i, j, k, _), _theirs = (filled(database, lake, now) for lake in lakes.values())
        before = kept_of(database, lakes[THEIRS])
        for words, given in COMMANDS.items():
            if given is None:
                continue
            command = given.format(i=i, j=j, k=k, folder=tmp_path)
            assert run(["--tenant", MINE, *shlex.split(f"{words} {command} --json")]) == 0, words
            printed = capsys.readouterr().out
            assert THEIRS not in printed, words
            assert kept_of(database, lakes[THEIRS]) == before, words
        assert run(["--tenant", "shop", "incidents", "show", i]) != 0
