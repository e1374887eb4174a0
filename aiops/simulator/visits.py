"""Which services a request may visit, how often, and what each takes at rest: fixed for a simulation."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.simulator.operations import SHARES, ServicePlan
from aiops.simulator.profiles import Profiles
from aiops.simulator.services import Topology
from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray

MOST_VISITS: Final = 256
"""Visits of a trace's tree; calls beyond are not followed."""
_LEAST_OWN: Final = 0.15
_GAP_MS: Final = (0.3, 1.5)


@dataclass(frozen=True, slots=True)
class Visit:
    """One place in the tree of calls: `parent` visit (-1 = the entry), `call` = place among the calls of the parent's service."""

    service: int
    parent: int
    call: int


@dataclass(frozen=True, slots=True, eq=False)
class Journeys:
    """Trees of visits by entry, parents before children; of each edge its gap at rest in ms; of each service its own share of
    its time at rest.
    """

    topology: Topology
    plans: tuple[ServicePlan, ...]
    by_entry: dict[int, tuple[Visit, ...]]
    gap_ms: FloatArray
    own_share: FloatArray

    def call_shares(self, traffic: FloatArray) -> FloatArray:
        """Return (edges, operations, steps): how likely a request of each of the caller's operations makes the call.

        `traffic` (services, steps). Weighed by `SHARES` they are the callee's traffic over that of all its callers: calls are as
        many as the metrics say.
        """
        edges = self.topology.edges
        callers = np.zeros_like(traffic)
        for edge in edges:
            callers[edge.callee] += traffic[edge.caller]
        shares = np.empty((len(edges), len(SHARES), traffic.shape[1]))
        for number, edge in enumerate(edges):
            left = np.minimum(1.0, traffic[edge.callee] / np.maximum(callers[edge.callee], 1e-9))
            for turn in range(len(SHARES)):
                operation = (number + turn) % len(SHARES)
                shares[number, operation] = np.clip(left / SHARES[operation], 0.0, 1.0)
                left = left - shares[number, operation] * SHARES[operation]
        return shares


def journeys_of(seed: int, topology: Topology, plans: tuple[ServicePlan, ...], profiles: Profiles) -> Journeys:
    """Return the journeys of a simulation; at rest a service takes what its latency metric says, unless its calls take longer."""
    gap_ms = generator(seed, Stream.OPERATIONS, len(plans)).uniform(*_GAP_MS, len(topology.edges))
    at_rest = Journeys(topology, plans, {}, gap_ms, np.ones(len(plans)))
    shares = np.tensordot(np.array(SHARES), at_rest.call_shares(profiles.traffic[:, None])[:, :, 0], axes=(0, 1))
    own_share, taken_ms = np.ones(len(plans)), np.zeros(len(plans))
    for service in reversed(topology.order):
        calls = [call for call in plans[service].calls if not call.is_message]
        waited = sum(shares[call.edge] * (taken_ms[call.callee] + gap_ms[call.edge]) for call in calls)
        own_share[service] = np.clip(1.0 - waited / profiles.latency_ms[service], _LEAST_OWN, 1.0)
        taken_ms[service] = own_share[service] * profiles.latency_ms[service] + waited
    trees = {entry: _tree(plans, entry) for entry in topology.entries}
    return Journeys(topology, plans, trees, gap_ms, own_share)


def _tree(plans: tuple[ServicePlan, ...], entry: int) -> tuple[Visit, ...]:
    visits = [Visit(entry, -1, -1)]
    for number in range(MOST_VISITS):
        if number == len(visits):
            break
        calls = plans[visits[number].service].calls
        visits.extend(Visit(call.callee, number, place) for place, call in enumerate(calls))
    return tuple(visits[:MOST_VISITS])
