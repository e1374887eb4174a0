"""Rolls a deployment back to the revision before the present one, or to a named one: that revision's pod template replaces this.

Source: Kubernetes, Deployment: revisions are replica sets with the annotation deployment.kubernetes.io/revision.
"""

import copy
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.kubernetes_api import Resource, Resources
from serving.automation.actions.kubernetes_workloads import Name, rolling_share, template_of
from serving.automation.actions.state_action import StateChange

KIND: Final = "kubernetes.rollback"
REVISION: Final = "deployment.kubernetes.io/revision"
_HASH: Final = "pod-template-hash"


class RollbackParameters(Parameters):
    """`revision` None = the last one before the present one."""

    namespace: Name
    deployment: Name
    revision: Annotated[int, Field(ge=1)] | None = None


class KubernetesRollback:
    """Replaces the pod template by that of an earlier revision; the state is a digest of the template and its images."""

    kind = KIND
    parameters = RollbackParameters
    risk = Risk.LOW

    def path(self, request: ActionRequest) -> str:
        """Return the path of the deployment."""
        parameters = parsed(RollbackParameters, request)
        return f"/apis/apps/v1/namespaces/{parameters.namespace}/deployments/{parameters.deployment}"

    def state(self, request: ActionRequest, resource: Resource) -> PlainMapping:
        """Return the digest of the template and its images."""
        return _template_state(template_of(resource))

    def change(self, request: ActionRequest, resource: Resource, cluster: Resources) -> StateChange:
        """Return the template of the earlier revision.

        Raises:
            ContractError: there is no earlier revision, or none of that number, or the deployment is paused.
            Unavailable: the cluster does not answer.
        """
        parameters = parsed(RollbackParameters, request)
        if resource["spec"].get("paused"):
            raise ContractError(
                f"kubernetes deployment {parameters.namespace}/{parameters.deployment} is paused: resume it first"
            )
        now = self.state(request, resource)
        earlier = _earlier(_revisions(resource, cluster), parameters.revision, str(now["template"]))
        after = _template_state(template_of(earlier))
        number = _number(earlier)
        return StateChange(
            target=f"kubernetes deployment {parameters.namespace}/{parameters.deployment}",
            parameters={**request.parameters, "revision": number},
            before=now,
            after=after,
            difference=f"images {now['images']} → {after['images']} (revision {number})",
            effect=f"{parameters.deployment} runs as it did in revision {number}",
            undo=f"puts back the template with images {now['images']}",
            replica_share=rolling_share(resource),
        )

    def edit(self, step: PlannedStep, resource: Resource, into: PlainMapping, cluster: Resources) -> None:
        """Put the template of the wanted state in place.

        Raises:
            StepRefused: its replica set is gone.
        """
        for revision in _revisions(resource, cluster):
            template = _bare(template_of(revision))
            if _template_state(template) == into:
                resource["spec"]["template"] = template
                return
        raise StepRefused(f"{step.target}: no replica set holds the template with images {into['images']} any more")


def _revisions(deployment: Resource, cluster: Resources) -> Sequence[Resource]:
    """Return the deployment's replica sets, the newest first."""
    labels = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    namespace, uid = deployment["metadata"]["namespace"], deployment["metadata"]["uid"]
    sets = cluster.items(f"/apis/apps/v1/namespaces/{namespace}/replicasets", labels)
    own = [kept for kept in sets if any(owner["uid"] == uid for owner in kept["metadata"].get("ownerReferences", []))]
    return sorted(own, key=_number, reverse=True)


def _earlier(revisions: Sequence[Resource], number: int | None, present: str) -> Resource:
    """Return the revision asked for.

    Raises:
        ContractError: there is none.
    """
    for revision in revisions:
        is_present = _template_state(template_of(revision))["template"] == present
        if not is_present and number in (None, _number(revision)):
            return revision
    kept = ", ".join(str(_number(revision)) for revision in revisions) or "none"
    wanted = "earlier revision" if number is None else f"revision {number} that differs"
    raise ContractError(f"action {KIND}: there is no {wanted}; replica sets are kept of revisions: {kept}")


def _number(replica_set: Resource) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, 0))


def _bare(template: Resource) -> Resource:
    """Return a template without the label that its replica set added."""
    bare = copy.deepcopy(template)
    (bare.get("metadata", {}).get("labels") or {}).pop(_HASH, None)
    bare.get("metadata", {}).pop("creationTimestamp", None)
    return bare


def _template_state(template: Resource) -> PlainMapping:
    bare = _bare(template)
    digest = hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()[:16]
    return {"template": digest, "images": ", ".join(container["image"] for container in bare["spec"]["containers"])}
