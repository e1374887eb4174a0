"""Simulated telemetry as a source, with the truth about its incidents and calls."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from aiops.errors import ConfigurationError, SourceError
from aiops.incidents.root_cause import ChangeEvent
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import DIRTY_KINDS, DriftSpec, SimulationConfig
from aiops.types import HistorySplit, RequestRows
from serving.ingest.pull.source_options import SourceOptions
from serving.tables.changes import table_of_changes

_DIRTY_SHARE: Final = 0.0002
_DIRTY_KINDS: Final = tuple(kind for kind in DIRTY_KINDS if kind != "future_timestamp")  # windows cut by timestamp
_DRIFT_AFTER: Final = 0.4


class SimulatedSource:
    """A `TelemetrySource` over a simulation. Every reading delivers the same rows.

    Raises:
        ConfigurationError: the config names a service that the simulation does not have, or a share is out of 0..1.
    """

    name: Final = "simulate"

    def __init__(self, config: SimulationConfig, history_share: float = 0.6) -> None:
        if not 0 < history_share < 1:
            raise ConfigurationError(f"history_share: {history_share} does not leave both parts; give a value between 0 and 1")
        self._simulation = simulate(config)
        self._history_share = history_share

    @property
    def simulation(self) -> Simulation:
        """Return the simulation behind this source, for its further truth (drift, deployments, bad rows)."""
        return self._simulation

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield tables for ticks start <= t < end; a bad row comes with its tick, also one of a future timestamp.

        Raises:
            SourceError: `start` or `end` has no time zone.
        """
        try:
            yield from self._simulation.telemetry(start, end)
        except ConfigurationError as error:
            raise SourceError(f"source {self.name}: {error}") from error

    def requests(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[RequestRows]:
        """Yield log lines and spans of sampled requests that begin in start <= t < end; none at `traces_per_min=0`."""
        yield from self._simulation.requests(start, end)

    def edges(self) -> pa.Table:
        """Return the call graph as `schemas.EDGES`."""
        return self._simulation.edges()

    def incidents(self) -> pa.Table:
        """Return the incidents as `schemas.INCIDENTS`, also those that are not known yet at a given moment: see known_at."""
        return self._simulation.incidents()

    def changes(self) -> pa.Table:
        """Return the deployments as `schemas.CHANGES`, without the truth about which of them did harm."""
        deployments = self._simulation.deployments().drop_columns(["harmful"]).to_pylist()
        return table_of_changes(
            [
                ChangeEvent.of(row["deployed_at"], row["service"], "deployment", f"deployment {row['deployment_id']}", self.name)
                for row in deployments
            ]
        )

    def split(self) -> HistorySplit:
        """Return the first `history_share` of the simulated time as history, the rest as replay; both hold a tick or more.

        Raises:
            SourceError: the simulation has one tick only.
        """
        config = self._simulation.config
        if config.steps < 2:
            raise SourceError(
                f"source {self.name}: hours={config.hours} gives one tick; two are needed to split. Simulate longer."
            )
        steps = min(max(1, round(config.steps * self._history_share)), config.steps - 1)
        cut = config.start + timedelta(seconds=steps * config.step_s)
        return HistorySplit(config.start, cut, cut, self._simulation.end)


def open_simulate(options: SourceOptions) -> SimulatedSource:
    """Return the source of the options seed, services, hours, step_s, start, incidents_per_day, drift,
    history_share, traces_per_min and gray_per_day.

    A few bad rows are among the telemetry. With `drift`, latency and its companions rise for most services in the replay.

    Raises:
        ConfigurationError: an option's value cannot be simulated.
    """
    drift_h = options.hours * (options.history_share + _DRIFT_AFTER * (1 - options.history_share))
    plain = SimulationConfig()
    config = SimulationConfig(
        seed=options.seed,
        services=options.services,
        hours=options.hours,
        step_s=options.step_s,
        start=options.start or plain.start,
        incidents_per_day=options.incidents_per_day,
        drift=DriftSpec("level", drift_h, magnitude=0.8, share=0.6) if options.drift else None,
        dirty_share=_DIRTY_SHARE,
        dirty_kinds=_DIRTY_KINDS,
        traces_per_min=options.traces_per_min,
        gray_per_day=options.gray_per_day,
    )
    return SimulatedSource(config, options.history_share)
