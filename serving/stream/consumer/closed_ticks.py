"""What follows from the ticks that the series engine of a tenant closed: candidates in the same step, or partial sums elsewhere.

Where there is one partition, all series of a tenant are in it: the rows of its services follow at once. Where there are several,
each gives partial sums, and the tenant's home partition adds them up (`service_stage`).
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from aiops.errors import OutdatedState
from aiops.types import State
from serving.stream.consumer.partition_step import IncidentNote, Step
from serving.stream.consumer.tenant_states import state_part

if TYPE_CHECKING:
    from aiops.detection.candidates import Cadence, ServicePast
    from aiops.detection.worst_points_by_service import WorstPoints
    from aiops.features.engine_output import SeriesOutput
    from aiops.features.series_engine import SeriesEngine
    from aiops.features.service_ticks import ServiceTicks
    from aiops.topology.graph import ServiceGraph

_FIX: Final = "remove the checkpoint to warm up anew"
_SEQUENCES: Final = "sequences/"
_LEVELS: Final = "levels/"


@dataclass(frozen=True, slots=True)
class Closing:
    """An engine that may have closed ticks just now, what it gave, and the worst points of its services."""

    engine: "SeriesEngine"
    output: "SeriesOutput"
    worst: "WorstPoints"
    tier1_version: str


class ClosedTicks(Protocol):
    """Takes the ticks that an engine closed; its state is part of the partition's."""

    def close(self, closing: Closing, step: Step) -> None:
        """Take what was closed, and put what follows into the step."""

    def note_incident(self, note: IncidentNote, step: Step) -> None:
        """Note that an incident became known."""

    def incidents(self) -> State:
        """Return the incidents as arrays."""

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the rest of the state as arrays."""


class ServicesHere:
    """All series of the tenant are here: rows of services and candidates follow."""

    def __init__(self, ticks: "ServiceTicks", past: "ServicePast", cadence: "Cadence") -> None:
        self._ticks = ticks
        self._past = past
        self._cadence = cadence

    @classmethod
    def new(cls, graph: "ServiceGraph", cadence: "Cadence") -> "ServicesHere":
        """Return one that has seen nothing."""
        from aiops.features.service_ticks import ServiceTicks

        return cls(ServiceTicks(graph), new_past(cadence), cadence)

    @classmethod
    def restore(cls, graph: "ServiceGraph", cadence: "Cadence", state: State) -> "ServicesHere":
        """Return what a partition's state describes.

        Raises:
            StateError: the state is damaged. KeyError: an array is missing. OutdatedState: it is of one partition of several.
        """
        if not any(name.startswith(_SEQUENCES) for name in state):
            raise OutdatedState(f"the state is of one of several partitions, now there is one: {_FIX}")
        from aiops.features.engine_snapshot import incidents_of
        from aiops.features.service_ticks import ServiceTicks

        made = cls(ServiceTicks(graph), restored_past(cadence, state), cadence)
        for known_at_us, service in incidents_of(state_part(state, "engine/")):
            made._ticks.note_incident(service, known_at_us)
        return made

    def close(self, closing: Closing, step: Step) -> None:
        """Put rows of services and candidates into the step."""
        from aiops.detection.candidates import ClosedRows, candidates_of

        engine, worst = closing.engine, closing.worst
        self._ticks.add(0, closing.output.partials, engine.services)
        rows = self._ticks.close_through(0, engine.closed_us)
        if not rows.num_rows:
            return
        step.service_rows.append(rows)
        ticks = rows.ticks_us()
        taken = worst.take_all(engine.services, rows.numbers(), ticks)
        worst.forget_through(int(ticks.max()))
        closed = ClosedRows(rows, engine.services)
        candidates = candidates_of(closed, taken, self._past, self._cadence, closing.tier1_version)
        if len(candidates):
            step.candidate_rows.append(candidates)

    def note_incident(self, note: IncidentNote, step: Step) -> None:
        """Let ticks from then on see the incident."""
        self._ticks.note_incident(note.service, note.known_at_us)

    def incidents(self) -> State:
        """Return the incidents as arrays."""
        from aiops.features.engine_snapshot import packed_incidents

        return packed_incidents(self._ticks.incidents())

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return sequences and levels as arrays."""
        return packed_past(self._past)


