"""The process that acts on incidents, whole: from a decided cause to a plan, an approval, a changed target and what is said."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from aiops.settings.tree import Settings
from serving.incidents.store.incident_store import IncidentStore
from tests.testing.deadlines import within
from tests.testing.explained_incidents import START, incident, report
from tests.testing.free_ports import free_port
from tests.testing.stream_harness import wait_until

RUNBOOK = """
runbook: old-checkout
title: Serve the old checkout
match: cause.service == "cart" && cause.probability >= 0.6
do:
  - action: feature_flag.file
    with: {file: "%s", flag: flags.checkout, value: old}
limits: {replica_share: 1.0}
verify: {settle: 1s, window: 5s}
"""


def shifted(value: Any, by: timedelta) -> Any:
    """Return plain data with each moment of the made-up incidents moved."""
    if isinstance(value, datetime):
        return value + by
    if isinstance(value, tuple):
        return tuple(shifted(part, by) for part in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{name: shifted(getattr(value, name), by) for name in value.__dataclass_fields__})
    return value


def stored_incident(store: IncidentStore) -> None:
    """Store the incident of the shop with its decided cause, as of now."""
    by = datetime.now(UTC) - START - timedelta(minutes=4)
    with store.writing() as writer:
        writer.put_incidents([shifted(incident(), by)])
        writer.put_report("inc-1", shifted(report(), by))


@contextmanager
def automation(home: Path, port: int) -> Iterator[str]:
    environment = {**os.environ, "AIOPS_HOME": str(home), "AIOPS_AUTOMATION__PORT": str(port)}
    environment |= {"AIOPS_AUTOMATION__FLAG_FOLDERS": str(home), "AIOPS_SETTINGS_FILE": ""}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "serving.automation"], env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        assert wait_until(lambda: is_ready(url), 60), (home / "log").read_text()
        yield url
    finally:
        process.terminate()
        assert process.wait(within(30)) == 0, (home / "log").read_text()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=within(5)).status_code == 200
    except httpx.HTTPError:
        return False


def items(url: str, path: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = httpx.get(f"{url}{path}", timeout=within(10)).json()["items"]
    return answer


def whole(url: str, plan_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{url}/plans/{plan_id}", timeout=within(10)).json()
    return answer


def test_a_decided_cause_is_planned_approved_and_acted_on(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    flags = home / "flags.json"
    flags.write_text(json.dumps({"flags": {"checkout": "new"}}))
    (home / "runbooks").mkdir()
    (home / "runbooks" / "old-checkout.yaml").write_text(RUNBOOK % flags)
    with IncidentStore.open(Settings(home=home).incident_store_url, "default") as store:
        stored_incident(store)
        with automation(home, free_port()) as url:
            assert wait_until(lambda: bool(items(url, "/plans")), 30), (home / "log").read_text()
            (plan,) = items(url, "/plans")
            assert json.loads(flags.read_text()) == {"flags": {"checkout": "new"}}, "planning changes nothing"
            stale = httpx.post(f"{url}/plans/{plan['plan_id']}/approve", json={"fingerprint": "0" * 64}, timeout=within(10))
            assert stale.status_code in (409, 422), stale.text
            body = {"fingerprint": whole(url, plan["plan_id"])["fingerprint"]}
            approved = httpx.post(f"{url}/plans/{plan['plan_id']}/approve", json=body, timeout=within(10))
            assert approved.status_code == 200, approved.text
            assert wait_until(lambda: json.loads(flags.read_text())["flags"]["checkout"] == "old", 30), (home / "log").read_text()

            def state() -> str:
                answer: str = httpx.get(f"{url}/runs/{plan['plan_id']}", timeout=within(10)).json()["plan"]["state"]
                return answer

            assert wait_until(lambda: state() in ("settling", "unclear"), 60), (state(), (home / "log").read_text())
        assert store.verify_audit().intact
