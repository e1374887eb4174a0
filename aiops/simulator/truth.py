"""The truth of a simulation as Arrow tables: incidents, call graph, drift, deployments, bad rows."""

from datetime import datetime, timedelta

import pyarrow as pa

from aiops.simulator.everyday import Deployment
from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.services import Topology
from aiops.simulator.simulation_config import DIRTY_KINDS, SimulationConfig
from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import EDGES, INCIDENTS
from data_contracts.schemas.truth_schemas import DEPLOYMENTS, DIRTY_TRUTH, DRIFT_TRUTH


def incidents_table(start: datetime, topology: Topology, incidents: tuple[PlannedIncident, ...]) -> pa.Table:
    """Return `schemas.INCIDENTS` in order of starts_at."""

    def at(seconds: int) -> datetime:
        return start + timedelta(seconds=seconds)

    rows = [
        {
            "incident_id": f"INC-{number:04d}",
            "service": topology.services[incident.service],
            "kind": incident.kind,
            "onset_at": at(incident.onset_s),
            "starts_at": at(incident.starts_s),
            "ends_at": at(incident.ends_s),
            "known_at": at(incident.known_s),
        }
        for number, incident in enumerate(incidents, start=1)
    ]
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
