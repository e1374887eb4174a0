"""The call graph of a tenant as its lake knows it: what producers route by and what consumers compute features from."""

from typing import TYPE_CHECKING

from aiops.settings.tree import Settings

if TYPE_CHECKING:
    from aiops.topology.graph import ServiceGraph


def call_graph(settings: Settings, tenant: str) -> "ServiceGraph":
    """Return a tenant's call graph stored in its lake, an empty one where there is none."""
    from aiops.topology.graph import ServiceGraph
    from serving.lake.opening import open_lake

    return ServiceGraph.from_edges(open_lake(settings).for_tenant(tenant).read("edges"))
