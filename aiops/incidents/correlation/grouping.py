"""Which open incident an alert belongs to; when two incidents are one, and when one is two."""

from collections.abc import Iterable, Iterator

from aiops.incidents.alert import Alert
from aiops.incidents.correlation.board import Board, OpenIncident
from aiops.incidents.correlation.closeness import Closeness
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.rate import SECOND_US
from aiops.topology.graph import ServiceGraph


class Grouping:
    """Decides by time and distance together. Not thread-safe."""

    def __init__(self, graph: ServiceGraph, config: CorrelationConfig, board: Board) -> None:
        self.closeness = Closeness(graph)
        self._config = config
        self._board = board

    def related(self, alert: Alert, at_us: int, per_minute: float) -> list[OpenIncident]:
        """Return the incidents that an alert belongs to, the one that takes it in first: nearest, then newest, then by id.

        The others are near enough to the first that the alert shows them to be one with it.
        """
        window_us = self._config.window_now_s(per_minute) * SECOND_US
        near = self.closeness.near(alert.service, self._config.reach_now(per_minute))
        within = self.closeness.near(alert.service, self._config.radius)
        nearest: dict[str, tuple[float, int, str]] = {}
        for name, distance in near.items():
            for incident in self._board.at(name):
                last_us = incident.services[name]
                if at_us - last_us <= window_us and incident.anchor in within:
                    key = (distance, -last_us, incident.incident_id)
                    nearest[incident.incident_id] = min(key, nearest.get(incident.incident_id, key))
        if not nearest:
            parent = self._parent(alert.service, at_us, window_us)
            return [] if parent is None else [parent]
        order = [self._board.incidents[number] for _, _, number in sorted(nearest.values())]
        around = self.closeness.near(order[0].anchor, self._config.radius)
        return [order[0], *(other for other in order[1:] if other.anchor in around)]

    def component(self, alert: Alert, at_us: int, per_minute: float) -> list[OpenIncident]:
        """Return the incidents of the alert's component of alerting services, the oldest first: what a storm goes by."""
        window_us = self._config.window_now_s(per_minute) * SECOND_US
        incident_ids = {
            incident.incident_id: incident
            for name in (alert.service, *self.closeness.neighbours(alert.service))
            for incident in self._board.at(name)
            if at_us - incident.services[name] <= window_us
        }
        return sorted(incident_ids.values(), key=lambda incident: (incident.opened_us, incident.incident_id))

    def far_and_young(self, service: str, at_us: int, per_minute: float) -> list[str]:
        """Return where incidents began within the window that lie beyond the reach of a service."""
        window_us = self._config.window_now_s(per_minute) * SECOND_US
        near = self.closeness.near(service, self._config.radius)
        young = (incident.anchor for incident in self._board.incidents.values() if at_us - incident.opened_us <= window_us)
        return [anchor for anchor in young if anchor not in near]

    def apart(self, incident: OpenIncident) -> list[set[str]]:
        """Return the groups of its firing services that nothing within reach links any more; the anchor's, or largest, first."""
        firing = {entry.service for entry in incident.entries.values() if not entry.ended}
        groups: list[set[str]] = []
        for service in sorted(firing):
            near = self.closeness.near(service, self._config.reach)
            touched = [group for group in groups if not group.isdisjoint(near)]
            groups = [group for group in groups if group.isdisjoint(near)]
            groups.append({service}.union(*touched))
        return sorted(groups, key=lambda group: (incident.anchor not in group, -len(group), min(group)))

    def split(self, incident_ids: Iterable[str], at_us: int) -> Iterator[tuple[OpenIncident, OpenIncident]]:
        """Split open incidents that nothing links any more; yield each with the new one that it lost services to."""
        for incident_id in incident_ids:
            incident = self._board.incidents.get(incident_id)
            for group in self.apart(incident)[1:] if incident is not None else ():
                assert incident is not None
                yield incident, self._board.split(incident, group, at_us)

    def _parent(self, service: str, at_us: int, window_us: float) -> OpenIncident | None:
        """Return the incident that began at something the service calls and is still fed: what callers say are its children."""
        called = self.closeness.called_within(service, self._config.child_calls)
        fed = [
            (calls, incident.opened_us, incident.incident_id)
            for name, calls in called.items()
            for incident in self._board.at(name)
            if incident.anchor == name and at_us - incident.last_us <= window_us
        ]
        return self._board.incidents[min(fed)[2]] if fed else None


def loose(incidents: Iterable[OpenIncident]) -> set[str]:
    """Return the ids of incidents whose services may have come apart: all with more than one."""
    return {incident.incident_id for incident in incidents if len(incident.services) > 1}
