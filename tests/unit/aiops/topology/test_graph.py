"""The call graph: neighbours and components."""

import pyarrow as pa
import pytest

from aiops.errors import ContractError
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.telemetry_schemas import EDGES


def edges(*pairs: tuple[str, str]) -> pa.Table:
    rows = [{"caller": caller, "callee": callee, "valid_from": 0} for caller, callee in pairs]
    return pa.Table.from_pylist(rows, schema=EDGES)


def test_neighbours_are_sorted_and_unique_and_never_the_service_itself() -> None:
    graph = ServiceGraph.from_edges(edges(("web", "pay"), ("web", "cart"), ("web", "cart"), ("cart", "cart")))
    assert graph.services == ("cart", "pay", "web")
    assert graph.callees("web") == ("cart", "pay")
    assert graph.callers("cart") == ("web",)
    assert graph.callees("cart") == ()


def test_an_unknown_service_has_no_neighbours() -> None:
    graph = ServiceGraph.from_edges(edges())
    assert graph.services == ()
    assert graph.callers("x") == graph.callees("x") == ()
    assert graph.component_of("x") is None


def test_components_do_not_depend_on_the_order_of_edges() -> None:
    pairs = [("d", "c"), ("a", "b"), ("x", "y"), ("b", "e")]
    first = ServiceGraph.from_edges(edges(*pairs)).components()
    second = ServiceGraph.from_edges(edges(*reversed(pairs))).components()
    assert first == second == {"a": 0, "b": 0, "e": 0, "c": 1, "d": 1, "x": 2, "y": 2}


def test_edges_without_a_callee_are_refused() -> None:
    with pytest.raises(ContractError, match="callee"):
        ServiceGraph.from_edges(pa.table({"caller": ["a"]}))
