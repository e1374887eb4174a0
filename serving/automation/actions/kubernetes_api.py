"""The few calls to a Kubernetes API server that actions need: get, list, and replace guarded by the resource version.

Source: Kubernetes API concepts, "Updates to existing resources" (resourceVersion, 409) and "Dry-run".
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from urllib3.exceptions import HTTPError

from aiops.errors import ContractError, StepRefused, Unavailable, legible

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Resource = dict[str, Any]
"""An object of Kubernetes, as JSON has it."""
FIELD_MANAGER: Final = "aiops"
_TIMEOUT_S: Final = 10.0
_NOT_KNOWN: Final = frozenset({408, 429})


class Resources(Protocol):
    """Objects of one cluster."""

    def get(self, path: str) -> Resource:
        """Return an object.

        Raises:
            ContractError: there is none, or it may not be read.
            Unavailable: the server does not answer.
        """
        ...

    def items(self, path: str, labels: Mapping[str, str]) -> Sequence[Resource]:
        """Return the objects of a collection that have these labels.

        Raises:
            ContractError: they may not be read.
            Unavailable: the server does not answer.
        """
        ...

    def replace(self, path: str, resource: Resource, dry_run: bool = False) -> None:
        """Put an object in place of the one whose resource version it has; `dry_run`: only ask whether that would be taken.

        Raises:
            StepRefused: the server refuses, or the object has been changed since it was read.
            Unavailable: it is not known whether it was done.
        """
        ...


class _StatusError(Exception):
    """The server answered with a status that says no."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Cluster:
    """Objects of the cluster behind a client, which is made at the first call. Thread-safe."""

    def __init__(self, connect: Callable[[], "ApiClient"]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._client: ApiClient | None = None

    def get(self, path: str) -> Resource:
        """Return an object; see `Resources.get`."""
        return self._read(path, [])

    def items(self, path: str, labels: Mapping[str, str]) -> Sequence[Resource]:
        """Return objects of a collection; see `Resources.items`."""
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        items: list[Resource] = self._read(path, [("labelSelector", selector)] if selector else []).get("items", [])
        return items

    def replace(self, path: str, resource: Resource, dry_run: bool = False) -> None:
        """Replace an object; see `Resources.replace`."""
        query = [("fieldManager", FIELD_MANAGER), *([("dryRun", "All")] if dry_run else [])]
        try:
            self._call("PUT", path, query, resource)
        except _StatusError as error:
            if error.status in _NOT_KNOWN or error.status >= 500:
                raise Unavailable(f"kubernetes {path}: answers {error.status} ({error})") from error
            changed = "it was changed since it was read: make a new plan" if error.status == 409 else str(error)
            raise StepRefused(f"kubernetes {path}: refused with {error.status}: {changed}") from error

    def _read(self, path: str, query: list[tuple[str, str]]) -> Resource:
        try:
            return self._call("GET", path, query, None)
        except _StatusError as error:
            kind = ContractError if error.status in (403, 404) else Unavailable
            raise kind(f"kubernetes {path}: answers {error.status} ({error})") from error

    def _connected(self) -> "ApiClient":
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _call(self, method: str, path: str, query: list[tuple[str, str]], body: Resource | None) -> Resource:
        from kubernetes.client.exceptions import ApiException

        try:
            answer: Resource = self._connected().call_api(
                path,
                method,
                query_params=query,
                header_params={"Accept": "application/json", "Content-Type": "application/json"},
                body=body,
                response_types_map={200: "object", 201: "object"},
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT_S,
            )
        except ApiException as error:
            raise _StatusError(error.status or 500, legible(error.reason or error.body or "no reason given")) from error
        except HTTPError as error:
            raise Unavailable(f"kubernetes {path}: no answer ({legible(error)}); check the cluster's address") from error
        return answer


def client_in_force(in_cluster: bool, context: str | None) -> "ApiClient":
    """Return the client of the cluster that this process runs in, or of a context of the kubeconfig file.

    Raises:
        ContractError: there is no configuration, or no such context.
    """
    from kubernetes import config
    from kubernetes.client import ApiClient

    try:
        if in_cluster:
            config.load_incluster_config()
            return ApiClient()
        return config.new_client_from_config(context=context)
    except config.ConfigException as error:
        where = "the pod's service account" if in_cluster else f"kubeconfig, context {context or 'in force'}"
        raise ContractError(f"kubernetes: no access by {where}: {legible(error)}") from error
