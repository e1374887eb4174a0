"""Asks a human: a step with a form, whose answer the run waits for; by command and API, until the step's timeout."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from aiops.automation.action import ActionRequest, PlannedStep, Risk
from aiops.automation.answer_texts import ASK
from aiops.automation.questions import ASKS
from aiops.errors import legible
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.state_action import StateChange

KIND: Final = ASK


class QuestionField(Parameters):
    """One value that is asked for; later texts may hold it as {answer.NAME}."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    type: Literal["text", "number", "yes_no", "choice"] = "text"
    label: Annotated[str, Field(max_length=200)] = ""
    choices: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(default_factory=list, max_length=50)]

    @model_validator(mode="after")
    def _has_choices(self) -> Self:
        if (self.type == "choice") != bool(self.choices):
            raise ValueError("choices and type choice go together: give both or neither")
        return self


class QuestionParameters(Parameters):
    """`fields`: what is asked for, each with `name`, `type` (text, number, yes_no, choice), `label`, `choices`; none = yes or no.

    How long is waited is the step's `timeout`.
    """

    question: Annotated[str, Field(min_length=1, max_length=500)]
    fields: Annotated[list[QuestionField], Field(default_factory=list, max_length=20)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [field.name for field in self.fields]
        if len(set(names)) < len(names):
            raise ValueError("fields have names of their own: one is there twice")
        return self


class HumanQuestion:
    """Asks, and waits: answered, the run goes on; declined or not answered in time, it takes back what it did."""

    kind = KIND
    parameters = QuestionParameters
    risk = Risk.LOW

    def change(self, request: ActionRequest) -> StateChange:
        """Return the question.

        Raises:
            ContractError: the form cannot be used.
        """
        parameters = parsed(QuestionParameters, request)
        fields = ", ".join(f"{field.name} ({field.type})" for field in parameters.fields) or "go on or not"
        return StateChange(
            target=f"question about {request.service}: {legible(parameters.question, 100)}",
            parameters=dict(request.parameters),
            before={"answered": False},
            after={"answered": True},
            difference=f"{ASKS}{legible(parameters.question, 500)} [{fields}]",
            effect="a person decides with what is known by then",
            replica_share=0.0,
        )

    def is_done(self, step: PlannedStep, key: str) -> bool:
        """Return that it is not: an answer is stored with the run, which then goes on."""
        del step, key
        return False

    def bring_about(self, step: PlannedStep, key: str) -> None:
        """Do nothing: the run log asks, and waits."""
        del step, key
