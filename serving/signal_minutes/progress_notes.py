"""What the stage of signals notes beside its position, for people: what came of each tenant, and how far minutes are made.

Nothing heavy is imported here: `aiops status` reads it.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from serving.stream import streams

STAGE: Final = "signals"
COUNTS: Final = "signal_counts"
"""Field of the position: totals by tenant, as JSON; under "" what came of tenants for which there is no room."""
PROGRESS: Final = "signal_progress"
"""Field of the position: `MinuteProgress` by tenant, as JSON."""


@dataclass(frozen=True, slots=True)
class MinuteProgress:
    """Newest event taken in, up to when minutes are made (us since 1970, 0 = none), series in the newest since the start."""

    newest_us: int
    made_us: int
    series: int


@dataclass(frozen=True, slots=True)
class TenantSignals:
    """What is noted of a tenant, all partitions together; `progress` None = noted by an older version."""

    tenant: str
    counts: Mapping[str, int]
    progress: MinuteProgress | None


def progress_text(progress: Mapping[str, MinuteProgress]) -> str:
    """Return the text of the field `PROGRESS`."""
    return json.dumps({tenant: asdict(own) for tenant, own in progress.items()})


def noted_signals(broker: streams.Streams, partitions: int) -> Iterator[TenantSignals]:
    """Yield what is noted of each tenant, by name.

    Raises:
        Unavailable: the broker does not answer.
    """
    counts: dict[str, Counter[str]] = {}
    progress: dict[str, list[MinuteProgress]] = {}
    for number in range(partitions):
        position = broker.hash_all(streams.offset(STAGE, number))
        for tenant, own in json.loads(position.get(COUNTS, "{}")).items():
            counts.setdefault(tenant, Counter()).update(own)
        for tenant, own in json.loads(position.get(PROGRESS, "{}")).items():
            progress.setdefault(tenant, []).append(MinuteProgress(own["newest_us"], own["made_us"], own["series"]))
    for tenant in sorted(counts):
        yield TenantSignals(tenant, counts[tenant], _together(progress.get(tenant, [])))


def _together(parts: list[MinuteProgress]) -> MinuteProgress | None:
    if not parts:
        return None
    newest_us, made_us = max(part.newest_us for part in parts), max(part.made_us for part in parts)
    return MinuteProgress(newest_us, made_us, sum(part.series for part in parts))
