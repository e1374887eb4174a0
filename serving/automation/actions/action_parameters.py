"""Parameters of actions: what a runbook wrote under `with`, checked by a model that names what is wrong."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from aiops.automation.action import ActionRequest, PlainMapping
from aiops.errors import ContractError


class Parameters(BaseModel):
    """Parameters of one kind of action: unknown names are refused, nothing is guessed from text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


Model = TypeVar("Model", bound=Parameters)


def parsed(model: type[Model], request: ActionRequest) -> Model:
    """Return the parameters of a request.

    Raises:
        ContractError: one is missing, unknown or of the wrong type; all of them are named.
    """
    return parsed_mapping(model, request.action, request.parameters)


def parsed_mapping(model: type[Model], action: str, parameters: PlainMapping) -> Model:
    """Return the parameters of a step; they were checked when it was planned.

    Raises:
        ContractError: as `parsed`.
    """
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        faults = "; ".join(f"with.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(sorted(model.model_fields))
        raise ContractError(f"action {action}: {faults}. It takes {known}") from error
