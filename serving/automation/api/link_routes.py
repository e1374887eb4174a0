"""Pages behind the links of notifications: looking changes nothing, so that programs that open links do no harm."""

from html import escape
from typing import Annotated, Final

from fastapi import Path
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from aiops.automation.run import Approval
from aiops.automation.run_ledger import PlannedRun
from aiops.errors import RunRefused
from serving.automation.api.automation_ports import RunsOfTenants, TenantRuns
from serving.automation.api.plan_routes import planned_of
from serving.automation.api.run_views import PlanLine, line_of
from serving.automation.approvals.approval_links import MOST_CHARACTERS, ApprovalLinks, LinkClaims
from serving.automation.approvals.plan_notices import step_line
from serving.http.operations import Operation, answer
from serving.http.problem import conflict, not_found
from serving.incidents.api.on_call_pages import policy
from serving.incidents.api.request_fields import PLAIN, Sent

LINK_ROLE: Final = "operator"
"""What a link may approve: plans that ask for an administrator are not sent with one."""
_SIGNED: Final = "none; the link is signed"
Token = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MOST_CHARACTERS,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="the link's own part",
        examples=["W10.0"],
    ),
]
_STYLE: Final = (
    "body{font:1rem/1.5 system-ui;max-width:44rem;margin:1rem auto;padding:0 1rem}"
    "button{font:inherit;padding:.6rem 1.2rem}pre{white-space:pre-wrap;background:#8882;padding:.5rem}"
    ":root{color-scheme:light dark}"
)
_SCRIPT: Final = (
    "const button=document.getElementById('yes'),place=document.getElementById('answer');"
    "if(button)button.onclick=async()=>{button.disabled=true;"
    "const by=document.getElementById('by').value;"
    "const answer=await fetch(location.pathname,{method:'POST',headers:{'content-type':'application/json'},"
    "body:JSON.stringify({by})});const said=await answer.json();"
    "place.textContent=answer.ok?'Approved.':said.detail;button.disabled=answer.ok;};"
)


class LinkYes(Sent):
    """Who approves by a link, as they call themselves."""

    by: str = Field("", max_length=100, pattern=PLAIN, description="name of who approves; nobody checks it", examples=["Ann"])


class LinkRoutes:
    """Shows the plan of a link, and takes its approval once."""

    def __init__(self, links: ApprovalLinks | None, tenants: RunsOfTenants) -> None:
        self._links = links
        self._tenants = tenants

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        look, yes = (
            "The page of a link that approves a plan once; looking changes nothing",
            "Approve the plan of a link; it holds once",
        )
        shown = Operation("GET", "/approve/{token}", self.shown, None, look, None, (404,), media="text/html", role_text=_SIGNED)
        return shown, Operation("POST", "/approve/{token}", self.approved, None, yes, PlanLine, (404, 409), role_text=_SIGNED)

    async def shown(self, token: Token) -> Response:
        """What the plan would do, how it is taken back, and a button."""
        claims = self._checked(token)
        runs = await run_in_threadpool(self._tenants, claims.tenant)
        planned = await run_in_threadpool(planned_of, runs, claims.use.plan_id)
        html = _page(planned)
        return Response(html, media_type="text/html", headers={"content-security-policy": policy(html)})

    async def approved(self, token: Token, body: LinkYes) -> Response:
        """The plan is refused where it has changed or expired, the link where it was used."""
        claims = self._checked(token)
        runs = await run_in_threadpool(self._tenants, claims.tenant)
        return await run_in_threadpool(_approved, runs, claims, body.by)

    def _checked(self, token: str) -> LinkClaims:
        if self._links is None:
            raise not_found("link", "", "set automation.link_key for links that approve", "is not offered by this service")
        return self._links.checked(token)


def _approved(runs: TenantRuns, claims: LinkClaims, name: str) -> Response:
    plan = planned_of(runs, claims.use.plan_id).plan
    by = f"{name} (link to {claims.channel})" if name.strip() else f"link to {claims.channel}"
    approval = Approval(by, runs.now(), claims.use.fingerprint)
    try:
        return answer(line_of(runs.ledger.approve_by_link(claims.use, approval, LINK_ROLE)))
    except RunRefused as error:
        raise conflict("plan_id", plan.plan_id, str(error), "look at the plan") from error


def _page(planned: PlannedRun) -> str:
    plan = planned.plan
    steps = "".join(
        f"<li>{escape(step_line(step))}<br>Undo: {escape(step.undo) or 'cannot be undone'}</li>" for step in plan.steps
    )
    needs = "".join(f"<li>{escape(need.why)}: {'no' if need.holds else 'YES'}</li>" for need in plan.needs)
    form = (
        '<p><label>Your name <input id="by" maxlength="100"></label> <button id="yes" type="button">Approve</button></p>'
        if str(planned.run.state) == "waiting"
        else f"<p>Nothing to decide: it is {escape(str(planned.run.state))}.</p>"
    )
    facts = (
        f"<p>For incident {escape(plan.subject.incident_id)}; cause {escape(plan.subject.service)} with probability "
        f"{plan.subject.probability:.0%}. Called by: {escape(', '.join(plan.reach) or 'nobody')}. "
        f"Expected: {escape(plan.expected)}. Until {plan.expires_at:%Y-%m-%d %H:%M} UTC.</p>"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(plan.title)}</title><style>{_STYLE}</style></head><body><h1>{escape(plan.title)}</h1>"
        f"<p>Runbook {escape(plan.runbook)} on {escape(', '.join(plan.services))}</p>{facts}<ol>{steps}</ol>"
        f'<ul>{needs}</ul>{form}<p id="answer" role="status"></p><script>{_SCRIPT}</script></body></html>'
    )
