"""Which entries a reader has had already, by their source: for logs that may hold an entry twice after an outage.

A producer's numbers ascend in a partition (`serving.ingest.producer_sequence`), so what is not above its newest was sent again.
A pure function of the entries read: a replay from a checkpoint leaves out the same.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from serving.stream.entry import Entry, id_parts

MOST_PRODUCERS: Final = 4096
"""Producers remembered; beyond that the one whose newest entry is oldest is forgotten."""
FORGOTTEN_AFTER_NS: Final = 29 * 86_400 * 10**9
"""A producer idle for this long may begin anew: the state store forgets it after 30 days."""


class Newest(NamedTuple):
    """The newest entry of a producer: its number `<seq>-<part>`, and when it was produced (ns since epoch)."""

    number: str
    produced_ns: int


class SentSequences:
    """The newest entry of every producer in one partition."""

    def __init__(self, newest: Mapping[str, Newest] | None = None) -> None:
        self._newest: dict[str, Newest] = dict(newest or {})

    @classmethod
    def of_text(cls, text: str) -> "SentSequences":
        """Return what `to_text` wrote; "" = nothing read yet."""
        return cls({name: Newest(*newest) for name, newest in json.loads(text).items()} if text else {})

    def to_text(self) -> str:
        """Return the state, in the order in which producers are forgotten."""
        return json.dumps(self._newest, separators=(",", ":"))

    def copy(self) -> "SentSequences":
        """Return an independent copy."""
        return SentSequences(self._newest)

    def fresh(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries that were not read before; those that name no source all are."""
        return [entry for entry in entries if self._is_fresh(entry)]

    def _is_fresh(self, entry: Entry) -> bool:
        producer, _, number = entry.source.rpartition(" ")
        if not producer:
            return True
        newest = self._newest.get(producer)
        idle_ns = 0 if newest is None else entry.produced_ns - newest.produced_ns
        if newest is not None and id_parts(number) <= id_parts(newest.number) and idle_ns < FORGOTTEN_AFTER_NS:
            return False
        self._newest.pop(producer, None)
        self._newest[producer] = Newest(number, entry.produced_ns)
        if len(self._newest) > MOST_PRODUCERS:
            del self._newest[next(iter(self._newest))]
        return True
