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

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.minute_series import MinutePoint, table_of
from aiops.signals.novelty import NoveltyConfig, PatternShares, compared, weight_of
from aiops.signals.pattern_counts import PatternCounts, ShownPattern
from aiops.signals.requests import KINDS, PatternKind, Requests
from aiops.types import FloatArray, IntArray, State

VERSION: Final = 2
CHANGE: Final = "request.change_ratio"
_FIX: Final = "remove the state to begin anew"
_MINUTES_AN_HOUR: Final = 60
_AT_ONCE: Final = 4096
"""Patterns that are compared at a time: bounds memory."""


@dataclass(frozen=True, slots=True)
class RequestChangesConfig:
    """Minutes of the window and of the reference, false values of 1 an hour by chance, and when a change is adopted.

    With fewer than `warm_up_minutes` to compare with nothing is said, and all is learnt: the first minute of a stream is seldom
    whole. `most_patterns`: patterns of operations that are held; beyond these, those that fewest requests showed are left out.
    `kinds` of patterns that are looked at (`requests.KINDS`): "order" is what log lines say, "call" and "failure" what spans do.
    """

    window_minutes: int = 2
    reference_minutes: int = 60
    adopted_minutes: int = 30
    false_per_hour: float = 0.5
    most_patterns: int = 20_000
    kinds: tuple[PatternKind, ...] = KINDS
    warm_up_minutes: int = 0

    def __post_init__(self) -> None:
        if min(self.window_minutes, self.reference_minutes, self.adopted_minutes, self.most_patterns) < 1:
            raise ContractError(f"{self}: give at least 1 of each")
        if not 0 < self.false_per_hour < _MINUTES_AN_HOUR:
            raise ContractError(f"{self}: give false_per_hour above 0 and below {_MINUTES_AN_HOUR}")


@dataclass(frozen=True, slots=True)
class Change:
    """A pattern that changed: shares of its operation's requests then and now, and z in units of chance."""

    pattern: ShownPattern
    share_then: float
    share_now: float
    ratio: float


@dataclass(frozen=True, slots=True, eq=False)
class _Changes:
    """Patterns (n,) of operations that were called in the window and in the reference: numbers, shares, z in units of chance."""

    pattern: IntArray
    then: FloatArray
    now: FloatArray
    ratio: FloatArray


