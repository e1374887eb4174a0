"""Notifies people as a step of a runbook, through the channels that are configured; each step once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, legible
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.state_action import StateChange, request_of
from serving.incidents.notify.messages import RunNotice, step_messages
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import OutboxMessage

KIND: Final = "notify"
MOST_TEXT: Final = 500


class NotifyParameters(Parameters):
    """`incident`: write "{incident}". `text` may hold answers to earlier questions, {answer.NAME}.

    `channels`: names of configured ones, none = all that updates go to; `page`: with the urgency of a page.
    """

    incident: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
    channels: Annotated[list[str], Field(default_factory=list, max_length=10)]
    page: bool = False


@dataclass(frozen=True, slots=True)
class TenantChannels:
    """The outbox of a tenant; `names` are its configured channels, `base_url` begins links to incidents."""

    store: IncidentStore
    names: Callable[[], tuple[str, ...]]
    base_url: Callable[[], str]
    now: Callable[[], datetime]


class Notify:
    """Puts one message about the incident into the outbox of each channel; it cannot be taken back."""

    kind = KIND
    parameters = NotifyParameters
    risk = Risk.LOW

    def __init__(self, channels: TenantChannels) -> None:
        self._channels = channels

    def change(self, request: ActionRequest) -> StateChange:
        """Return the message.

        Raises:
            ContractError: there is no such incident, or a channel is not configured.
            Unavailable: the store does not answer.
        """
        parameters = parsed(NotifyParameters, request)
        self._channels.store.case(parameters.incident)
        names = self._names(parameters)
        return StateChange(
            target=f"notification of {request.service}: {legible(parameters.text, 100)}",
            parameters=dict(request.parameters),
            before={"sent": False},
            after={"sent": True},
            difference=f"{'page' if parameters.page else 'message'} to {', '.join(names)}: {legible(parameters.text, MOST_TEXT)}",
            effect="people know",
            replica_share=0.0,
        )

    def is_done(self, step: PlannedStep, key: str) -> bool:
        """Return whether the outbox has a message of the step."""
        wanted = {message.message_id for message in self._messages(step, key)}
        sent = self._channels.store.messages(parsed(NotifyParameters, request_of(step)).incident)
        return any(message.message_id in wanted for message in sent)

    def bring_about(self, step: PlannedStep, key: str) -> None:
        """Put the messages into the outbox in one transaction; channels are tried until they take them.

        Raises:
            StepRefused: the incident is gone, or a channel is not configured any more.
            Unavailable: the store does not answer.
        """
        try:
            messages = self._messages(step, key)
        except ContractError as error:
            raise StepRefused(f"{step.target}: {error}") from error
        with self._channels.store.writing() as writer:
            writer.enqueue(messages)

    def _messages(self, step: PlannedStep, key: str) -> tuple[OutboxMessage, ...]:
        parameters, channels = parsed(NotifyParameters, request_of(step)), self._channels
        incident = channels.store.case(parameters.incident).incident
        said = RunNotice(f"{key} {KIND}", channels.now(), legible(parameters.text, MOST_TEXT), parameters.page)
        return step_messages(incident, said, self._names(parameters), channels.base_url())

    def _names(self, parameters: NotifyParameters) -> tuple[str, ...]:
        known = self._channels.names()
        unknown = sorted(set(parameters.channels) - set(known))
        if unknown:
            raise ContractError(f"with.channels={unknown[0]!r}: is not configured; there are: {', '.join(known)}")
        return tuple(parameters.channels) or known
