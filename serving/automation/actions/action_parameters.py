"""Parameters of actions: what a runbook wrote under `with`, checked by a model that names what is wrong."""

from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from aiops.automation.action import ActionRequest
from aiops.errors import ContractError


class Parameters(BaseModel):
    """Parameters of one kind of action: unknown names are refused, nothing is guessed from text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


PORT: Final = r"(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
"""A port number, 1 to 65535, as part of a pattern."""


def refuse_setting(setting: str, allowed: frozenset[str]) -> None:
    """Check that a runbook may change a setting of a server.

    Raises:
        ContractError: it may not; those that it may are named.
    """
    if setting not in allowed:
        raise ContractError(f"with.setting={setting!r} may not be changed by a runbook; possible: {', '.join(sorted(allowed))}")


Model = TypeVar("Model", bound=Parameters)


def parsed(model: type[Model], request: ActionRequest) -> Model:
    """Return the parameters of a request.

    Raises:
        ContractError: one is missing, unknown or of the wrong type; all of them are named.
    """
    try:
        return model.model_validate(dict(request.parameters))
    except ValidationError as error:
        faults = "; ".join(f"with.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(sorted(model.model_fields))
        raise ContractError(f"action {request.action}: {faults}. It takes {known}") from error
