"""The feature engine: series engine and ticks of services of a tenant that lies in one partition alone.

What it gives is what the stream gives where all series lie in one partition; `series_engine` says how ticks close.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from aiops.features.engine_config import EngineConfig as EngineConfig
from aiops.features.engine_output import EngineOutput, SeriesOutput
from aiops.features.engine_snapshot import incidents_of, packed_incidents
from aiops.features.kept_points import KeptPoints
from aiops.features.series_engine import SeriesEngine
from aiops.features.series_names import SeriesNames
from aiops.features.series_points import SeriesPoints
from aiops.features.service_ticks import ServiceTicks
from aiops.topology.graph import ServiceGraph
from aiops.types import IntArray, SeriesBatch, State


class FeatureEngine:
    """State of the series and services of one partition. Not thread-safe."""

    def __init__(self, config: EngineConfig, graph: ServiceGraph, series: SeriesEngine | None = None) -> None:
        """Take `series` as it is, None = an engine that has seen nothing."""
        self._series = series or SeriesEngine(config)
        self._services = ServiceTicks(graph)

    def update(self, batch: SeriesBatch, available_at: IntArray | None = None) -> EngineOutput:
        """Apply the points of a batch: `update_arrays` of its columns."""
        return self.update_arrays(self.points_of(batch), available_at)

    def points_of(self, batch: SeriesBatch) -> SeriesPoints:
        """Return the points of a batch as `update_arrays` takes them."""
        return self._series.points_of(batch)

    def update_arrays(self, points: SeriesPoints, available_at: IntArray | None = None) -> EngineOutput:
        """Apply points in arrival order.

        `available_at`: us since the epoch per point, ascending; None = each point is available at its event time.

        Raises:
            ContractError: a value is not finite, or `available_at` has another length than the points.
        """
        return self._closed(self._series.update_arrays(points, available_at))

    def close_through(self, until: datetime) -> EngineOutput:
        """Close all open ticks <= `until` (aware) without waiting for later points: end of a stream or of a window."""
        return self._closed(self._series.close_through(until))

    def note_incident(self, service: str, known_at_us: int) -> None:
        """Note that an incident of `service` became (or becomes) known; ticks from then on see it."""
        self._services.note_incident(service, known_at_us)

    @property
    def series(self) -> SeriesNames:
        """Return the known series, in order of first arrival."""
        return self._series.series

    @property
    def services(self) -> Sequence[str]:
        """Return the services of the known series, in order of first arrival."""
        return self._series.services

    def services_of(self, slot: npt.NDArray[np.int32]) -> IntArray:
        """Return the number in `services` of series given by their number (n,); any number for those with -1."""
        return self._series.services_of(slot)

    def kept_at(self, series_id: IntArray, time_us: IntArray) -> KeptPoints:
        """Return what windows hold of series (n,) at times (n,)."""
        return self._series.kept_at(series_id, time_us)

    @property
    def state_bytes(self) -> int:
        """Return the size of the state of all series."""
        return self._series.state_bytes

    def snapshot(self) -> State:
        """Return the whole state as plain arrays; independent of the engine afterwards."""
        return {**self._series.snapshot(), **packed_incidents(self._services.incidents())}

    @classmethod
    def restore(cls, config: EngineConfig, graph: ServiceGraph, state: State) -> "FeatureEngine":
        """Return the engine that `snapshot` described; it goes on bit for bit.

        Raises:
            StateError: the state is damaged, of another version, or of another configuration.
        """
        engine = cls(config, graph, SeriesEngine.restore(config, state))
        for known_at_us, service in incidents_of(state):
            engine.note_incident(service, known_at_us)
        return engine

    def _closed(self, output: SeriesOutput) -> EngineOutput:
        """Return the output with the rows of services of the ticks that closed."""
        self._services.add(0, output.partials, self._series.services)
        rows = self._services.close_through(0, self._series.closed_us)
        return output.with_services(rows)
