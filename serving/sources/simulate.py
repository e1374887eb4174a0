"""Simulated telemetry as a source, with the truth about its incidents and calls."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import pyarrow as pa

from aiops.errors import ConfigurationError, SourceError
from aiops.simulator.config import SimulationConfig
from aiops.simulator.simulate import Simulation, simulate


class SimulatedSource:
    """A `TelemetrySource` over a simulation. Every reading delivers the same rows.

    Raises:
        ConfigurationError: the config names a service that the simulation does not have.
    """

    name: Final = "simulate"

    def __init__(self, config: SimulationConfig) -> None:
        self._simulation = simulate(config)

    @property
    def simulation(self) -> Simulation:
        """Return the simulation behind this source, for its further truth (drift, deployments, bad rows)."""
        return self._simulation

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield tables of `chunk_h` hours for ticks start <= t < end; bad rows come with the tick that they belong to.

        Raises:
            SourceError: `start` or `end` has no time zone.
        """
        try:
            yield from self._simulation.telemetry(start, end)
        except ConfigurationError as error:
            raise SourceError(f"source {self.name}: {error}") from error

    def edges(self) -> pa.Table:
        """Return the call graph as `schemas.EDGES`."""
        return self._simulation.edges()

    def incidents(self) -> pa.Table:
        """Return the incidents as `schemas.INCIDENTS`, also those that are not known yet at a given moment: see known_at."""
        return self._simulation.incidents()
