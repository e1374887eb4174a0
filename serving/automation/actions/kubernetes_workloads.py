"""Workloads of Kubernetes: which object a request means, and how much of it a rolling change touches at once."""

import math
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from serving.automation.actions.action_parameters import Parameters
from serving.automation.actions.kubernetes_api import Resource

NAME: Final = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME, max_length=253)]


class WorkloadParameters(Parameters):
    """A deployment, stateful set or daemon set."""

    namespace: Name
    workload: Name
    kind: Literal["deployment", "statefulset", "daemonset"] = "deployment"

    @property
    def path(self) -> str:
        """Return the path of the object."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/{self.kind}s/{self.workload}"

    @property
    def target(self) -> str:
        """Return how people read it."""
        return f"kubernetes {self.kind} {self.namespace}/{self.workload}"


def template_of(workload: Resource) -> Resource:
    """Return the template of its pods."""
    template: Resource = workload["spec"]["template"]
    return template


def replicas_of(workload: Resource) -> int:
    """Return how many pods it is to have."""
    spec, status = workload.get("spec", {}), workload.get("status", {})
    return int(spec.get("replicas", status.get("desiredNumberScheduled", 1)))


def rolling_share(workload: Resource) -> float:
    """Return the share of pods that are away at once while its template changes: 1 where all are ended first.

    Source: Kubernetes, Deployment strategy (maxUnavailable 25 %, rounded down); StatefulSet: one; DaemonSet: maxUnavailable, 1.

    >>> rolling_share({"kind": "Deployment", "spec": {"replicas": 10}})
    0.2
    """
    spec, replicas = workload.get("spec", {}), max(1, replicas_of(workload))
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    if strategy.get("type") in ("Recreate", "OnDelete"):
        return 1.0
    default = "25%" if workload.get("kind") == "Deployment" else 1
    away = _count((strategy.get("rollingUpdate") or {}).get("maxUnavailable", default), replicas)
    return min(1.0, away / replicas)


def _count(value: Any, replicas: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return math.floor(replicas * float(value[:-1]) / 100)
    return int(value)
