"""Cordons a node: no new pods are placed on it; those that run there stay."""

from typing import Final

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.kubernetes_api import Resource, Resources
from serving.automation.actions.kubernetes_workloads import Name
from serving.automation.actions.state_action import StateChange

KIND: Final = "kubernetes.cordon"


class CordonParameters(Parameters):
    """`cordoned` False lets pods in again."""

    node: Name
    cordoned: bool = True


class KubernetesCordon:
    """Sets whether a node takes pods."""

    kind = KIND
    parameters = CordonParameters
    risk = Risk.LOW

    def path(self, request: ActionRequest) -> str:
        """Return the path of the node."""
        return f"/api/v1/nodes/{parsed(CordonParameters, request).node}"

    def state(self, request: ActionRequest, resource: Resource) -> PlainMapping:
        """Return whether it is cordoned."""
        return {"cordoned": bool(resource.get("spec", {}).get("unschedulable", False))}

    def change(self, request: ActionRequest, resource: Resource, cluster: Resources) -> StateChange:
        """Return whether it is to be."""
        parameters = parsed(CordonParameters, request)
        words = {True: "takes no new pods", False: "takes new pods"}
        return StateChange(
            target=f"kubernetes node {parameters.node}",
            parameters=dict(request.parameters),
            before=self.state(request, resource),
            after={"cordoned": parameters.cordoned},
            difference=f"node {parameters.node}: {words[not parameters.cordoned]} → {words[parameters.cordoned]}",
            effect="pods that run there stay; new ones go to other nodes" if parameters.cordoned else "new pods may go there",
            undo=f"the node {words[not parameters.cordoned]} again",
            replica_share=0.0,
        )

    def edit(self, step: PlannedStep, resource: Resource, into: PlainMapping, cluster: Resources) -> None:
        """Set it, or take it away where pods are let in."""
        spec = resource.setdefault("spec", {})
        if into["cordoned"]:
            spec["unschedulable"] = True
        else:
            spec.pop("unschedulable", None)