class ServicesElsewhere:
    """Series of the tenant are in several partitions: partial sums and the worst points go to where they are added up."""

    def __init__(self, cadence: "Cadence") -> None:
        self._cadence = cadence

    @classmethod
    def restore(cls, cadence: "Cadence", state: State) -> "ServicesElsewhere":
        """Return one for a partition's state.

        Raises:
            OutdatedState: the state is of a tenant that had all its series in this partition.
        """
        if any(name.startswith(_SEQUENCES) for name in state):
            raise OutdatedState(f"the state is of a tenant in one partition, now it is in several: {_FIX}")
        return cls(cadence)

    def close(self, closing: Closing, step: Step) -> None:
        """Put partial sums into the step, and up to which tick all are closed where that is news."""
        from aiops.detection.service_partials import ServicePartials
        from aiops.detection.worst_points_by_service import TakenPoints

        engine, worst, ticks = closing.engine, closing.worst, closing.output.partials
        if engine.closed_us <= worst.closed_us:
            return
        times = np.repeat(np.array(ticks.tick_us, np.int64), ticks.sizes())
        taken = worst.take_all(engine.services, ticks.all_numbers().astype(np.int64), times)
        worst.forget_through(engine.closed_us)
        asked = taken.flagged | self._cadence.falls_on(times)
        points = TakenPoints(taken.known & asked, taken.held, taken.names, taken.findings)
        step.for_services.append(ServicePartials(ticks, engine.services, points, engine.closed_us, closing.tier1_version))

    def note_incident(self, note: IncidentNote, step: Step) -> None:
        """Pass the incident on."""
        step.for_services.append(note)

    def incidents(self) -> State:
        """Return none: they are where services are."""
        from aiops.features.engine_snapshot import packed_incidents

        return packed_incidents(())

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return nothing: all state is the engine's."""
        return {}


def new_past(cadence: "Cadence") -> "ServicePast":
    """Return what is held of services that nothing was seen of."""
    from aiops.detection.candidates import ServicePast
    from aiops.detection.service_levels import ServiceLevels
    from aiops.features.sequences import Sequences

    return ServicePast(Sequences(cadence.step_us), ServiceLevels(cadence.step_us))


def packed_past(past: "ServicePast") -> dict[str, npt.NDArray[Any]]:
    """Return what is held of services as arrays."""
    sequences = {f"{_SEQUENCES}{name}": array for name, array in past.sequences.snapshot().items()}
    return sequences | {f"{_LEVELS}{name}": array for name, array in past.levels.snapshot().items()}


def restored_past(cadence: "Cadence", state: State) -> "ServicePast":
    """Return what `packed_past` was given, from a state that holds more.

    Raises:
        KeyError: an array is missing. StateError: the arrays do not fit together. OutdatedState: they are of a newer version.
    """
    from aiops.detection.candidates import ServicePast
    from aiops.detection.service_levels import ServiceLevels
    from aiops.features.sequences import Sequences

    sequences = Sequences.restore(cadence.step_us, state_part(state, _SEQUENCES))
    return ServicePast(sequences, ServiceLevels.restore(cadence.step_us, state_part(state, _LEVELS)))


def closed_ticks(partitions: int, graph: "ServiceGraph", cadence: "Cadence", state: State | None = None) -> ClosedTicks:
    """Return what takes the closed ticks of one of a tenant's partitions: as its state describes it, None = it has seen nothing.

    Raises:
        KeyError, StateError, OutdatedState: see `restore`.
    """
    if partitions == 1:
        return ServicesHere.new(graph, cadence) if state is None else ServicesHere.restore(graph, cadence, state)
    return ServicesElsewhere(cadence) if state is None else ServicesElsewhere.restore(cadence, state)


def incident_note(payload: bytes) -> IncidentNote:
    """Return the incident that an entry of that kind tells of.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: the payload is not one.
    """
    said = json.loads(payload)
    return IncidentNote(str(said["service"]), int(said["known_at_us"]), payload)
