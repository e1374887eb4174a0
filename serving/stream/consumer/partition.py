"""Stage 1 of one tenant in one partition: decode → validate → features and tier 1 → candidates, a pure function of its entries.

Everything depends on the entries alone (their `available at` is the clock), so that a replay after a crash rebuilds the same
state and the same outputs, bit for bit, however the entries are cut into reads.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aiops.detection.levels import LevelTable, Tier1
from aiops.detection.worst_point import JudgedPoints, with_findings
from aiops.errors import StateError
from aiops.types import PointStatus, SeriesBatch
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import moment_of_us
from serving.stream import streams
from serving.stream.consumer.gathered_points import EntryPoints, GatheredPoints, clocks_of, joined_points
from serving.stream.consumer.partition_step import SOURCE, KnownRows, Step
from serving.stream.consumer.received_points import Received, ReceivedPoints, ReceiverLimits, normalised_rows, series_rows
from serving.stream.consumer.refused_points import refused_points
from serving.stream.consumer.second_opinion import SecondOpinion, Watched
from serving.stream.consumer.tenant_states import state_part

if TYPE_CHECKING:
    from aiops.detection.candidates import Cadence
    from aiops.detection.worst_points_by_service import WorstPoints
    from aiops.features.engine_config import EngineConfig
    from aiops.features.engine_output import SeriesOutput
    from aiops.features.series_engine import SeriesEngine
    from aiops.features.series_points import SeriesPoints
    from aiops.topology.graph import ServiceGraph
    from serving.stream.consumer.closed_ticks import ClosedTicks

_SCORED, _WARMUP, _REPEATED = (np.int8(status) for status in (PointStatus.SCORED, PointStatus.WARMUP, PointStatus.REPEATED))


@dataclass(frozen=True, slots=True)
class PartitionConfig:
    """How one tenant of a partition is processed."""

    engine: "EngineConfig"
    graph: "ServiceGraph"
    tier1: Tier1
    step_us: int
    lateness_us: int
    predict_every_us: int
    future_tolerance_s: int
    max_series: int
    second: Watched = field(default_factory=Watched)
    tenant: str = DEFAULT_TENANT
    partitions: int = 1
    """Over how many the series of the tenant are spread."""

    @property
    def cadence(self) -> "Cadence":
        """Return the times between ticks and between predictions."""
        from aiops.detection.candidates import Cadence

        return Cadence(self.step_us, self.predict_every_us)

    @property
    def receiver_limits(self) -> ReceiverLimits:
        """Return what holds for entries of receivers."""
        return ReceiverLimits(self.tenant, self.max_series, self.lateness_us, self.future_tolerance_s)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a partition remembers."""

    engine: "SeriesEngine"
    worst: "WorstPoints"
    second: SecondOpinion
    received: ReceivedPoints
    closed: "ClosedTicks"