class RequestChanges:
    """Changes of a stream of requests. Memory: `most_patterns` names, and 16 B for each in each minute. Not thread-safe."""

    def __init__(self, config: RequestChangesConfig | None = None) -> None:
        self.config = config or RequestChangesConfig()
        self._counts = PatternCounts(self.config.most_patterns)
        self._strongest: dict[str, Change] = {}

    @property
    def left_out(self) -> int:
        """Return how many patterns of minutes were left out so far, for there were too many."""
        return self._counts.left_out

    @property
    def templates(self) -> list[str]:
        """Return the names of log templates that patterns are made of, each once."""
        return self._counts.templates()

    def observe(self, minute: int, requests: Requests) -> pa.Table:
        """Take in all requests that were complete in a minute (its number since 1970 UTC), return the series of that minute.

        O(patterns x minutes).

        Raises:
            ContractError: the minute is not after those before.
        """
        minutes = self._counts.minutes
        if minutes and minute <= minutes[-1].number:
            raise ContractError(f"minute {minute} comes after minute {minutes[-1].number}: give minutes ascending")
        self._counts.add(minute, requests, self.config.kinds)
        self._counts.keep(self.config.reference_minutes + self.config.window_minutes)
        self._strongest = self._strongest_of(self._changes(minute))
        self._leave_out(minute)
        return table_of([MinutePoint(minute, name, CHANGE, self._strongest[name].ratio) for name in sorted(self._strongest)])

    def strongest(self, service: str) -> Change | None:
        """Return what changed most at a service in the newest minute; None where nothing could be compared."""
        return self._strongest.get(service)

    def rename(self, successors: Mapping[str, str]) -> None:
        """Go on with other names of log templates: those that were merged since. O(patterns x minutes)."""
        if successors:
            self._counts.rename(successors)

    def state(self) -> State:
        """Return all that `restore` goes on from, as plain arrays."""
        return {"version": np.array([VERSION], np.int64), **self._counts.state()}

    @classmethod
    def restore(cls, config: RequestChangesConfig, state: State) -> "RequestChanges":
        """Return changes that go on as those that were saved would have; nothing is the strongest before the next minute.

        Raises:
            OutdatedState: the state is of another version.
            StateError: it is damaged.
        """
        changes = cls(config)
        try:
            (version,) = state["version"].tolist()
            if version != VERSION:
                raise OutdatedState(f"request changes are of version {version}, this program reads {VERSION}; {_FIX}")
            changes._counts = PatternCounts.restored(config.most_patterns, state)
        except (KeyError, ValueError, IndexError, StopIteration, RuntimeError) as error:
            raise StateError(f"state of request changes is damaged: {error!r}; {_FIX}") from error
        return changes

    def _window(self, minute: int) -> int:
        """Return how many of the newest minutes are in the window."""
        return sum(part.number > minute - self.config.window_minutes for part in self._counts.minutes)

    def _changes(self, minute: int) -> _Changes:
        window = self._window(minute)
        nothing = np.zeros(0)
        if len(self._counts.minutes) - window < max(1, self.config.warm_up_minutes):
            return _Changes(np.zeros(0, np.int64), nothing, nothing, nothing)
        patterns = self._counts.in_order()
        parts = []
        for first in range(0, len(patterns), _AT_ONCE):
            chosen = patterns[first : first + _AT_ONCE]
            shares = self._counts.shares(chosen, window)
            both = np.flatnonzero((shares.all_of_them[:, 0] > 0) & (shares.all_of_them[:, 1:].sum(axis=1) > 0))
            shares = PatternShares(shares.showing[both], shares.all_of_them[both])
            then, z = compared(shares, NoveltyConfig())
            now = shares.showing[:, 0] / np.maximum(shares.all_of_them[:, 0], 1.0)
            parts.append(_Changes(chosen[both], then, now, z * weight_of(now - then)))
        pattern, then, now, weighed = (
            np.concatenate([getattr(part, name) for part in parts]) if parts else nothing for name in _Changes.__slots__
        )
        return _Changes(pattern.astype(np.int64), then, now, weighed / self._chance(pattern.size) if pattern.size else nothing)

    def _strongest_of(self, changes: _Changes) -> dict[str, Change]:
        """Return the strongest change of each service, of equal ones the first by name."""
        if not changes.pattern.size:
            return {}
        service = self._counts.service_of(changes.pattern)
        order = np.lexsort((np.arange(service.size), -changes.ratio, service))
        firsts = order[np.flatnonzero(np.diff(service[order], prepend=-1))]
        strongest = {}
        for row in firsts.tolist():
            name = self._counts.name(int(changes.pattern[row]))
            shares = float(changes.then[row]), float(changes.now[row])
            strongest[name.service] = Change(name, *shares, float(changes.ratio[row]))
        return strongest

    def _chance(self, patterns: int) -> float:
        """Return the z that one of so many patterns reaches by chance `false_per_hour` times an hour."""
        share = self.config.false_per_hour / _MINUTES_AN_HOUR
        return NormalDist().inv_cdf(1.0 - share / (2.0 * patterns))

    def _leave_out(self, minute: int) -> None:
        """Keep strange minutes out of references; adopt what stayed strange."""
        minutes = self._counts.minutes
        window = minutes[len(minutes) - self._window(minute) :]
        for service, change in self._strongest.items():
            if change.ratio < 1.0:
                continue
            for part in window:
                part.out.add(service)
            newest = minutes[-self.config.adopted_minutes :]
            if len(newest) == self.config.adopted_minutes and all(service in part.out for part in newest):
                for part in newest:
                    part.out.discard(service)
