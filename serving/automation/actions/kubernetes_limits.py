"""Changes memory or CPU limit of a workload's container, within a bound that the runbook names."""

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError
from serving.automation.actions.action_parameters import parsed
from serving.automation.actions.kubernetes_api import Resource, Resources
from serving.automation.actions.kubernetes_workloads import Name, WorkloadParameters, rolling_share, template_of
from serving.automation.actions.state_action import StateChange, request_of

KIND: Final = "kubernetes.limits"
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_POWERS: Final = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS: Final = {"": 1.0, "m": 1e-3, **_POWERS, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
Quantity = Annotated[str, Field(pattern=rf"^{_QUANTITY.pattern}$", max_length=30)]


class LimitParameters(WorkloadParameters):
    """`most` bounds the new limit; both in Kubernetes' own spelling, such as 512Mi or 500m."""

    container: Name
    resource: Literal["memory", "cpu"] = "memory"
    limit: Quantity
    most: Quantity


class KubernetesLimits:
    """Sets one limit; a lower one than before is of high risk. Where the request would be above it, the cluster refuses."""

    kind = KIND
    parameters = LimitParameters
    risk = Risk.LOW

    def path(self, request: ActionRequest) -> str:
        """Return the path of the workload.

        Raises:
            ContractError: the new limit is above `most`, is none, or is a thousandth of a byte.
        """
        parameters = parsed(LimitParameters, request)
        if number_of(parameters.limit) <= 0:
            raise ContractError(f"with.limit={parameters.limit!r}: would leave nothing; give more than 0")
        if parameters.resource == "memory" and parameters.limit.endswith("m"):
            raise ContractError(f"with.limit={parameters.limit!r}: m is a thousandth of a byte; write Mi or M for memory")
        if number_of(parameters.limit) > number_of(parameters.most):
            raise ContractError(f"with.limit={parameters.limit!r} is above with.most={parameters.most!r}")
        return parameters.path

    def state(self, request: ActionRequest, resource: Resource) -> PlainMapping:
        """Return the limit in force, "" = none."""
        parameters = parsed(LimitParameters, request)
        limits = (_container(parameters, resource).get("resources") or {}).get("limits") or {}
        return {"limit": str(limits.get(parameters.resource, ""))}

    def change(self, request: ActionRequest, resource: Resource, cluster: Resources) -> StateChange:
        """Return the new limit."""
        parameters = parsed(LimitParameters, request)
        state = self.state(request, resource)
        before, limit = str(state["limit"]), canonical(parameters.limit)
        what = f"{parameters.resource} limit of {parameters.container}"
        return StateChange(
            target=parameters.target,
            parameters=dict(request.parameters),
            before=state,
            after={"limit": limit},
            difference=f"{what}: {before or 'none'} → {limit}",
            effect=f"pods of {parameters.workload} are replaced by ones with the new limit",
            undo=f"sets the {what} back to {before}" if before else f"takes the {what} away again",
            risk=Risk.LOW if _is_known_less(before, limit) else Risk.HIGH,
            replica_share=rolling_share(resource),
        )

    def edit(self, step: PlannedStep, resource: Resource, into: PlainMapping, cluster: Resources) -> None:
        """Set the limit, or take it away where there was none."""
        parameters = parsed(LimitParameters, request_of(step))
        resources: dict[str, Any] = _container(parameters, resource).setdefault("resources", {})
        limits = resources.setdefault("limits", {})
        if into["limit"]:
            limits[parameters.resource] = into["limit"]
        else:
            limits.pop(parameters.resource, None)


def number_of(quantity: str) -> float:
    """Return the number that a quantity of Kubernetes spells.

    Source: Kubernetes, resource.Quantity.

    >>> number_of("512Mi") == 512 * 1024 ** 2, number_of("500m")
    (True, 0.5)
    """
    match = _QUANTITY.fullmatch(quantity)
    assert match is not None
    return float(match[1]) * _UNITS[match[2] or ""]


def canonical(quantity: str) -> str:
    """Return a quantity as the API server spells it again: the largest unit that leaves a whole number.

    Source: Kubernetes, resource.Quantity, CanonicalizeBytes.

    >>> [canonical(text) for text in ("1024Mi", "1.5Gi", "0.5", "1000m", "512", "0.5Ki")]
    ['1Gi', '1536Mi', '500m', '1', '512', '512']
    """
    match = _QUANTITY.fullmatch(quantity)
    assert match is not None
    unit = match[2] or ""
    value = Decimal(match[1]) * Decimal(_UNITS[unit] if unit != "m" else "0.001")
    if unit.endswith("i") and value >= 1024:
        whole = math.ceil(value)
        power = max(power for power in range(5) if whole % 1024**power == 0)
        return f"{whole // 1024**power}{('', 'Ki', 'Mi', 'Gi', 'Ti')[power]}"
    thousandths = math.ceil(value * 1000)
    power = max(power for power in range(6) if thousandths % 1000**power == 0)
    return f"{thousandths // 1000**power}{('m', '', 'k', 'M', 'G', 'T')[power]}"


def _is_known_less(before: str, limit: str) -> bool:
    """Return whether the limit before was surely lower; none, or one in an unknown spelling, is not."""
    return _QUANTITY.fullmatch(before) is not None and number_of(before) < number_of(limit)


def _container(parameters: LimitParameters, resource: Resource) -> Resource:
    containers: list[Resource] = template_of(resource)["spec"]["containers"]
    for container in containers:
        if container["name"] == parameters.container:
            return container
    known = ", ".join(container["name"] for container in containers)
    raise ContractError(f"with.container={parameters.container!r}: {parameters.target} has {known}")
