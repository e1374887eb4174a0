"""What the process that acts on incidents says of itself."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from aiops.automation.run import RunState
from serving.stream.consumer.consumer_metrics import resident_bytes

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class AutomationMetrics:
    """Counters of all tenants, by tenant."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        names = ["tenant"]
        self.plan_s = Histogram(
            "aiops_automation_plan_seconds",
            "From the look before a cause was decided to its stored plan",
            names,
            registry=registry,
            buckets=_SECONDS,
        )
        self.plan_failures = Counter(
            "aiops_automation_plan_failures_total", "Plans that could not be made", names, registry=registry
        )
        self.ended = Counter("aiops_automation_runs_total", "Runs that have ended, by how", [*names, "state"], registry=registry)
        self.open = Gauge(
            "aiops_automation_open_runs", "Runs that have not ended, by state", [*names, "state"], registry=registry
        )
        self.switch = Gauge("aiops_automation_switch", "1 = runs may begin, 0 = switched off", names, registry=registry)
        memory = Gauge("aiops_automation_resident_bytes", "Resident memory", registry=registry)
        memory.set_function(resident_bytes)


class TenantMetrics:
    """The metrics of one tenant."""

    def __init__(self, metrics: AutomationMetrics, tenant: str) -> None:
        self._metrics = metrics
        self._tenant = tenant
        self._shown: set[RunState] = set()

    def planned(self, seconds: float) -> None:
        """Count a plan and how long after its cause was decided it was stored, at most."""
        self._metrics.plan_s.labels(self._tenant).observe(seconds)

    def failed(self) -> None:
        """Count a plan that could not be made."""
        self._metrics.plan_failures.labels(self._tenant).inc()

    def ended(self, state: RunState) -> None:
        """Count a run that has ended."""
        self._metrics.ended.labels(self._tenant, str(state)).inc()

    def show(self, states: dict[RunState, int], on: bool) -> None:
        """Show how many runs are in which state, and how the switch is."""
        for state in self._shown | states.keys():
            self._metrics.open.labels(self._tenant, str(state)).set(states.get(state, 0))
        self._shown |= states.keys()
        self._metrics.switch.labels(self._tenant).set(float(on))
