"""What the stream bench counts: points that stage 1 committed; lines and spans that are stored, and in their minutes."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Protocol

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from orchestration.bench.load.sent_bodies import Signal
from orchestration.suite import services
from orchestration.suite.metrics_page import MetricsPage
from orchestration.suite.processes import ChildSpec
from serving.lake.opening import open_lake
from serving.signal_minutes.progress_notes import noted_signals
from serving.stream import streams

POINTS_END_TO_END: Final = "aiops_end_to_end_seconds"
SIGNALS_END_TO_END: Final = "aiops_signal_end_to_end_seconds"
_STORED: Final = {"logs": "logs_in", "spans": "spans_in"}
_TAKEN: Final = {"logs": "logs.records", "spans": "spans.spans"}
_SETTLE_S: Final = 180.0
"""A minute, what it waits for late rows, and until the clock closes it; then what waits at stage 1."""
_LOOK_S: Final = 0.5


class Committed(Protocol):
    """Processes beside sender, broker and receiver; what they committed."""

    @property
    def children(self) -> tuple[ChildSpec, ...]:
        """Return the processes."""

    @property
    def unread(self) -> tuple[str, ...]:
        """Return streams that nobody reads here."""

    @property
    def end_to_end(self) -> str:
        """Return the histogram of the time from append to commit."""

    def page(self) -> MetricsPage:
        """Return the page that has it."""

    def rows(self) -> int:
        """Return how many points, lines or spans are committed."""

    def counts(self, sent: int) -> Mapping[str, int]:
        """Return where rows went, once all of it is through; `sent` = all that was answered.

        Raises:
            Unavailable: not all of it is there.
        """


class CommittedPoints:
    """Points that stage 1 committed."""

    end_to_end: Final = POINTS_END_TO_END
    unread: Final = (streams.candidates(0), streams.features(0), streams.rejected(0))

    def __init__(self, settings: Settings) -> None:
        self._url = f"http://127.0.0.1:{settings.consumer.metrics_port}/metrics"
        self.children = (_stage1(settings),)

    def page(self) -> MetricsPage:
        """Return the consumer's page."""
        return MetricsPage.fetch(self._url)

    def rows(self) -> int:
        """Return the points that came in."""
        return int(self.page().total("aiops_points_total", outcome="in"))

    def counts(self, sent: int) -> Mapping[str, int]:
        """Return the points by outcome so far."""
        page = self.page()
        return {labels["outcome"]: int(value) for name, labels, value in page.samples if name == "aiops_points_total"}


class CommittedSignals:
    """Lines or spans that are in the lake and in the minutes of their series, whichever are fewer."""

    end_to_end: Final = SIGNALS_END_TO_END
    unread: Final = (streams.candidates(0),)

    def __init__(self, settings: Settings, signal: Signal, broker: streams.Streams) -> None:
        self._settings = settings
        self._signal = signal
        self._broker = broker
        self._points = CommittedPoints(settings)
        self._url = f"http://127.0.0.1:{settings.signals.metrics_port}/metrics"
        self.children = (*self._points.children, *services.signal_minutes(settings))

    def page(self) -> MetricsPage:
        """Return the page of the process that makes series."""
        return MetricsPage.fetch(self._url)

    def rows(self) -> int:
        """Return the lines or spans that are stored and counted."""
        stored = self._broker.totals(self._settings.broker.partitions).get(_STORED[self._signal], 0)
        return min(stored, int(self.page().total("aiops_signals", what=_TAKEN[self._signal])))

    def counts(self, sent: int) -> Mapping[str, int]:
        """Return where rows went: stored (read from the lake), by what the series say of them, points made and committed."""
        self._settle()
        lake = open_lake(self._settings).for_tenant(self._settings.tenant)
        stored = lake.read(self._signal).num_rows
        if stored != sent:
            raise Unavailable(f"{sent} {self._signal} were answered and {stored} are in the lake")
        page, scored = self.page(), self._points.counts(sent)
        own = {labels["what"]: int(value) for name, labels, value in page.samples if name == "aiops_signals"}
        return {"stored": stored, **own, **{f"points_{outcome}": count for outcome, count in scored.items()}}

    def _settle(self) -> None:
        """Return once all minutes with rows are over, and every point made of them has passed stage 1.

        Raises:
            Unavailable: that takes too long.
        """
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline:
            noted = [each.progress for each in noted_signals(self._broker, self._settings.broker.partitions)]
            over = all(progress is not None and progress.made_us > progress.newest_us for progress in noted)
            if over and self._points.rows() == int(self.page().total("aiops_signal_points_total")) > 0:
                return
            time.sleep(_LOOK_S)
        raise Unavailable(f"points of {self._signal} are not all committed {_SETTLE_S:.0f} s after the last of those")


def _stage1(settings: Settings) -> ChildSpec:
    """Return the consumer without its second stage: no models answer here."""
    spec = services.consumer(settings)
    return replace(spec, command=(*spec.command, "--only", "ingest"))
