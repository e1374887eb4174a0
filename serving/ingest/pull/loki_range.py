"""Pages of a range of log lines: each line once, however many share a moment, oldest first.

Loki ends a page at a number of lines, and knows no cursor but time. So the lines of a full page's last moment wait for the next
page, which begins there and has all of them. More lines at one nanosecond than a page holds cannot all be asked for: such moments
are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from serving.ingest.pull.loki_http import LokiPage, LokiResult


class LokiClient(Protocol):
    """Answers pages."""

    def page(self, page: LokiPage) -> tuple[LokiResult, ...]:
        """Return the streams of a page; raises SourceError."""
        ...


@dataclass(frozen=True, slots=True)
class LokiPart:
    """Lines of a range up to `through_ns`, exclusive: all of them are in this part or in one before.

    `crowded`: moments with more lines than a page holds, of which some are not read.
    """

    results: tuple[LokiResult, ...]
    lines: int
    through_ns: int
    crowded: int = 0


def parts_of(client: LokiClient, wanted: LokiPage, most_lines: int) -> Iterator[LokiPart]:
    """Yield the lines of a range in parts of about `most_lines`; streams of one part are whole within it.

    A part ends between two moments. Memory: one part and one page.

    Raises:
        SourceError: a page failed; what was yielded before it is complete up to its `through_ns`.
    """
    held = _Held()
    start_ns = wanted.start_ns
    while start_ns < wanted.end_ns:
        results = client.page(LokiPage(wanted.query, start_ns, wanted.end_ns, wanted.limit))
        moments = [int(value[0]) for result in results for value in result.values]
        if len(moments) < wanted.limit:
            held.take(results, wanted.end_ns)
            break
        newest_ns = max(moments)
        if newest_ns <= start_ns:
            held.take(results, start_ns + 1)
            held.crowded += 1
            newest_ns = start_ns + 1
        else:
            held.take(results, newest_ns)
        start_ns = newest_ns
        if held.lines >= most_lines:
            yield held.part(start_ns)
            held = _Held()
    yield held.part(wanted.end_ns)


class _Held:
    """What was read since the last part: entries by stream, in order."""

    def __init__(self) -> None:
        self._streams: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
        self.lines = 0
        self.crowded = 0

    def take(self, results: Sequence[LokiResult], before_ns: int) -> None:
        """Keep the entries before a moment."""
        for result in results:
            kept = [value for value in result.values if int(value[0]) < before_ns]
            if kept:
                self._streams.setdefault(tuple(sorted(result.labels.items())), []).extend(kept)
                self.lines += len(kept)

    def part(self, through_ns: int) -> LokiPart:
        """Return all of it."""
        results = tuple(LokiResult(dict(labels), tuple(values)) for labels, values in self._streams.items())
        return LokiPart(results, self.lines, through_ns, self.crowded)
