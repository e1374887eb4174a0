"""Findings become incidents: by time and by calls, and whatever the order in which they come."""

import itertools
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from aiops.correlate import Finding, correlate
from aiops.graph import ServiceGraph
from data_contracts.schemas import EDGES

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
CALLS = (("web", "cart"), ("cart", "database"), ("billing", "ledger"))
GRAPH = ServiceGraph.from_edges(
    pa.Table.from_pylist([{"caller": a, "callee": b, "valid_from": NOON} for a, b in CALLS], schema=EDGES)
)
SERVICES = ("web", "cart", "database", "billing", "ledger", "alone")
GAP = timedelta(minutes=15)


def finding(number: int, service: str, minute: float) -> Finding:
    return Finding(f"d{number:03d}", NOON + timedelta(minutes=minute), service)


findings = st.lists(st.tuples(st.sampled_from(SERVICES), st.integers(0, 90)), max_size=30).map(
    lambda rows: [finding(number, service, minute) for number, (service, minute) in enumerate(rows)]
)


@given(findings, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(found: list[Finding], chance: "object") -> None:
    shuffled = sorted(found, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert correlate(shuffled, GRAPH) == correlate(found, GRAPH)


@given(findings)
def test_every_finding_is_in_exactly_one_incident(found: list[Finding]) -> None:
    incidents = correlate(found, GRAPH)
    ids = [name for incident in incidents for name in incident.detection_ids]
    assert sorted(ids) == sorted(one.detection_id for one in found)
    of = {one.detection_id: one for one in found}
    for incident in incidents:
        times = [of[name].timestamp for name in incident.detection_ids]
        assert (incident.opened_at, incident.last_at) == (min(times), max(times))
        assert set(incident.services) == {of[name].service for name in incident.detection_ids}
        assert len(set(incident.services)) == len(incident.services)
        assert all(later - earlier <= GAP for earlier, later in itertools.pairwise(times))
    assert [incident.opened_at for incident in incidents] == sorted(incident.opened_at for incident in incidents)


def test_neighbours_join_strangers_do_not() -> None:
    found = [
        finding(1, "database", 0),
        finding(2, "cart", 1),
        finding(3, "web", 2),
        finding(4, "billing", 2),
        finding(5, "alone", 2),
    ]
    assert [incident.services for incident in correlate(found, GRAPH)] == [("database", "cart", "web"), ("alone",), ("billing",)]


def test_services_two_calls_apart_join_only_through_the_one_between() -> None:
    assert len(correlate([finding(1, "web", 0), finding(2, "database", 1)], GRAPH)) == 2


def test_gap_is_measured_from_the_last_finding_and_includes_its_end() -> None:
    assert len(correlate([finding(1, "web", 0), finding(2, "web", 15), finding(3, "web", 30)], GRAPH)) == 1
    assert len(correlate([finding(1, "web", 0), finding(2, "web", 15.1)], GRAPH)) == 2
    assert len(correlate([finding(1, "web", 0), finding(2, "web", 15.1)], GRAPH, gap=timedelta(minutes=16))) == 1


def test_a_finding_between_two_open_incidents_joins_the_newer() -> None:
    found = [finding(1, "web", 0), finding(2, "database", 5), finding(3, "cart", 6)]
    assert [incident.services for incident in correlate(found, GRAPH)] == [("web",), ("database", "cart")]


def test_nothing_found_is_no_incident() -> None:
    assert correlate([], GRAPH) == []
