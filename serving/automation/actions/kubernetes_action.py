"""Actions on Kubernetes: what all share. An edit says which object, which part of it is its state, and how that is changed."""

from typing import Protocol

from aiops.automation.action import Action, ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused
from serving.automation.actions.kubernetes_api import Resource, Resources
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of, state_action


class ResourceEdit(Protocol):
    """One kind of change to one kind of object."""

    @property
    def kind(self) -> str:
        """Name in runbooks."""
        ...

    @property
    def risk(self) -> Risk:
        """Least risk of any step."""
        ...

    def path(self, request: ActionRequest) -> str:
        """Return the path of the object.

        Raises:
            ContractError: the parameters cannot be used.
        """
        ...

    def state(self, request: ActionRequest, resource: Resource) -> PlainMapping:
        """Return the part of the object that a request changes.

        Raises:
            ContractError: the object has no such part.
        """
        ...

    def change(self, request: ActionRequest, resource: Resource, cluster: Resources) -> StateChange:
        """Return what the request comes to on the object as it is.

        Raises:
            ContractError: it cannot be done on this object.
            Unavailable: the cluster does not answer.
        """
        ...

    def edit(self, step: PlannedStep, resource: Resource, into: PlainMapping, cluster: Resources) -> None:
        """Bring the part into a state, in the object as it was just read.

        Raises:
            StepRefused: what it takes is not there any more.
            Unavailable: the cluster does not answer.
        """
        ...


class KubernetesKind:
    """A kind of action on one object, guarded by its resource version between reading and replacing."""

    outcome = staticmethod(compared)

    def __init__(self, edit: ResourceEdit, cluster: Resources) -> None:
        self._edit = edit
        self._cluster = cluster

    @property
    def kind(self) -> str:
        """Return the name in runbooks."""
        return self._edit.kind

    @property
    def risk(self) -> Risk:
        """Return the least risk of any step."""
        return self._edit.risk

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return the part of the object that the request changes.

        Raises:
            ContractError: the parameters cannot be used, or there is no such object.
            Unavailable: the cluster does not answer.
        """
        return self._edit.state(request, self._cluster.get(self._edit.path(request)))

    def change(self, request: ActionRequest) -> StateChange:
        """Read the object and return what the request comes to.

        Raises:
            ContractError: it cannot be done, or there is no such object.
            Unavailable: the cluster does not answer.
        """
        return self._edit.change(request, self._cluster.get(self._edit.path(request)), self._cluster)

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Replace the object where its part is still the one planned.

        Raises:
            StepRefused: it was changed, or the server refuses.
            Unavailable: it is not known whether it was done.
        """
        self._replace(step, into, dry_run=False)

    def rehearse(self, step: PlannedStep) -> None:
        """Ask the server whether it would take the step (server-side dry run).

        Raises:
            ContractError: it would refuse.
            Unavailable: it does not answer.
        """
        try:
            self._replace(step, step.after, dry_run=True)
        except StepRefused as error:
            raise ContractError(f"action {step.action}: the cluster would refuse it: {error}") from error

    def _replace(self, step: PlannedStep, into: PlainMapping, dry_run: bool) -> None:
        request = request_of(step)
        path = self._edit.path(request)
        try:
            resource = self._cluster.get(path)
            now = self._edit.state(request, resource)
        except ContractError as error:
            raise StepRefused(f"{step.target}: {error}") from error
        refuse_changed(step, into, now)
        self._edit.edit(step, resource, into, self._cluster)
        self._cluster.replace(path, resource, dry_run)


def kubernetes_action(edit: ResourceEdit, cluster: Resources) -> Action:
    """Return both halves of the actions of an edit; planning ends with a dry run on the server."""
    kind = KubernetesKind(edit, cluster)
    return state_action(kind, kind.rehearse)
