"""What requests do now against what they did before, minute by minute: a series a service that no metric shows.

    changes = RequestChanges(RequestChangesConfig())
    series = changes.observe(minute, requests)     # MINUTE_SERIES of this minute; minutes ascending
    changes.strongest(service)                     # the pattern behind the newest value, in words
    changes = RequestChanges.restore(config, changes.state())

| metric | value |
|---|---|
| `request.change_ratio` | largest z of the service's patterns, in units of what chance reaches `false_per_hour` times an hour |

The patterns of the last `window_minutes` are compared with those of the reference, the `reference_minutes` with requests before
(`novelty`). So many patterns are looked at that some are far out by chance: the unit is the normal quantile for all of them
together (Bonferroni). As in `Novelties.weighed`, a change of few requests weighs less. What is strange is not learnt: minutes in
which a service's value reached 1 stay out of its reference, until `adopted_minutes` of them came one after another: then what
changed is how it works now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.minute_series import MinutePoint, table_of
from aiops.signals.novelty import NoveltyConfig, PatternShares, compared, weight_of
from aiops.signals.requests import KINDS, PatternKind, Requests
from aiops.signals.text_arrays import packed_texts, unpacked_texts
from aiops.types import FloatArray, State

VERSION: Final = 1
CHANGE: Final = "request.change_ratio"
_FIX: Final = "remove the state to begin anew"
_MINUTES_AN_HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class RequestChangesConfig:
    """Minutes of the window and of the reference, false values of 1 an hour by chance, and when a change is adopted.

    `most_patterns`: patterns of operations that are counted in a minute; those shown by most requests. `kinds` of patterns that
    are looked at (`requests.KINDS`): "order" is what log lines say, "call" and "failure" what spans do.
    """

    window_minutes: int = 2
    reference_minutes: int = 60
    adopted_minutes: int = 30
    false_per_hour: float = 0.5
    most_patterns: int = 20_000
    kinds: tuple[PatternKind, ...] = KINDS

    def __post_init__(self) -> None:
        if min(self.window_minutes, self.reference_minutes, self.adopted_minutes, self.most_patterns) < 1:
            raise ContractError(f"{self}: give at least 1 of each")
        if not 0 < self.false_per_hour < _MINUTES_AN_HOUR:
            raise ContractError(f"{self}: give false_per_hour above 0 and below {_MINUTES_AN_HOUR}")


class ShownPattern(NamedTuple):
    """A pattern of an operation: kind and parts as in `requests.Pattern`."""

    service: str
    operation: str
    kind: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Change:
    """A pattern that changed: shares of its operation's requests then and now, and z in units of chance."""

    pattern: ShownPattern
    share_then: float
    share_now: float
    ratio: float


@dataclass(slots=True)
class _Minute:
    """Requests of operations and those that showed patterns in a minute; services whose minute is out of their reference."""

    number: int
    requests: dict[tuple[str, str], int]
    shown: dict[ShownPattern, int]
    out: set[str] = field(default_factory=set)


