"""The suite's own models as targets: the champion before the present one is the champion again; services swap within seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, ModelNotFound, StepRefused
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of

if TYPE_CHECKING:
    from models.artifacts.registry import Registry

KIND: Final = "suite.model_rollback"
BY: Final = "automation"


class ModelParameters(Parameters):
    """`model`: as `aiops models` lists it. A tenant rolls back models of its own only."""

    model: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]


@dataclass(frozen=True, slots=True)
class TenantModels:
    """The registry of a tenant, opened at the first call: its library takes a second to import."""

    registry: "Callable[[], Registry]"
    now: Callable[[], datetime]


class ModelRollback:
    """Makes the champion before this one the champion again; it answers for all services, so a person agrees each time.

    MLflow has no compare-and-swap: between reading and moving the alias lie some milliseconds.
    """

    kind = KIND
    parameters = ModelParameters
    risk = Risk.HIGH
    outcome = staticmethod(compared)

    def __init__(self, models: TenantModels) -> None:
        self._models = models

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return which version is the champion.

        Raises:
            ContractError: the tenant has no such model, or it has no champion.
            Unavailable: the registry does not answer.
        """
        from models.artifacts.mlflow_versions import registry_answers

        model, registry = parsed(ModelParameters, request).model, self._models.registry()
        with registry_answers():
            return _champion(registry, model)

    def change(self, request: ActionRequest) -> StateChange:
        """Return the champion before.

        Raises:
            ContractError: there is none.
            Unavailable: the registry does not answer.
        """
        from models.artifacts.mlflow_versions import registry_answers

        model = parsed(ModelParameters, request).model
        registry = self._models.registry()
        with registry_answers():
            before, earlier = _champion(registry, model), _earlier(registry, model)
        return StateChange(
            target=f"model {model}",
            parameters=dict(request.parameters),
            before=before,
            after={"champion": earlier},
            difference=f"champion of {model}: version {before['champion']} → {earlier}",
            effect=f"within seconds version {earlier} answers for all services that {model} scores",
            undo=f"makes version {before['champion']} the champion again",
            risk=Risk.HIGH,
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Move the alias where it is as planned; a line in the registry's audit log names the run.

        Raises:
            StepRefused: another version is the champion by now, or the wanted one is gone.
            Unavailable: the registry does not answer.
        """
        from models.artifacts.audit import CHAMPION, Change
        from models.artifacts.mlflow_versions import registry_answers

        model, registry = parsed(ModelParameters, request_of(step)).model, self._models.registry()
        wish = Change(BY, self._models.now(), f"run {key}")
        try:
            with registry_answers():
                refuse_changed(step, into, _champion(registry, model))
                if into == step.before:
                    registry.set_alias(model, CHAMPION, str(into["champion"]), wish)
                elif _earlier(registry, model) == into["champion"]:
                    registry.rollback(model, wish)
                else:
                    raise StepRefused(f"{step.target}: a rollback leads to another version by now; make a new plan")
        except (ContractError, ModelNotFound) as error:
            raise StepRefused(f"{step.target}: {error}") from error


def _champion(registry: "Registry", model: str) -> PlainMapping:
    from models.artifacts.audit import CHAMPION

    if not registry.has_own(model):
        raise ContractError(f"with.model={model!r}: this tenant has no such model of its own; `aiops models` lists what there is")
    version = next((kept.version for kept in registry.versions(model) if CHAMPION in kept.aliases), None)
    if version is None:
        raise ContractError(f"with.model={model!r}: has no champion, so that none comes before it; promote one first")
    return {"champion": version}


def _earlier(registry: "Registry", model: str) -> str:
    try:
        return registry.champion_before(model)
    except ModelNotFound as error:
        raise ContractError(f"with.model={model!r}: {error}") from error
