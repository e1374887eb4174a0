"""The truth of a simulation as Arrow tables: incidents, call graph, drift, deployments, bad rows."""

from datetime import datetime, timedelta

import pyarrow as pa

from aiops.simulator.everyday import Deployment
from aiops.simulator.incident_course import Course
from aiops.simulator.services import Topology
from aiops.simulator.simulation_config import DIRTY_KINDS, SimulationConfig
from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import EDGES, INCIDENTS
from data_contracts.schemas.truth_schemas import DEPLOYMENTS, DIRTY_TRUTH, DRIFT_TRUTH


def incidents_table(start: datetime, topology: Topology, courses: tuple[Course, ...]) -> pa.Table:
    """Return `schemas.INCIDENTS` in the order of their planned starts, each from when it first harmed to when it last did.

    One that an action kept from harming is left out; the others keep their ids.
    """

    def at(seconds: float) -> datetime:
        return start + timedelta(seconds=round(seconds))

    rows = []
    for number, course in enumerate(courses, start=1):
        incident, harms = course.incident, course.harms()
        if harms:
            ends_s = harms[-1].end_s
            rows.append(
                {
                    "incident_id": f"INC-{number:04d}",
                    "service": topology.services[incident.service],
                    "kind": incident.kind,
                    "onset_at": at(incident.onset_s),
                    "starts_at": at(harms[0].start_s),
                    "ends_at": at(ends_s),
                    "known_at": at(ends_s + incident.known_s - incident.ends_s),
                }
            )
    return pa.Table.from_pylist(rows, schema=INCIDENTS)


def edges_table(start: datetime, topology: Topology) -> pa.Table:
    """Return `schemas.EDGES` in order of caller and callee; all calls are valid from the start."""
    rows = [
        {
            "caller": topology.services[edge.caller],
            "callee": topology.services[edge.callee],
            "valid_from": start,
            "origin": "table",
        }
        for edge in topology.edges
    ]
    return pa.Table.from_pylist(rows, schema=EDGES)


def drift_table(config: SimulationConfig, topology: Topology, services: tuple[int, ...]) -> pa.Table:
    """Return `truth_schemas.DRIFT_TRUTH`, one row a drifting service; empty without a drift."""
    drift = config.drift
    if drift is None:
        return DRIFT_TRUTH.empty_table()
    starts_at = config.start + timedelta(hours=drift.start_h)
    rows = [
        {
            "service": topology.services[service],
            "kind": drift.kind,
            "magnitude": drift.magnitude,
            "starts_at": starts_at,
            "complete_at": starts_at + timedelta(minutes=drift.ramp_min),
        }
        for service in services
    ]
    return pa.Table.from_pylist(rows, schema=DRIFT_TRUTH)


def deployments_table(start: datetime, topology: Topology, deployments: tuple[Deployment, ...]) -> pa.Table:
    """Return `truth_schemas.DEPLOYMENTS` in order of time."""
    rows = [
        {
            "deployment_id": f"DEP-{number:04d}",
            "service": topology.services[deployment.service],
            "deployed_at": start + timedelta(seconds=deployment.deployed_s),
            "harmful": deployment.is_harmful,
        }
        for number, deployment in enumerate(deployments, start=1)
    ]
    return pa.Table.from_pylist(rows, schema=DEPLOYMENTS)


def dirty_table(counts: IntArray) -> pa.Table:
    """Return `truth_schemas.DIRTY_TRUTH`: one row a kind of bad row, also where its count is 0."""
    rows = [{"kind": kind, "rows": int(count)} for kind, count in zip(DIRTY_KINDS, counts, strict=True)]
    return pa.Table.from_pylist(rows, schema=DIRTY_TRUTH)
