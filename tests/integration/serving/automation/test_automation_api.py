"""The API of plans and runs as it is served: decisions by token, by link, the switch, what is earned, and what is refused."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from prometheus_client import CollectorRegistry

from aiops.automation.action import ActionRequest
from aiops.automation.plan import fingerprint_of
from aiops.automation.run import Approval, RunState, StepRun, StepState
from aiops.automation.run_ledger import RunChange
from aiops.automation.runbook import Approve
from serving.automation.actions.human_question import HumanQuestion
from serving.automation.actions.once_action import once_action
from serving.automation.api.automation_app import create_app
from serving.automation.api.automation_ports import AutomationApiParts, TenantRuns
from serving.automation.approvals.approval_links import ApprovalLinks
from serving.automation.approvals.plan_notices import ChannelNotices, PlanAudience
from serving.automation.ledger.run_records import LedgerRules
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.http.auth import Authenticator
from serving.http.server import ApiServer
from serving.incidents.api.ports import ApiReadiness
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import MessageState, PageRequest
from tests.conformance.run_ledger_suite import WIDE, begin
from tests.testing.deadlines import within
from tests.testing.empty_store import empty_file
from tests.testing.incident_api import KEY
from tests.testing.made_plans import Wish, made_anew, plan_of

LINK_KEY = "a-key-for-links-of-this-test-only-0123456789"


@dataclass(frozen=True)
class Api:
    ledger: StoreRunLedger
    store: IncidentStore
    client: httpx.Client
    links: ApprovalLinks

    def post(self, path: str, body: object, token: str = "") -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.client.post(path, json=body, headers=headers)


def now() -> datetime:
    return datetime.now(UTC)


def token_of(subject: str, role: str = "operator") -> str:
    return jwt.encode({"sub": subject, "role": role, "exp": time.time() + 600}, KEY, "HS256")


@contextmanager
def serving(folder: Path, key: str | None = None, with_links: bool = True) -> Iterator[Api]:
    path = empty_file(folder / "incidents.db")
    with IncidentDatabase.open(f"sqlite:///{path}") as database:
        store = IncidentStore(database, "default")
        links = ApprovalLinks(LINK_KEY, "http://localhost")
        audience = PlanAudience(
            ("slack",), ("escalation",), "http://localhost", lambda plan, name: links.url_of(plan, "default", name)
        )
        ledger = StoreRunLedger(store, LedgerRules(WIDE, notices=ChannelNotices(audience)))
        parts = AutomationApiParts(
            lambda tenant: TenantRuns(tenant, ledger, now),
            Authenticator("HS256", key),
            CollectorRegistry(),
            lambda: ApiReadiness(True, {"store": "ok"}),
            links if with_links else None,
        )
        server = ApiServer(create_app(parts), "127.0.0.1", 0)
        server.start()
        try:
            with httpx.Client(base_url=server.url, timeout=within(30)) as client:
                yield Api(ledger, store, client, links)
        finally:
            server.stop()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path, KEY) as served:
        yield served


def fresh(**wish: object) -> Wish:
    return Wish(made_at=now(), **wish)  # type: ignore[arg-type]


def test_a_plan_is_shown_and_approved_by_its_fingerprint(api: Api) -> None:
    plan = api.ledger.propose(plan_of(fresh())).plan
    shown = api.client.get(f"/plans/{plan.plan_id[:8]}").json()
    assert shown["fingerprint"] == plan.fingerprint
    assert shown["steps"][0]["difference"] == plan.steps[0].difference
    assert (shown["standing"]["cures"], shown["refusals"], shown["reach"]) == (0, [], ["web"])
    wrong = api.post(f"/plans/{plan.plan_id}/approve", {"fingerprint": "0" * 64})
    assert (wrong.status_code, wrong.json()["type"]) == (409, "urn:aiops:problem:conflict")
    assert api.post(f"/plans/{plan.plan_id}/approve", {}).status_code == 400
    approved = api.post(f"/plans/{plan.plan_id}/approve", {"fingerprint": plan.fingerprint})
    assert approved.json()["plan"]["state"] == "approved"
    assert approved.json()["approval"]["bound"] is False
    assert [line["plan_id"] for line in api.client.get("/plans?state=approved").json()["items"]] == [plan.plan_id]
    assert api.client.get("/plans?state=waiting").json()["items"] == api.client.get("/runs").json()["items"] == []


def test_a_token_binds_an_approval_to_a_person(keyed: Api) -> None:
    four_eyes = Approve(not_requester=True)
    plan = keyed.ledger.propose(plan_of(fresh(requested_by="ann", approve=four_eyes))).plan
    body = {"fingerprint": plan.fingerprint}
    path = f"/plans/{plan.plan_id}/approve"
    assert keyed.post(path, body).status_code == 401
    assert keyed.post(path, body, token_of("bob", "viewer")).status_code == 403
    assert keyed.post(path, body, token_of("ann")).status_code == 409
    assert keyed.post(path, body, token_of("")).status_code == 409
    approved = keyed.post(path, body, token_of("bob"))
    assert (approved.json()["approval"]["by"], approved.json()["approval"]["bound"]) == ("bob", True)


def test_a_person_says_no(api: Api) -> None:
    plan = api.ledger.propose(plan_of(fresh())).plan
    refused = api.post(f"/plans/{plan.plan_id}/reject", {"note": "by hand"})
    assert refused.json()["plan"]["state"] == "refused"
    assert api.post(f"/plans/{plan.plan_id}/reject", {}).status_code == 409
    assert api.client.get("/plans/none-such").status_code == 404
    assert api.client.get("/plans/%27%3B%20DROP%20TABLE").status_code == 400


def test_the_switch_is_turned_off_only_with_a_word_on_what_runs(api: Api) -> None:
    assert api.client.get("/switch").json()["on"] is True
    begin_now(api)
    refused = api.post("/switch", {"on": False})
    assert (refused.status_code, refused.json()["field"]) == (400, "running")
    turned = api.post("/switch", {"on": False, "running": "undo", "note": "wrong"}).json()
    assert (turned["on"], turned["remainder"], turned["by"], turned["bound"]) == (False, "undo", "local", False)
    assert len(turned["acting"]) == 1
    plan = api.ledger.propose(plan_of(fresh(services=("db",), incident="inc-2"))).plan
    assert api.post(f"/plans/{plan.plan_id}/approve", {"fingerprint": plan.fingerprint}).status_code == 409
    assert api.post("/switch", {"on": True}).json()["on"] is True


def begin_now(api: Api) -> None:
    plan = api.ledger.propose(plan_of(fresh())).plan
    api.post(f"/plans/{plan.plan_id}/approve", {"fingerprint": plan.fingerprint})
    api.ledger.begin(made_anew(plan, now()), api.ledger.get(plan.plan_id), now())
    assert [line["state"] for line in api.client.get("/runs").json()["items"]] == ["acting"]


def test_a_runbook_is_held_back(api: Api) -> None:
    held = api.post("/earned/hold", {"runbook": "restart", "service": "cart", "note": "audit"}).json()
    assert [(item["service"], item["held_by"]) for item in held["items"]] == [("cart", "local")]
    assert api.post("/earned/hold", {"runbook": "restart", "service": "cart", "held": False}).json()["items"] == []
    assert api.client.get("/earned").json()["items"] == []


def test_a_link_shows_a_page_and_approves_once(api: Api) -> None:
    plan = api.ledger.propose(plan_of(fresh(services=("<script>alert(1)</script>",)))).plan
    messages = api.store.messages("inc-1")
    assert [(message.channel, str(message.kind)) for message in messages] == [
        ("slack", "approval"),
        ("escalation", "approval_escalation"),
    ]
    assert messages[1].due_at == plan.made_at + timedelta(seconds=plan.terms.escalate.after)
    link = messages[0].payload["plan"]["approve_url"].removeprefix("http://localhost")
    for _ in range(3):  # as programs do that look at links
        page = api.client.get(link)
        assert api.client.head(link).status_code == 200
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert api.ledger.get(plan.plan_id).run.state is RunState.WAITING
    assert api.client.post(link).status_code in (400, 415)
    approved = api.post(link, {"by": "Ann"})
    assert approved.json()["state"] == "approved"
    approval = api.ledger.get(plan.plan_id).run.approval
    assert approval is not None
    assert (approval.by, approval.bound) == ("Ann (link to slack)", False)
    again = api.post(link, {})
    assert again.status_code == 409
    assert "Nothing to decide" in api.client.get(link).text
    assert {message.state for message in api.store.messages("inc-1")} == {MessageState.CANCELLED}


def test_a_link_that_was_changed_is_refused(api: Api) -> None:
    plan = api.ledger.propose(plan_of(fresh())).plan
    link = api.links.url_of(plan, "default", "slack").removeprefix("http://localhost")
    other = ApprovalLinks(LINK_KEY + "x", "http://localhost").url_of(plan, "default", "slack").removeprefix("http://localhost")
    for changed in (
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace("/approve/", "/approve/x"),
        other,
        link[:-5],
        "/approve/x.",
    ):
        assert api.post(changed, {}).status_code == 403, changed
        assert api.client.get(changed).status_code == 403, changed
    assert api.ledger.get(plan.plan_id).run.state is RunState.WAITING
    assert api.post(link, {}).status_code == 200


def test_a_page_of_another_site_cannot_approve(api: Api) -> None:
    plan = api.ledger.propose(plan_of(fresh())).plan
    link = api.links.url_of(plan, "default", "slack").removeprefix("http://localhost")
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert api.client.post(link, json={}, headers=headers).status_code == 403
    assert api.ledger.get(plan.plan_id).run.state is RunState.WAITING


def test_without_a_key_there_are_no_links(tmp_path: Path) -> None:
    with serving(tmp_path, with_links=False) as api:
        plan = api.ledger.propose(plan_of(fresh())).plan
        assert api.client.get(api.links.url_of(plan, "default", "slack").removeprefix("http://localhost")).status_code == 404


def test_the_description_lists_all_routes(api: Api) -> None:
    begin(api.ledger, plan_of(Wish(incident="inc-0", approve=Approve(expires=1e6))))
    document = api.client.get("/docs.json").json()
    assert {"/plans", "/plans/{plan_id}", "/plans/{plan_id}/approve", "/switch", "/earned", "/approve/{token}"} <= set(
        document["paths"]
    )
    assert "aiops_automation_api_requests_total" in api.client.get("/metrics").text


def test_a_question_is_shown_and_answered(keyed: Api) -> None:
    form = {"question": "Is the batch done?", "fields": [{"name": "reason"}, {"name": "go", "type": "yes_no"}]}
    asked = once_action(HumanQuestion()).planner.plan(ActionRequest("human.ask", "cart", form))
    made = plan_of(fresh())
    steps = (replace(made.steps[0], number=1), replace(asked, number=2, timeout_s=1800.0))
    fingerprint = fingerprint_of(made.version, made.subject, steps, made.needs)
    plan = keyed.ledger.propose(replace(made, steps=steps, fingerprint=fingerprint)).plan
    path, ann = f"/runs/{plan.plan_id}/answer", token_of("ann")
    answers = {"reason": "it is", "go": "yes"}
    assert keyed.post(path, {"answers": answers}, ann).status_code == 409, "it does not act yet"
    approved = keyed.ledger.approve(plan.plan_id, Approval("ann", now(), fingerprint), "operator")
    acting = keyed.ledger.begin(replace(plan, made_at=now()), approved, now())
    waits = (StepRun(1, StepState.DONE, 1, now()), StepRun(2, StepState.INTENDED, 1, now()))
    keyed.ledger.change(acting, RunChange(RunState.ACTING, now(), waits, "asks"))
    viewer = {"authorization": f"Bearer {token_of('eve', 'viewer')}"}
    question = keyed.client.get(f"/runs/{plan.plan_id}", headers=viewer).json()["question"]
    assert (question["step"], [field["type"] for field in question["fields"]]) == (2, ["text", "yes_no"])
    assert keyed.post(path, {"answers": answers}, token_of("eve", "viewer")).status_code == 403
    wrong = keyed.post(path, {"answers": {**answers, "go": "maybe"}}, ann)
    assert (wrong.status_code, "must be yes or no" in wrong.json()["detail"]) == (409, True)
    answered = keyed.post(path, {"answers": answers, "note": "sure"}, ann).json()
    assert (answered["question"], answered["steps"][1]["state"]) == (None, "done")
    assert "answered by ann: reason=it is, go=yes: sure" in answered["steps"][1]["note"]
    entry = keyed.store.audit(PageRequest(1)).items[0]
    assert (entry.by, "reason=it is" in str(entry.detail)) == ("ann", True)
    assert keyed.store.verify_audit().intact
    assert keyed.post(path, {"answers": answers}, ann).status_code == 409
