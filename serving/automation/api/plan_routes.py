"""Routes of plans and runs: lists, one of them, and a person's yes or no."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from aiops.automation.run import Answer, Approval, RunState
from aiops.automation.run_ledger import PlannedRun
from aiops.errors import ContractError, RunRefused
from serving.automation.api.automation_ports import Runs, TenantRuns
from serving.automation.api.run_views import PlanPage, PlanView, line_of, view_of_plan
from serving.automation.ledger.run_records import RunFilter
from serving.http.auth import Authenticator, Caller, Role
from serving.http.guarded_route import By
from serving.http.operations import Operation, answer
from serving.http.problem import conflict, not_found
from serving.incidents.api.incident_routes import good_cursor
from serving.incidents.api.request_fields import MOST_LISTED, PLAIN, Sent, ShortText
from serving.incidents.store.records import PageRequest

PlanId = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9._:-]{1,80}$", description="id of a plan, or its unique beginning", examples=["2c26b46b68ff"]),
]


class PlanListing(Sent):
    """Filters of a list of plans; they add up."""

    state: list[RunState] = Field([], max_length=len(RunState), description="repeat it for several", examples=[["waiting"]])
    incident: ShortText = Field("", description="of this incident (its whole id)", examples=["inc-2c26b46b68ffc68f"])
    runbook: ShortText = Field("", description="of this runbook", examples=["restart"])
    service: ShortText = Field("", description="for this service", examples=["cart"])
    limit: int = Field(50, ge=1, le=MOST_LISTED, description="items of one page at most", examples=[50])
    cursor: str = Field("", max_length=500, pattern=PLAIN, description="`next_cursor` of the page before", examples=[""])


class Yes(Sent):
    """An approval of what a person has seen."""

    fingerprint: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="fingerprint of the plan, as it was shown", examples=["0" * 64]
    )
    note: str = Field("", max_length=500, pattern=PLAIN, description="kept with it", examples=["as agreed"])


class No(Sent):
    """A refusal."""

    note: str = Field("", max_length=500, pattern=PLAIN, description="why not", examples=["we roll back by hand"])


class AnswerBody(Sent):
    """What a person says to what a run asks."""

    answers: dict[str, str] = Field({}, max_length=20, description="a value for each field asked for", examples=[{"reason": "x"}])
    declined: bool = Field(False, description="true = no: the run takes back what it did")
    note: str = Field("", max_length=500, pattern=PLAIN, description="kept with it", examples=["as agreed"])


class PlanRoutes:
    """Reads plans and runs of the tenant that asks, and takes what people decide."""

    def __init__(self, auth: Authenticator) -> None:
        self._auth = auth

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        plan, see, act = "/plans/{plan_id}", Role.VIEWER, Role.OPERATOR
        yes, no = "Approve a plan for what its fingerprint says", "Say no to a plan that has not begun"
        whole = "A plan with all that a person needs to decide"
        return (
            Operation("GET", "/plans", self.plans, see, "Plans, the last made first", PlanPage),
            Operation("GET", plan, self.plan, see, whole, PlanView, (404,)),
            Operation("POST", f"{plan}/approve", self.approved, act, yes, PlanView, (404, 409)),
            Operation("POST", f"{plan}/reject", self.rejected, act, no, PlanView, (404, 409)),
            Operation("GET", "/runs", self.runs, see, "Plans that have acted, the last made first", PlanPage),
            Operation("GET", "/runs/{plan_id}", self.run, see, "A run: its plan, its steps and its log", PlanView, (404,)),
            Operation("POST", "/runs/{plan_id}/answer", self.answered, act, "Answer what a run asks", PlanView, (404, 409)),
        )

    def plans(self, runs: Runs, listing: Annotated[PlanListing, Query()]) -> Response:
        """Those that wait are state=waiting."""
        return _page(runs, listing, began=False)

    def runs(self, runs: Runs, listing: Annotated[PlanListing, Query()]) -> Response:
        """Those that act are state=acting, settling, undoing and checking."""
        return _page(runs, listing, began=True)

    def plan(self, runs: Runs, plan_id: PlanId) -> Response:
        """`refusals` are bounds that speak against it now; they are counted again when it begins."""
        return shown_plan(runs, planned_of(runs, plan_id))

    def run(self, runs: Runs, plan_id: PlanId) -> Response:
        """The run of a plan has the plan's id."""
        return shown_plan(runs, planned_of(runs, plan_id))

    def approved(self, runs: Runs, plan_id: PlanId, by: By, body: Yes) -> Response:
        """It is refused where the plan has changed, expired, or asks for another person or role."""
        plan = planned_of(runs, plan_id).plan
        approval = Approval(by.subject, runs.now(), body.fingerprint, note=body.note, bound=self._is_bound(by))
        return decided(runs, plan.plan_id, lambda: runs.ledger.approve(plan.plan_id, approval, by.role.name.lower()))

    def rejected(self, runs: Runs, plan_id: PlanId, by: By, body: No) -> Response:
        """A run that acts already is stopped by the switch instead."""
        plan = planned_of(runs, plan_id).plan
        return decided(runs, plan.plan_id, lambda: runs.ledger.reject(plan.plan_id, by.subject, runs.now(), body.note))

    def answered(self, runs: Runs, plan_id: PlanId, by: By, body: AnswerBody) -> Response:
        """It is refused where the run asks nothing now, or a value is missing or does not fit its field."""
        plan = planned_of(runs, plan_id).plan
        answer_given = Answer(by.subject, runs.now(), body.answers, body.declined, body.note)
        try:
            return shown_plan(runs, runs.ledger.answer(plan.plan_id, answer_given))
        except ContractError as error:
            raise conflict("answers", "", str(error), "look at the run's `question`") from error

    def _is_bound(self, by: Caller) -> bool:
        return self._auth.key is not None and not by.subject.endswith(" without a name")


def planned_of(runs: TenantRuns, plan_id: str) -> PlannedRun:
    """Return a plan by its id.

    Raises:
        ProblemError: 404, there is none.
    """
    try:
        return runs.ledger.get(plan_id)
    except ContractError as error:
        raise not_found("plan_id", plan_id, "list them with GET /plans", str(error)) from error


def decided(runs: TenantRuns, plan_id: str, decide: Callable[[], PlannedRun]) -> Response:
    """Return the plan after a decision.

    Raises:
        ProblemError: 409, it is refused; what is stored says why.
    """
    try:
        return shown_plan(runs, decide())
    except RunRefused as error:
        raise conflict("plan_id", plan_id, str(error), "look at the plan") from error


def shown_plan(runs: TenantRuns, planned: PlannedRun) -> Response:
    """Return the answer that shows a plan."""
    bounds = runs.ledger.bounds(planned.plan, runs.now())
    return answer(view_of_plan(planned, runs.ledger.standing(planned.plan), bounds))


def _page(runs: TenantRuns, listing: PlanListing, began: bool) -> Response:
    run_filter = RunFilter(tuple(listing.state), listing.incident, listing.runbook, listing.service, began)
    with good_cursor(listing.cursor):
        page = runs.ledger.runs(run_filter, PageRequest(listing.limit, listing.cursor))
    return answer(PlanPage(tuple(line_of(planned) for planned in page.items), page.next_cursor))
