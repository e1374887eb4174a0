"""Changes how many pods a workload has; refused where an autoscaler decides that."""

import math
from typing import Annotated, Final, Literal

from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError
from serving.automation.actions.action_parameters import parsed
from serving.automation.actions.kubernetes_api import Resource, Resources
from serving.automation.actions.kubernetes_workloads import WorkloadParameters, replicas_of
from serving.automation.actions.state_action import StateChange

KIND: Final = "kubernetes.scale"


class ScaleParameters(WorkloadParameters):
    """To a number of pods, or by a factor (rounded up), `most` at most."""

    kind: Literal["deployment", "statefulset", "daemonset"] = "deployment"
    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = None
    factor: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    most: Annotated[int, Field(ge=1, le=10_000)] = 20


class KubernetesScale:
    """Sets the number of pods; never to none."""

    kind = KIND
    parameters = ScaleParameters
    risk = Risk.LOW

    def path(self, request: ActionRequest) -> str:
        """Return the path of the workload.

        Raises:
            ContractError: it has no number of pods, or the request does not say which number.
        """
        parameters = parsed(ScaleParameters, request)
        if parameters.kind == "daemonset":
            raise ContractError("with.kind='daemonset': a daemon set has one pod a node and cannot be scaled")
        if (parameters.replicas is None) == (parameters.factor is None):
            raise ContractError("action kubernetes.scale: give with.replicas or with.factor, one of them")
        return parameters.path

    def state(self, request: ActionRequest, resource: Resource) -> PlainMapping:
        """Return how many pods it is to have."""
        return {"replicas": replicas_of(resource)}

    def change(self, request: ActionRequest, resource: Resource, cluster: Resources) -> StateChange:
        """Return the number wanted.

        Raises:
            ContractError: an autoscaler decides the number, or it would be more than `most`.
            Unavailable: the cluster does not answer.
        """
        parameters = parsed(ScaleParameters, request)
        before = replicas_of(resource)
        wanted = parameters.replicas or math.ceil(before * (parameters.factor or 1.0))
        if wanted > parameters.most:
            raise ContractError(f"with.most={parameters.most}: {parameters.target} has {before} pods and would have {wanted}")
        _refuse_autoscaled(parameters, cluster)
        fewer = max(0.0, (before - wanted) / before) if before else 0.0
        return StateChange(
            target=parameters.target,
            parameters={**request.parameters, "replicas": wanted, "factor": None},
            before={"replicas": before},
            after={"replicas": wanted},
            difference=f"pods of {parameters.workload}: {before} → {wanted}",
            effect=f"each pod gets {before / wanted:.0%} of its present requests" if wanted else "",
            undo=f"sets the number back to {before}",
            risk=Risk.HIGH if wanted < before else Risk.LOW,
            replica_share=fewer,
        )

    def edit(self, step: PlannedStep, resource: Resource, into: PlainMapping, cluster: Resources) -> None:
        """Set the number."""
        resource["spec"]["replicas"] = into["replicas"]


def _refuse_autoscaled(parameters: ScaleParameters, cluster: Resources) -> None:
    """Check that nobody else decides the number.

    Raises:
        ContractError: an autoscaler does.
    """
    for scaler in cluster.items(f"/apis/autoscaling/v2/namespaces/{parameters.namespace}/horizontalpodautoscalers", {}):
        scaled = scaler["spec"]["scaleTargetRef"]
        if (scaled["kind"].lower(), scaled["name"]) == (parameters.kind, parameters.workload):
            name = scaler["metadata"]["name"]
            raise ContractError(
                f"action {KIND}: autoscaler {name} decides the pods of {parameters.target}; change its bounds instead"
            )