class RequestChanges:
    """Changes of a stream of requests. Memory: `most_patterns` counts a minute of window and reference. Not thread-safe."""

    def __init__(self, config: RequestChangesConfig | None = None) -> None:
        self.config = config or RequestChangesConfig()
        self.left_out = 0
        self._minutes: list[_Minute] = []
        self._strongest: dict[str, Change] = {}

    def observe(self, minute: int, requests: Requests) -> pa.Table:
        """Take in all requests that were complete in a minute (its number since 1970 UTC), return the series of that minute.

        Raises:
            ContractError: the minute is not after those before.
        """
        if self._minutes and minute <= self._minutes[-1].number:
            raise ContractError(f"minute {minute} comes after minute {self._minutes[-1].number}: give minutes ascending")
        self._minutes.append(self._counted(minute, requests))
        kept = self.config.reference_minutes + self.config.window_minutes
        del self._minutes[:-kept]
        self._strongest = {}
        for change in self._changes(minute):
            known = self._strongest.get(change.pattern.service)
            if known is None or change.ratio > known.ratio:
                self._strongest[change.pattern.service] = change
        self._leave_out(minute)
        return table_of([MinutePoint(minute, name, CHANGE, self._strongest[name].ratio) for name in sorted(self._strongest)])

    def strongest(self, service: str) -> Change | None:
        """Return what changed most at a service in the newest minute; None where nothing could be compared."""
        return self._strongest.get(service)

    def rename(self, successors: Mapping[str, str]) -> None:
        """Go on with other names of log templates: those that were merged since. O(patterns kept)."""
        for part in self._minutes if successors else []:
            shown: dict[ShownPattern, int] = {}
            for name, count in part.shown.items():
                ends = {"first": successors.get(name.first, name.first), "second": successors.get(name.second, name.second)}
                renamed = name._replace(**ends) if name.kind == "order" else name
                most = part.requests[name.service, name.operation]
                shown[renamed] = min(shown.get(renamed, 0) + count, most)
            part.shown = shown

    def state(self) -> State:
        """Return all that `restore` goes on from, as plain arrays."""
        texts: list[str] = []
        numbers: list[int] = [VERSION, self.left_out, len(self._minutes)]
        for part in self._minutes:
            numbers += [part.number, len(part.requests), len(part.shown), len(part.out)]
            numbers += [*part.requests.values(), *part.shown.values()]
            for names in (*part.requests, *part.shown):
                texts += names
            texts += sorted(part.out)
        data, offsets = packed_texts(texts)
        return {"numbers": np.array(numbers, np.int64), "texts": data, "offsets": offsets}

    @classmethod
    def restore(cls, config: RequestChangesConfig, state: State) -> "RequestChanges":
        """Return changes that go on as those that were saved would have; nothing is the strongest before the next minute.

        Raises:
            OutdatedState: the state is of another version.
            StateError: it is damaged.
        """
        changes = cls(config)
        try:
            numbers, texts = iter(state["numbers"].tolist()), iter(unpacked_texts(state["texts"], state["offsets"]))
            version, changes.left_out, minutes = next(numbers), next(numbers), next(numbers)
            if version != VERSION:
                raise OutdatedState(f"request changes are of version {version}, this program reads {VERSION}; {_FIX}")
            changes._minutes = [_restored(numbers, texts) for _ in range(minutes)]
        except (KeyError, ValueError, StopIteration, RuntimeError) as error:
            raise StateError(f"state of request changes is damaged: {error!r}; {_FIX}") from error
        return changes

    def _counted(self, minute: int, requests: Requests) -> _Minute:
        services, operations = requests.names.services.texts, requests.names.operations.texts
        group = requests.service << 32 | requests.operation
        codes, counts = np.unique(group, return_counts=True)
        called = {
            (services[code >> 32], operations[code & 0xFFFFFFFF]): count
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        }
        looked_at = np.array([pattern.kind in self.config.kinds for pattern in requests.patterns], np.bool_)[requests.shown]
        pairs = np.stack([group[requests.shown_by[looked_at]], requests.shown[looked_at]])
        rows, times = np.unique(pairs, axis=1, return_counts=True)
        order = np.argsort(-times, kind="stable")
        self.left_out += max(0, len(order) - self.config.most_patterns)
        shown: dict[ShownPattern, int] = {}
        for row in order[: self.config.most_patterns].tolist():
            code, pattern = int(rows[0, row]), requests.patterns[int(rows[1, row])]
            name = ShownPattern(services[code >> 32], operations[code & 0xFFFFFFFF], pattern.kind, pattern.first, pattern.second)
            shown[name] = int(times[row])
        return _Minute(minute, called, shown)

    def _window(self, minute: int) -> list[_Minute]:
        return [part for part in self._minutes if part.number > minute - self.config.window_minutes]

    def _changes(self, minute: int) -> list[Change]:
        """Return the patterns of operations that were called in the window and in the reference."""
        window = self._window(minute)
        reference = self._minutes[: len(self._minutes) - len(window)]
        parts = [window, *([part] for part in reference)]
        patterns = sorted({name for part in self._minutes for name in part.shown})
        if not patterns or not reference:
            return []
        showing, counted = _table(patterns, parts)
        both = np.flatnonzero((counted[:, 0] > 0) & (counted[:, 1:].sum(axis=1) > 0))
        if not both.size:
            return []
        then, z = compared(PatternShares(showing[both], counted[both]), NoveltyConfig())
        now = showing[both, 0] / counted[both, 0]
        ratio = z * weight_of(now - then) / self._chance(both.size)
        return [
            Change(patterns[row], float(then[number]), float(now[number]), float(ratio[number]))
            for number, row in enumerate(both.tolist())
        ]

    def _chance(self, patterns: int) -> float:
        """Return the z that one of so many patterns reaches by chance `false_per_hour` times an hour."""
        share = self.config.false_per_hour / _MINUTES_AN_HOUR
        return NormalDist().inv_cdf(1.0 - share / (2.0 * patterns))

    def _leave_out(self, minute: int) -> None:
        """Keep strange minutes out of references; adopt what stayed strange."""
        for service, change in self._strongest.items():
            if change.ratio < 1.0:
                continue
            for part in self._window(minute):
                part.out.add(service)
            newest = self._minutes[-self.config.adopted_minutes :]
            if len(newest) == self.config.adopted_minutes and all(service in part.out for part in newest):
                for part in newest:
                    part.out.discard(service)


def _restored(numbers: Iterator[int], texts: Iterator[str]) -> _Minute:
    number, called, shown, out = (next(numbers) for _ in range(4))
    counts = [next(numbers) for _ in range(called + shown)]
    operations = [(next(texts), next(texts)) for _ in range(called)]
    patterns = [ShownPattern(*(next(texts) for _ in ShownPattern._fields)) for _ in range(shown)]
    return _Minute(
        number,
        dict(zip(operations, counts[:called], strict=True)),
        dict(zip(patterns, counts[called:], strict=True)),
        {next(texts) for _ in range(out)},
    )


def _table(patterns: list[ShownPattern], parts: list[list[_Minute]]) -> tuple[FloatArray, FloatArray]:
    """Return requests that showed patterns, and all of their operations, by pattern and part; the first part is the window."""
    showing, counted = (np.zeros((len(patterns), len(parts))) for _ in range(2))
    for column, minutes in enumerate(parts):
        for part in minutes:
            for row, name in enumerate(patterns):
                if column and name.service in part.out:
                    continue
                showing[row, column] += part.shown.get(name, 0)
                counted[row, column] += part.requests.get((name.service, name.operation), 0)
    return showing, counted
