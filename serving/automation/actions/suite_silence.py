"""The suite's own silences as actions: alerts of the service acted on are suppressed for a while, and end by themselves."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.incidents.correlation.suppression import Matcher, Silence, Suppression
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of
from serving.incidents.store.incident_store import IncidentStore

KIND: Final = "suite.silence"
PAUSE: Final = "suite.detector_pause"
BY: Final = "automation"
_OF_DETECTORS: Final = Matcher("source", "=~", "detections|predictions")
"""The suite's own findings; alerts of others have other sources."""
_NONE: Final = "none"
Duration = Annotated[int, Field(ge=60, le=7 * 86_400)]
Label = Annotated[str, Field(min_length=1, max_length=500)]


class SilenceParameters(Parameters):
    """For `duration_s` seconds; `alert`: only alerts of this name; `labels`: only those that have all of these."""

    duration_s: Duration
    alert: Annotated[str, Field(max_length=500)] = ""
    labels: Annotated[dict[Label, Label], Field(default_factory=dict, max_length=20)]

    def matchers(self, service: str) -> tuple[Matcher, ...]:
        """Return the conditions of the silence: of the service always."""
        named = {"service": service, **({"alertname": self.alert} if self.alert else {})}
        others = {name: value for name, value in sorted(self.labels.items()) if name not in named}
        return tuple(Matcher(name, "=", value) for name, value in {**named, **others}.items())


class PauseParameters(Parameters):
    """For `duration_s` seconds; `metric`: only findings on this series, as people read it, with its labels."""

    duration_s: Duration
    metric: Annotated[str, Field(max_length=500)] = ""

    def matchers(self, service: str) -> tuple[Matcher, ...]:
        """Return the conditions of the silence: findings of the suite about the service, or about one series of it."""
        series = (Matcher("metric", "=", self.metric),) if self.metric else ()
        return (Matcher("service", "=", service), *series, _OF_DETECTORS)


@dataclass(frozen=True, slots=True)
class TenantSilences:
    """Where the silences of a tenant lie; `now`: the time by which they hold."""

    store: IncidentStore
    now: Callable[[], datetime]


class SuiteSilence:
    """Silences alerts of the service acted on for a while; alerts are kept and suppressed, incidents that are open stay."""

    kind = KIND
    parameters: type[SilenceParameters | PauseParameters] = SilenceParameters
    risk = Risk.LOW
    outcome = staticmethod(compared)
    effect = "alerts that match are kept and suppressed until then; nobody is paged for them"

    def __init__(self, silences: TenantSilences) -> None:
        self._silences = silences

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return how long the silence holds in all, "none" where none is in force, "another" where somebody has changed it.

        Raises:
            ContractError: the parameters cannot be used.
            Unavailable: the store does not answer.
        """
        return self._state(self._wanted(request), self._silences.store.suppression())

    def change(self, request: ActionRequest) -> StateChange:
        """Return the silence; when it ends is counted from when it begins."""
        parameters = parsed(self.parameters, request)
        wanted = self._wanted(request)
        conditions = ", ".join(f"{matcher.label}{matcher.operator}{matcher.value}" for matcher in wanted.matchers)
        return StateChange(
            target=f"silence {wanted.name}",
            parameters=dict(request.parameters),
            before=self._state(wanted, self._silences.store.suppression()),
            after={"silence": f"{parameters.duration_s} s"},
            difference=f"alerts with {conditions}: suppressed for {timedelta(seconds=parameters.duration_s)}",
            effect=self.effect,
            undo="ends the silence",
            replica_share=0.0,
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Begin or end the silence in one transaction, with a line in the audit log.

        Raises:
            StepRefused: somebody else has changed it.
            Unavailable: the store does not answer.
        """
        wanted, silences = self._wanted(request_of(step)), self._silences
        with silences.store.writing() as writer:
            refuse_changed(step, into, self._state(wanted, writer.suppression()))
            if into == step.after:
                writer.add_silence(wanted)
                detail: Mapping[str, str] = {"run": key, "until": wanted.ends_at.isoformat()}
                writer.audit(silences.now(), BY, "silence added", wanted.name, detail)
            else:
                writer.remove_silence(wanted.name)
                writer.audit(silences.now(), BY, "silence removed", wanted.name, {"run": key})

    def _wanted(self, request: ActionRequest) -> Silence:
        """Return the silence that would begin now; its name says its service and conditions, so that equal ones are one."""
        parameters = parsed(self.parameters, request)
        matchers, at = parameters.matchers(request.service), self._silences.now()
        digest = hashlib.sha256(repr(matchers).encode()).hexdigest()[:8]
        name = f"{self.kind} {request.service[:150]} {digest}"
        return Silence(name, matchers, at, at + timedelta(seconds=parameters.duration_s))

    def _state(self, wanted: Silence, suppression: Suppression) -> PlainMapping:
        now = self._silences.now()
        in_force = (silence for silence in suppression.silences if silence.name == wanted.name and silence.ends_at > now)
        silence = next(in_force, None)
        if silence is None:
            return {"silence": _NONE}
        if silence.matchers != wanted.matchers:
            return {"silence": "another"}
        return {"silence": f"{(silence.ends_at - silence.starts_at).total_seconds():.0f} s"}


class DetectorPause(SuiteSilence):
    """Pauses the suite's detectors for a service or one series of it: they go on scoring, and what they find raises no alert.

    It is a silence of the suite's own findings. Alerts of others about the service go on, and no history is missing afterwards.
    """

    kind = PAUSE
    parameters = PauseParameters
    effect = "detectors go on scoring and learning; until then what they find raises no alert, alerts of others go on"
