"""The world that incidents are acted on in: three busy days of a seed, on a grid of a minute."""

from dataclasses import dataclass

import pyarrow as pa

from aiops.incidents.root_cause import ChangeEvent
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.graph import ServiceGraph
from models.rca.grid import SeriesGrid
from orchestration.bench.simulated.rca_cases import SIZES


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedWorld:
    """One seed in which nobody has acted: simulation, its telemetry on a grid, graph and changes."""

    simulation: Simulation
    grid: SeriesGrid
    graph: ServiceGraph
    changes: tuple[ChangeEvent, ...]


def world_of(seed: int) -> SimulatedWorld:
    """Return the world of a seed: as busy as that of `aiops bench rca-calibration`."""
    busy = SimulationConfig(
        seed=seed,
        services=SIZES[seed % len(SIZES)],
        hours=72.0,
        incidents_per_day=8.0,
        buildup_share=0.5,
        decoys_per_day=8.0,
        deployments_per_day=8.0,
    )
    simulation = simulate(busy)
    grid = SeriesGrid.of(pa.concat_tables(list(simulation.telemetry())), 60)
    deployed = simulation.deployments().select(["deployed_at", "service"]).to_pylist()  # whether one harms is not read
    changes = tuple(
        ChangeEvent(f"change-{number}", row["deployed_at"], row["service"], "deployment") for number, row in enumerate(deployed)
    )
    return SimulatedWorld(simulation, grid, ServiceGraph.from_edges(simulation.edges()), changes)
