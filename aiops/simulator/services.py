"""The service call graph: a layered DAG of services with everyday role names."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray

_ROLES: Final[tuple[tuple[str, int, str], ...]] = (
    ("gateway", 0, ""),
    ("checkout", 2, "gateway"),
    ("payments-db", 4, "payments"),
    ("cart", 2, "gateway"),
    ("catalog", 2, "gateway"),
    ("payments", 3, "checkout"),
    ("web-frontend", 1, "gateway"),
    ("orders-db", 4, "orders"),
    ("orders", 3, "checkout"),
    ("cart-cache", 4, "cart"),
    ("inventory", 3, "catalog"),
    ("catalog-db", 4, "catalog"),
    ("search", 2, "web-frontend"),
    ("accounts", 2, "gateway"),
    ("accounts-db", 4, "accounts"),
    ("shipping", 3, "checkout"),
    ("search-index", 4, "search"),
    ("recommendations", 2, "web-frontend"),
    ("mobile-frontend", 1, "gateway"),
    ("pricing", 3, "catalog"),
    ("inventory-db", 4, "inventory"),
    ("notifications", 3, "orders"),
    ("event-bus", 4, "orders"),
    ("session-cache", 4, "gateway"),
    ("auth", 2, "gateway"),
    ("reviews", 2, "web-frontend"),
    ("reviews-db", 4, "reviews"),
    ("promotions", 3, "pricing"),
    ("tax", 3, "checkout"),
    ("fraud-check", 3, "payments"),
    ("mailer", 4, "notifications"),
    ("media-store", 4, "catalog"),
    ("wishlist", 2, "mobile-frontend"),
    ("loyalty", 3, "checkout"),
    ("loyalty-db", 4, "loyalty"),
    ("returns", 2, "web-frontend"),
    ("invoices", 3, "orders"),
    ("invoices-db", 4, "invoices"),
    ("partner-api", 1, "gateway"),
    ("warehouse", 3, "shipping"),
    ("warehouse-db", 4, "warehouse"),
    ("feature-flags", 3, "web-frontend"),
    ("geolocation", 3, "shipping"),
    ("translations", 3, "web-frontend"),
    ("chat", 2, "mobile-frontend"),
    ("chat-db", 4, "chat"),
    ("analytics", 3, "event-bus"),
    ("analytics-db", 4, "analytics"),
    ("gift-cards", 3, "payments"),
    ("currency", 3, "pricing"),
)
"""(name, layer, usual caller); a simulation of n services takes the first n."""

STORE_LAYER: Final = 4


def service_names(count: int) -> tuple[str, ...]:
    """Return the names of a simulation of `count` services, sorted; `count` is at most 50.

    >>> service_names(3)
    ('checkout', 'gateway', 'payments-db')
    """
    return tuple(sorted(name for name, _, _ in _ROLES[:count]))


@dataclass(frozen=True, slots=True)
class Edge:
    """One call: numbers of services, `weight` = how much of the callee's trouble the caller feels (0..1), delay of it."""

    caller: int
    callee: int
    weight: float
    delay_s: float


@dataclass(frozen=True, slots=True)
class Topology:
    """Services by number (sorted by name) and their calls.

    `order` lists all services, callers before callees. `stores` are those that hold data.
    """

    services: tuple[str, ...]
    edges: tuple[Edge, ...]
    order: tuple[int, ...]
    stores: tuple[int, ...]
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an effect gets from its root: (services,) strength 0..1 (0 = not reached) and delay in seconds."""

    strength: FloatArray
    delay_s: FloatArray


def build_topology(seed: int, count: int, applications: int = 1) -> Topology:
    """Return a DAG of `count` services in `applications` connected components; each service has one to three callers."""
    rng = generator(seed, Stream.GRAPH)
    names = service_names(count)
    number = {name: index for index, name in enumerate(names)}
    roles = _ROLES[:count]
    edges: list[Edge] = []
    order: list[int] = []
    entries: list[int] = []
    for application in range(applications):
        members = sorted(roles[application::applications], key=lambda role: role[1])
        entries.append(number[members[0][0]])
        for position, (name, layer, owner) in enumerate(members):
            order.append(number[name])
            if position == 0:
                continue
            above = [role[0] for role in members[:position] if role[1] < layer or role is members[0]]
            for caller in _callers(rng, above, owner):
                weight, delay_s = float(rng.uniform(0.45, 0.85)), float(rng.uniform(60, 180))
                edges.append(Edge(number[caller], number[name], weight, delay_s))
    stores = tuple(number[name] for name, layer, _ in roles if layer == STORE_LAYER)
    edges.sort(key=lambda edge: (edge.caller, edge.callee))
    return Topology(names, tuple(edges), tuple(order), stores, tuple(entries))


def _callers(rng: np.random.Generator, above: list[str], owner: str) -> list[str]:
    """Return the usual caller where there is one, and up to two more of `above` (sorted by layer), the nearest ones first."""
    chosen = [owner] if owner in above else [above[-1 - int(rng.integers(min(3, len(above))))]]
    near = [name for name in above[-5:] if name not in chosen]
    extra = int(rng.choice(3, p=(0.55, 0.35, 0.1)))
    chosen.extend(str(name) for name in rng.permutation(near)[:extra])
    return chosen


def upstream(topology: Topology, root: int, faintest: float = 0.12) -> Reach:
    """Return how trouble of `root` reaches its callers, theirs, and so on, along the strongest path."""
    return _spread(topology, root, faintest, up=True)


def downstream(topology: Topology, root: int, faintest: float = 0.12) -> Reach:
    """Return how traffic of `root` reaches its callees, theirs, and so on, along the strongest path."""
    return _spread(topology, root, faintest, up=False)


def _spread(topology: Topology, root: int, faintest: float, up: bool) -> Reach:
    strength = np.zeros(len(topology.services))
    delay_s = np.zeros(len(topology.services))
    strength[root] = 1.0
    for service in reversed(topology.order) if up else topology.order:
        if strength[service] == 0.0:
            continue
        for edge in topology.edges:
            near, far = (edge.callee, edge.caller) if up else (edge.caller, edge.callee)
            reached = strength[service] * edge.weight
            if near == service and reached >= faintest and reached > strength[far]:
                strength[far] = reached
                delay_s[far] = delay_s[service] + edge.delay_s
    return Reach(strength, delay_s)
