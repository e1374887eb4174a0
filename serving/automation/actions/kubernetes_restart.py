"""Restarts the pods of a workload one after the other, by an annotation of their template that counts restarts."""

from typing import Final

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from serving.automation.actions.action_parameters import parsed
from serving.automation.actions.kubernetes_api import Resource, Resources
from serving.automation.actions.kubernetes_workloads import WorkloadParameters, rolling_share, template_of
from serving.automation.actions.state_action import StateChange

KIND: Final = "kubernetes.restart"
ANNOTATION: Final = "aiops/restarts"


class KubernetesRestart:
    """A rolling restart, as the workload's own strategy does it."""

    kind = KIND
    parameters = WorkloadParameters
    risk = Risk.LOW

    def path(self, request: ActionRequest) -> str:
        """Return the path of the workload."""
        return parsed(WorkloadParameters, request).path

    def state(self, request: ActionRequest, resource: Resource) -> PlainMapping:
        """Return how often it was restarted so."""
        return {"restarts": _annotations(resource).get(ANNOTATION, "")}

    def change(self, request: ActionRequest, resource: Resource, cluster: Resources) -> StateChange:
        """Return one restart more."""
        parameters = parsed(WorkloadParameters, request)
        state = self.state(request, resource)
        before = str(state["restarts"])
        share = rolling_share(resource)
        return StateChange(
            target=parameters.target,
            parameters=dict(request.parameters),
            before=state,
            after={"restarts": str(int(before or 0) + 1) if before.isdigit() or not before else "1"},
            difference=f"pods of {parameters.workload} → new ones of the same version, {share:.0%} away at once",
            effect="what its processes hold in memory is gone: it ends a leak until it has grown again",
            undo="sets the annotation back, which restarts the pods once more",
            replica_share=share,
        )

    def edit(self, step: PlannedStep, resource: Resource, into: PlainMapping, cluster: Resources) -> None:
        """Set the annotation, or take it away where there was none."""
        metadata = template_of(resource).setdefault("metadata", {})
        annotations = _annotations(resource)
        annotations.pop(ANNOTATION, None)
        if into["restarts"]:
            annotations[ANNOTATION] = str(into["restarts"])
        metadata.pop("annotations", None)
        if annotations:
            metadata["annotations"] = annotations


def _annotations(resource: Resource) -> dict[str, str]:
    return dict((template_of(resource).get("metadata") or {}).get("annotations") or {})
