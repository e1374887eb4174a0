"""Acts on incidents of a rehearsal: planning, bounds, run log, execution and judgement are those of `serving.automation`.

Simulated are the services, which react, and the person who approves: through the run log, as `aiops approve` does.
"""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import pyarrow as pa

from aiops.automation.run import Approval, RunState
from aiops.automation.run_ledger import PlannedRun
from aiops.errors import RunRefused
from aiops.settings.tree import Settings
from orchestration.rehearsal.acted_run import ActedRun, plan_lines
from orchestration.rehearsal.acted_span import ActedIncident, ActedSpan
from orchestration.simulated_actions.simulated_actions import simulated_actions
from orchestration.workspace.workspace import Workspace
from serving.automation.approvals.ledger_factory import ledger_of
from serving.automation.ledger.run_records import RunFilter
from serving.automation.runner.automation_metrics import AutomationMetrics
from serving.automation.runner.tenant_automations import SuiteParts, automation_of
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import PageRequest

OPERATOR: Final = "simulated operator"
ROLE: Final = "operator"
APPROVES_AFTER: Final = timedelta(minutes=2)
"""How long the simulated operator takes to say yes, at least: plans are looked at after each step."""
RUNBOOKS: Final = Path(__file__).parent / "runbooks"
"""What the simulated team has put in force: one of the library, adapted, and one of its own that looks like help and harms."""
STEP: Final = timedelta(minutes=5)
"""How much telemetry is published at once while an incident is waited for or approved."""
LATE: Final = timedelta(minutes=1)
"""How long after the end of a window services are looked at."""
GIVES_UP: Final = timedelta(minutes=60)
"""How long after its start an incident is followed."""
_MOST_RUNS: Final = 200
_LOOKED_AFTER: Final = (RunState.SETTLING, RunState.CHECKING)


class Loop(Protocol):
    """The processes that telemetry goes through."""

    def publish(self, chunk: pa.Table) -> None:
        """Publish a chunk of telemetry, with what requests say of the same time."""
        ...

    def catch_up(self) -> None:
        """Wait until what was published is detected, correlated and explained."""
        ...


def acting_settings(settings: Settings) -> Settings:
    """Return settings under which the rehearsal's runbooks alone are in force; they are copied to where nothing else reads."""
    folder = settings.root / "rehearsal" / "runbooks"
    shutil.copytree(RUNBOOKS, folder, dirs_exist_ok=True)
    automation = settings.automation.model_copy(update={"runbooks": folder, "library": False})
    return settings.model_copy(update={"automation": automation})


class ActedStory:
    """Lets a simulated application go on, has its incidents acted on, and says what happens. A context manager."""

    def __init__(self, workspace: Workspace, span: ActedSpan, loop: Loop, say: Callable[[str], None]) -> None:
        settings = acting_settings(workspace.settings)
        self._database = IncidentDatabase.open(settings.incident_store_url)
        self._store = IncidentStore(self._database, workspace.tenant)
        self._application = span.application
        self._ledger = ledger_of(settings, self._store, workspace.graph)
        suite = SuiteParts(
            settings, self._database, AutomationMetrics(), simulated_actions(span.application.world), lambda _: self._ledger
        )
        self._automation = automation_of(suite, workspace.tenant)
        self._span = span
        self._loop = loop
        self._say = say
        self._teller = RunTeller(say)
        self._before = {planned.run.run_id for planned in self._all_runs()}
        self._refused: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._automation.lease.give_up()
        self._database.close()

    def play(self) -> tuple[ActedRun, ...]:
        """Go through the incidents and return what became of every plan, the oldest first.

        Raises:
            Unavailable: a process has ended or falls behind, or the incident store does not answer.
        """
        self._automation.maker.look()
        for incident in self._span.incidents:
            self._follow(incident)
        return tuple(ActedRun.of(planned) for planned in self._runs())

    def _follow(self, incident: ActedIncident) -> None:
        """Go on until a run has ended as that about the incident is to end, or it is given up."""
        known = {planned.run.run_id for planned in self._runs()}
        self._go_on(incident.starts_at + STEP)
        while self._application.now < incident.starts_at + GIVES_UP:
            self._go_on(self._next_look())
            new = [planned.run for planned in self._runs() if planned.run.run_id not in known]
            if any(run.state is incident.expected for run in new):
                return

    def _next_look(self) -> datetime:
        """Return when something is due: the end of the windows in which services are looked at, else a step on."""
        ends = [_looked_until(planned) for planned in self._ledger.open_runs() if planned.run.state in _LOOKED_AFTER]
        now = self._application.now
        return max(now + STEP, max(ends, default=now) + LATE)

    def _go_on(self, until: datetime) -> None:
        """Publish telemetry of the world as it is up to a time; then plan, decide and act by what it shows."""
        for chunk in self._application.telemetry(until):
            self._loop.publish(chunk)
        self._loop.catch_up()
        self._application.pass_to(self._store.clock() or until)
        automation = self._automation
        automation.maker.look()
        self._teller.tell(self._runs())
        self._decide()
        automation.loop.look()
        self._teller.tell(self._runs())

    def _decide(self) -> None:
        """Approve, as the simulated operator, what has waited long enough; what the run log refuses is said and let be."""
        now = self._application.now
        for planned in self._ledger.open_runs():
            plan = planned.plan
            is_due = planned.run.state is RunState.WAITING and now >= plan.made_at + APPROVES_AFTER
            if is_due and plan.plan_id not in self._refused:
                try:
                    self._ledger.approve(plan.plan_id, Approval(OPERATOR, now, plan.fingerprint), ROLE)
                except RunRefused as error:
                    self._refused.add(plan.plan_id)
                    self._say(f"  the approval of {plan.plan_id} was refused: {error}")

    def _runs(self) -> list[PlannedRun]:
        """Return the runs of this story, the oldest first; a home that is kept has older ones."""
        return [planned for planned in self._all_runs() if planned.run.run_id not in self._before]

    def _all_runs(self) -> list[PlannedRun]:
        return list(reversed(self._ledger.runs(RunFilter(), PageRequest(_MOST_RUNS)).items))


class RunTeller:
    """Says each plan and each line of the run log once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: dict[str, int] = {}

    def tell(self, runs: list[PlannedRun]) -> None:
        """Say what is new."""
        for planned in runs:
            run_id, events = planned.run.run_id, planned.run.events
            if run_id not in self._told:
                for line in plan_lines(planned):
                    self._say(line)
            for event in events[self._told.get(run_id, 0) :]:
                by = f" ({event.by})" if event.by != "suite" else ""
                self._say(f"  {event.at:%a %H:%M} {event.state}: {event.what}{by}")
            self._told[run_id] = len(events)


def _looked_until(planned: PlannedRun) -> datetime:
    verify = planned.plan.terms.verify
    return planned.run.changed_at + timedelta(seconds=verify.settle + verify.window)
