"""Services of one tenant whose series lie in several partitions: partial sums in; rows of services and candidates out.

A pure function of its entries, as `partition` is: whatever order the partitions' entries come in, the ticks and what they hold
are the same.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError
from data_contracts.values.moments import moment_of_us
from serving.stream import streams
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.tenant_states import state_part

if TYPE_CHECKING:
    from aiops.detection.candidates import ServicePast
    from aiops.detection.service_partials import PartPartials
    from aiops.detection.worst_of_parts import WorstOfParts
    from aiops.features.service_ticks import ServiceTicks
    from serving.stream.consumer.partition import PartitionConfig

State = Mapping[str, npt.NDArray[Any]]


class ServiceStage:
    """State of the services of one tenant. `apply` the entries in stream order; `snapshot` and `restore` are exact."""

    def __init__(self, config: "PartitionConfig", ticks: "ServiceTicks", worst: "WorstOfParts", past: "ServicePast") -> None:
        self._cadence = config.cadence
        self._partitions = config.partitions
        self._ticks = ticks
        self._worst = worst
        self._past = past

    @classmethod
    def new(cls, config: "PartitionConfig") -> "ServiceStage":
        """Return one that has seen nothing."""
        from aiops.detection.worst_of_parts import WorstOfParts
        from aiops.features.service_ticks import ServiceTicks
        from serving.stream.consumer.closed_ticks import new_past

        ticks = ServiceTicks(config.graph, config.partitions)
        return cls(config, ticks, WorstOfParts(ticks.names), new_past(config.cadence))

    @classmethod
    def restore(cls, config: "PartitionConfig", state: State) -> "ServiceStage":
        """Return what `snapshot` described.

        Raises:
            StateError: the state is damaged. OutdatedState: it is of another number of partitions.
        """
        from aiops.detection.worst_of_parts import WorstOfParts
        from aiops.features.service_ticks import ServiceTicks
        from serving.stream.consumer.closed_ticks import restored_past

        ticks = ServiceTicks.restore(config.graph, config.partitions, state_part(state, "ticks/"))
        try:
            worst = WorstOfParts.restore(ticks.names, state_part(state, "worst/"))
            past = restored_past(config.cadence, state)
        except (KeyError, ValueError, OSError) as error:
            raise StateError(f"state of services is damaged ({error}); remove the checkpoint to warm up anew") from error
        return cls(config, ticks, worst, past)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays."""
        from serving.stream.consumer.closed_ticks import packed_past

        return {
            **{f"ticks/{name}": array for name, array in self._ticks.snapshot().items()},
            **{f"worst/{name}": array for name, array in self._worst.snapshot().items()},
            **packed_past(self._past),
        }

    def apply(self, entries: Sequence[streams.Entry]) -> Step:
        """Process entries in stream order and return what they gave."""
        from aiops.detection.service_partials import partials_of
        from serving.stream.consumer.closed_ticks import incident_note

        step = Step()
        for entry in entries:
            try:
                if entry.kind == streams.KIND_INCIDENT:
                    note = incident_note(entry.payload)
                    self._ticks.note_incident(note.service, note.known_at_us)
                else:
                    self._take(partials_of(streams.from_ipc(entry.payload)), step)
            except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
                now = moment_of_us(entry.produced_ns // 1000)
                step.reject_entry(entry, f"kind {entry.kind!r}: {type(error).__name__}: {error}", now)
        return step

    def _take(self, given: "PartPartials", step: Step) -> None:
        part, partials = given.part, given.partials
        if not 0 <= part < self._partitions:
            raise ValueError(f"partial sums of partition {part}, there are {self._partitions}")
        self._hold_worst(given)
        late = self._ticks.add(part, partials.ticks, partials.service_names)
        step.counts["partial_sums_late"] += late
        self._close(given, step)

    def _hold_worst(self, given: "PartPartials") -> None:
        """Keep the worst points of the ticks that are not too late."""
        partials, closed_us = given.partials, self._ticks.closed_by(given.part)
        numbers = self._ticks.names.of(partials.service_names)
        first = 0
        for tick_us, services in zip(partials.ticks.tick_us, partials.ticks.numbers, strict=True):
            rows = np.arange(first, first + services.size)
            first += services.size
            if tick_us > closed_us:
                self._worst.add(given.part, tick_us, numbers[services], partials.worst.chosen(rows))

    def _close(self, given: "PartPartials", step: Step) -> None:
        from aiops.detection.candidates import ClosedRows, candidates_of

        rows = self._ticks.close_through(given.part, given.partials.closed_us)
        if rows.num_rows:
            step.service_rows.append(rows)
            taken = self._worst.take_all(rows.numbers(), rows.ticks_us())
            closed = ClosedRows(rows, self._ticks.names.names)
            candidates = candidates_of(closed, taken, self._past, self._cadence, given.partials.tier1_version)
            if len(candidates):
                step.candidate_rows.append(candidates)
        self._worst.forget_through(self._ticks.closed_us)