class Partition:
    """State of one tenant in one partition. `apply` the entries in stream order; `snapshot` and `restore` are exact."""

    def __init__(self, config: PartitionConfig, kept: "Kept", clock_us: int = 0) -> None:
        self._config = config
        self._engine = kept.engine
        self._worst = kept.worst
        self._second = kept.second
        self._received = kept.received
        self._closed = kept.closed
        self._clock_us = clock_us
        self._gathered = GatheredPoints()
        self.use_tier1(config.tier1)

    @classmethod
    def new(cls, config: PartitionConfig) -> "Partition":
        """Return a partition that has seen nothing."""
        from aiops.detection.worst_points_by_service import WorstPoints
        from aiops.features.series_engine import SeriesEngine
        from serving.stream.consumer.closed_ticks import closed_ticks

        engine, worst = SeriesEngine(config.engine), WorstPoints(config.step_us, config.lateness_us)
        second = SecondOpinion.new(config.second, engine.series, config.max_series)
        closed = closed_ticks(config.partitions, config.graph, config.cadence)
        return cls(config, Kept(engine, worst, second, ReceivedPoints(config.receiver_limits), closed))

    @classmethod
    def restore(cls, config: PartitionConfig, state: Mapping[str, npt.NDArray[Any]]) -> "Partition":
        """Return the partition that `snapshot` described.

        Raises:
            StateError: an array is missing, or of another configuration.
            OutdatedState: it is of another version of the engine, or was made when there was one partition, or several.
        """
        from aiops.detection.worst_points_by_service import WorstPoints
        from aiops.features.series_engine import SeriesEngine
        from serving.stream.consumer.closed_ticks import closed_ticks

        engine = SeriesEngine.restore(config.engine, state_part(state, "engine/"))
        try:
            closed = closed_ticks(config.partitions, config.graph, config.cadence, state)
            worst = WorstPoints.restore(config.step_us, config.lateness_us, state_part(state, "worst/"))
            clock_us = int(state["clock_us"])
        except KeyError as error:
            raise StateError(f"checkpoint lacks array {error}; remove the checkpoint folder to warm up anew") from error
        second = SecondOpinion.restore(config.second, engine.series, config.max_series, state_part(state, "second/"))
        received = ReceivedPoints.restore(config.receiver_limits, state_part(state, "received/"))
        return cls(config, Kept(engine, worst, second, received, closed), clock_us)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays."""
        engine = {**self._engine.snapshot(), **self._closed.incidents()}
        return {
            "clock_us": np.array(self._clock_us),
            **{f"engine/{name}": array for name, array in engine.items()},
            **{f"worst/{name}": array for name, array in self._worst.snapshot().items()},
            **self._closed.snapshot(),
            **{f"second/{name}": array for name, array in self._second.snapshot().items()},
            **{f"received/{name}": array for name, array in self._received.snapshot().items()},
        }

    @property
    def tier1_version(self) -> str:
        """Return the version of tier 1 in force."""
        return self._tier1_version

    def use_tier1(self, tier1: Tier1) -> None:
        """Judge the points from now on by these alarm levels; the state stays."""
        self._levels = LevelTable(tier1.levels)
        self._tier1_version = tier1.version

    def apply(self, entries: Sequence[streams.Entry]) -> Step:
        """Process entries in stream order and return what they gave."""
        step = Step()
        for entry in entries:
            self._clock_us = max(self._clock_us, entry.available_us)
            if entry.kind == streams.KIND_TELEMETRY:
                self._telemetry(entry, step)
            elif entry.kind in streams.RECEIVED_KINDS:
                self._receive(entry, step)
            else:
                self._score_gathered(step)
                self._note(entry, step)
        self._score_gathered(step)
        return step

    def _telemetry(self, entry: streams.Entry, step: Step) -> None:
        from data_contracts.telemetry.codec import UndecodableError, decode
        from data_contracts.telemetry.validate import SchemaError, validate

        try:
            table = decode(entry.payload)
            now = moment_of_us(self._clock_us)
            valid = validate(table, now, SOURCE, self._config.future_tolerance_s, self._config.tenant)
        except (UndecodableError, SchemaError) as error:
            self._score_gathered(step)
            step.reject_entry(entry, str(error), moment_of_us(self._clock_us))
            return
        step.counts["points_in"] += table.num_rows
        points = self._engine.points_of(SeriesBatch(valid.accepted))
        self._gather(EntryPoints(points, [valid.rejected], self._clock_us, valid.accepted.take, False), step)

    def _receive(self, entry: streams.Entry, step: Step) -> None:
        from data_contracts.telemetry.codec import UndecodableError

        if entry.kind == streams.KIND_DEFINITIONS:
            self._score_gathered(step)  # a definition may renumber the series that points name
        try:
            received = self._received.take(entry, self._clock_us)
        except UndecodableError as error:
            self._score_gathered(step)
            step.reject_entry(entry, str(error), moment_of_us(self._clock_us))
            return
        self._add(received, step)

    def _add(self, received: Received, step: Step) -> None:
        """Score what was received and note what else it gave."""
        step.counts.update(received.counts)
        step.catalogue += [KnownRows(self._clock_us, rows) for rows in received.catalogue]
        points = received.points
        if points is None:
            for rows in received.rejected:
                step.reject(rows)
            return
        rejected, clock_us = received.rejected, self._clock_us
        self._gather(EntryPoints(points, rejected, clock_us, lambda places: series_rows(points, places), True), step)
        if received.late is not None:
            self._score_gathered(step)
            self._add(self._received.settle(received.late, self._engine.kept_at, self._clock_us), step)

    def _gather(self, entry: EntryPoints, step: Step) -> None:
        if self._gathered.add(entry):
            self._score_gathered(step)

    def _score_gathered(self, step: Step) -> None:
        """Score the points of the entries before, and note what became of them."""
        entries = self._gathered.take()
        if not entries:
            return
        points = joined_points(entries)
        output = self._engine.update_arrays(points, clocks_of(entries))
        if len(points):
            self._judge(points, output, step)
        scored, warm = output.status == _SCORED, output.status == _WARMUP
        taken: npt.NDArray[np.bool_] = scored | warm
        step.counts.update({"points_scored": int(np.count_nonzero(scored)), "points_warmup": int(np.count_nonzero(warm))})
        step.counts["points_repeated"] += int(np.count_nonzero(output.status == _REPEATED))
        for own in entries:
            for rows in own.entry.rejected:
                step.reject(rows)
            if not taken[own.rows].all():
                for rows in refused_points(own, output, self._engine.series):
                    step.reject(rows)
            if own.entry.received and len(own.entry.points):
                step.points.append(KnownRows(own.entry.clock_us, normalised_rows(own.entry.points, taken[own.rows])))
        self._close(output, step)

    def _note(self, entry: streams.Entry, step: Step) -> None:
        from serving.stream.consumer.closed_ticks import incident_note

        try:
            if entry.kind == streams.KIND_INCIDENT:
                self._closed.note_incident(incident_note(entry.payload), step)
            elif entry.kind == streams.KIND_CLOSE:
                until_us = int(json.loads(entry.payload)["until_us"])
                self._add(self._received.close_through(until_us, self._clock_us), step)
                self._score_gathered(step)
                self._close(self._engine.close_through(moment_of_us(until_us)), step)
                self._worst.forget_through(until_us // self._config.step_us * self._config.step_us)
            elif entry.kind == streams.KIND_WATERMARK:
                latest_us = self._clock_us + self._config.future_tolerance_s * 1_000_000
                event_us = min(int(json.loads(entry.payload)["event_us"]), latest_us)
                self._close(self._engine.advance(event_us, self._clock_us), step)
            else:
                step.reject_entry(entry, f"kind {entry.kind!r} is unknown", moment_of_us(self._clock_us))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            step.reject_entry(entry, f"{type(error).__name__}: {error}", moment_of_us(self._clock_us))

    def _judge(self, points: "SeriesPoints", output: "SeriesOutput", step: Step) -> None:
        from aiops.detection.point_severity import ScoredPoints, severities_of

        figures = (points.value, output.z, output.expected, output.scale, output.brief)
        scored = ScoredPoints(output.status, output.slot, *figures)
        made = severities_of(scored, self._levels.columns(self._engine.series))
        taken = (output.status == _SCORED) | (output.status == _WARMUP)
        findings = self._second.judge(points, np.where(taken, output.slot, np.int32(-1)))
        judged = JudgedPoints(
            self._engine.series,
            output.slot,
            self._engine.services,
            self._engine.services_of(output.slot),
            points.time_us,
            points.value,
            output.z,
            made.alarm_z,
            output.score,
            output.expected,
            made.lower,
            made.upper,
            with_findings(made.severity, findings),
            output.weight,
            findings,
        )
        self._worst.add(judged)
        step.judged.append(judged)

    def _close(self, output: "SeriesOutput", step: Step) -> None:
        from serving.stream.consumer.closed_ticks import Closing

        if output.series_rows.num_rows:
            step.series_rows.append(output.series_rows)
        self._closed.close(Closing(self._engine, output, self._worst, self._tier1_version), step)
