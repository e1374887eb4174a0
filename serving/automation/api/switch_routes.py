"""Routes of the switch, and of what runbooks have earned."""

from pydantic import Field
from starlette.responses import Response

from aiops.automation.earning import Hold
from aiops.automation.run import BEFORE_ACTING
from aiops.automation.run_ledger import Remainder, Switch
from serving.automation.api.automation_ports import Runs, TenantRuns
from serving.automation.api.run_views import StandingList, SwitchView, view_of_standing, view_of_switch
from serving.http.auth import Authenticator, Role
from serving.http.guarded_route import By
from serving.http.operations import Operation, answer
from serving.http.problem import refused
from serving.incidents.api.request_fields import PLAIN, Sent


class Turn(Sent):
    """How the switch is turned; `running` must be given to turn it off while runs act."""

    on: bool = Field(description="false = nothing new begins", examples=[False])
    running: Remainder | None = Field(None, description="what becomes of runs that act: finish, undo or stop", examples=["undo"])
    note: str = Field("", max_length=500, pattern=PLAIN, description="why", examples=["the last rollback looks wrong"])


class HoldBody(Sent):
    """Which runbook is held back on which service."""

    runbook: str = Field(min_length=1, max_length=63, pattern=PLAIN, description="name of the runbook", examples=["restart"])
    service: str = Field(min_length=1, max_length=500, pattern=PLAIN, description="name of the service", examples=["cart"])
    held: bool = Field(True, description="false = no longer", examples=[True])
    note: str = Field("", max_length=500, pattern=PLAIN, description="why", examples=["audit week"])


class SwitchRoutes:
    """Turns the switch of the tenant that asks, and holds runbooks back."""

    def __init__(self, auth: Authenticator) -> None:
        self._auth = auth

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        turn, hold = "Turn the switch", "Hold a runbook back on a service, or no longer"
        earned = "What runbooks have earned: cures on each service"
        return (
            Operation("GET", "/switch", self.switch, Role.VIEWER, "Whether anything may begin", SwitchView),
            Operation("POST", "/switch", self.turned, Role.OPERATOR, turn, SwitchView),
            Operation("GET", "/earned", self.earned, Role.VIEWER, earned, StandingList),
            Operation("POST", "/earned/hold", self.held, Role.OPERATOR, hold, StandingList),
        )

    def switch(self, runs: Runs) -> Response:
        """It is off where it cannot be read."""
        return self._shown(runs)

    def turned(self, runs: Runs, by: By, body: Turn) -> Response:
        """To turn it off while runs act, say what becomes of them."""
        acting = [planned for planned in runs.ledger.open_runs() if planned.run.state not in BEFORE_ACTING]
        if not body.on and acting and body.running is None:
            rule = f"{len(acting)} runs act: say what becomes of them"
            raise refused("running", "", rule, "give finish, undo or stop")
        runs.ledger.turn(Switch(body.on, runs.now(), by.subject, body.note, body.running or Remainder.FINISH))
        return self._shown(runs)

    def earned(self, runs: Runs) -> Response:
        """Counts begin anew after a run that was undone or unclear."""
        return _standings(runs)

    def held(self, runs: Runs, by: By, body: HoldBody) -> Response:
        """A person approves each run while it is held back."""
        runs.ledger.hold(Hold(body.runbook, body.service, by.subject, runs.now(), body.note), body.held)
        return _standings(runs)

    def _shown(self, runs: TenantRuns) -> Response:
        acting = [planned for planned in runs.ledger.open_runs() if planned.run.state not in BEFORE_ACTING]
        return answer(view_of_switch(runs.ledger.switch(), acting, self._auth.key is not None))


def _standings(runs: TenantRuns) -> Response:
    return answer(StandingList(tuple(view_of_standing(standing) for standing in runs.ledger.standings())))
