"""What a run of entries gave, and what of it goes on to other streams."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from aiops.detection.worst_point import JudgedPoints
from serving.stream import streams
from serving.stream.consumer.commit import Output

if TYPE_CHECKING:
    from aiops.detection.candidates import CandidateRows
    from aiops.detection.service_partials import ServicePartials
    from aiops.features.feature_rows import DeferredRows

SOURCE: Final = "stream"
"""What dead letters of stage 1 name as their source."""


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Rows, and when they became known, us."""

    available_us: int
    rows: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class IncidentNote:
    """An incident of a service that became known, and the payload that told of it."""

    service: str
    known_at_us: int
    payload: bytes


@dataclass(slots=True)
class Step:
    """What a run of entries gave: rows by table, and counters.

    `points_in = points_scored + points_warmup + points_rejected + points_repeated + points_folded`; the last are of raw values
    only, see `received_points`.
    """

    counts: Counter[str] = field(default_factory=Counter)
    candidate_rows: "list[CandidateRows]" = field(default_factory=list)
    rejected: list[pa.RecordBatch] = field(default_factory=list)
    series_rows: "list[DeferredRows]" = field(default_factory=list)
    service_rows: "list[DeferredRows]" = field(default_factory=list)
    catalogue: list[KnownRows] = field(default_factory=list)
    """Series that receivers defined."""
    points: list[KnownRows] = field(default_factory=list)
    """What became of raw values and was scored."""

    for_services: "list[ServicePartials | IncidentNote]" = field(default_factory=list)
    """What the tenant's home partition adds up, in order; only where there are several partitions."""

    judged: list[JudgedPoints] = field(default_factory=list)
    """Every point with tier 1's view of it, in order of arrival: what is exported. The arrays are of these points alone."""

    @property
    def candidates(self) -> list[pa.RecordBatch]:
        """Return the candidates of the ticks that were closed; built in every call."""
        from aiops.detection.candidates import candidate_batches

        return candidate_batches(self.candidate_rows)

    @property
    def series_features(self) -> list[pa.RecordBatch]:
        """Return the rows of series of the ticks that were closed; built when first asked for."""
        return [rows.batch for rows in self.series_rows]

    @property
    def service_features(self) -> list[pa.RecordBatch]:
        """Return the rows of services of the ticks that were closed; built when first asked for."""
        return [rows.batch for rows in self.service_rows]

    def reject(self, rows: pa.RecordBatch) -> None:
        """Add dead letters (`schemas.REJECTED`), each counted once, and by its reason."""
        if rows.num_rows:
            self.rejected.append(rows)
            self.counts["points_rejected"] += rows.num_rows
            self.counts.update({f"rejected.{reason}": by for reason, by in Counter(rows.column("reason").to_pylist()).items()})

    def reject_entry(self, entry: streams.Entry, why: str, now: datetime) -> None:
        """Add an entry that cannot be read as a whole; it counts as one point."""
        from data_contracts.telemetry.rejects import rejected_payload

        self.counts["points_in"] += 1
        self.reject(rejected_payload(entry.payload, why, now, SOURCE, entry.name))

    def extend(self, other: "Step") -> None:
        """Add what another step gave."""
        self.counts.update(other.counts)
        self.candidate_rows += other.candidate_rows
        self.rejected += other.rejected
        self.series_rows += other.series_rows
        self.service_rows += other.service_rows
        self.judged += other.judged
        self.for_services += other.for_services
        self.catalogue += other.catalogue
        self.points += other.points


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Where the outputs of a step go: the partition's number, when its newest entry was produced, and whose it is.

    `home`: where the services of the tenant are added up.
    """

    partition: int
    produced_ns: int
    tenant: str
    home: int = 0


def outputs_of(step: Step, place: OutputPlace, archives: bool) -> list[Output]:
    """Return the entries that a step appends; what only the lake needs is left out where nobody archives."""
    number = place.partition
    rows: list[tuple[str, bytes, Sequence[pa.RecordBatch]]] = [
        (streams.candidates(number), streams.KIND_SERVICE, step.candidates),
        (streams.rejected(number), streams.KIND_TELEMETRY, step.rejected),
    ]
    if archives:
        rows += [
            (streams.features(number), streams.KIND_SERIES, step.series_features),
            (streams.features(number), streams.KIND_SERVICE, step.service_features),
        ]
    outputs = [
        Output(stream, kind, streams.to_ipc(pa.Table.from_batches(batches)), place.produced_ns, place.tenant)
        for stream, kind, batches in rows
        if batches
    ]
    outputs += _for_services(step, place)
    return [*outputs, *_received(step, place)] if archives else outputs


def _for_services(step: Step, place: OutputPlace) -> Iterator[Output]:
    """Yield what goes to the tenant's home partition, in order."""
    from aiops.detection.service_partials import PartPartials, ServicePartials, partial_rows

    stream = streams.partials(place.home)
    for given in step.for_services:
        if isinstance(given, ServicePartials):
            rows = partial_rows(PartPartials(place.partition, given))
            yield Output(stream, streams.KIND_PARTIALS, streams.to_ipc(rows), place.produced_ns, place.tenant)
        else:
            yield Output(stream, streams.KIND_INCIDENT, given.payload, place.produced_ns, place.tenant)


def _received(step: Step, place: OutputPlace) -> list[Output]:
    """Return what became of raw values: an entry for each time at which rows became known."""
    stream, outputs = streams.points(place.partition), []
    for kind, known in ((streams.KIND_DEFINITIONS, step.catalogue), (streams.KIND_POINTS, step.points)):
        for available_us, run in groupby(known, lambda rows: rows.available_us):
            table = pa.Table.from_batches([rows.rows for rows in run])
            if table.num_rows:
                payload = streams.to_ipc(table)
                outputs.append(Output(stream, kind, payload, place.produced_ns, place.tenant, available_us))
    return outputs
