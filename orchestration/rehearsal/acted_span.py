"""What a rehearsal acts on: a simulated application that goes on after its replay, and the incidents in which it is acted on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from aiops.automation.run import RunState
from aiops.simulator.simulate import Simulation
from aiops.types import RequestRows
from orchestration.simulated_actions.acted_world import ActedWorld

_AHEAD: Final = timedelta(minutes=1)


class ReactingApplication:
    """A simulated application from `begins` on, in which nobody has acted before; `world` is what actions change. One thread."""

    def __init__(self, simulation: Simulation, begins: datetime) -> None:
        self._frontier = begins
        self._now = begins
        self.world = ActedWorld(simulation, lambda: self._now)

    @property
    def now(self) -> datetime:
        """Return the time at which an action would take effect: nothing before it can be changed any more."""
        return self._now

    def pass_to(self, moment: datetime) -> None:
        """Let time go on to a moment; one that is over changes nothing."""
        self._now = max(self._now, moment)

    def telemetry(self, until: datetime) -> Iterator[pa.Table]:
        """Yield the telemetry from where the last call ended up to a time, of the application as it is now."""
        yield from self.world.simulation.telemetry(self._frontier, until)
        self._frontier = max(self._frontier, until)
        self.pass_to(until)

    def requests(self) -> Iterator[RequestRows]:
        """Yield log lines and spans minute by minute, each of the application as it is when that minute is asked for."""
        start, end = self._frontier, self.world.simulation.end
        while start < end:
            until = min(end, start + _AHEAD)
            yield from self.world.simulation.requests(start, until)
            start = until


@dataclass(frozen=True, slots=True)
class ActedIncident:
    """An incident from the time at which users feel it, and how the run about it is to end."""

    starts_at: datetime
    expected: RunState


@dataclass(frozen=True, slots=True, eq=False)
class ActedSpan:
    """An application that reacts, and the incidents in order of time."""

    application: ReactingApplication
    incidents: tuple[ActedIncident, ...]
