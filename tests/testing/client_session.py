"""What a real client sent to a receiver of ours, by what lies on the broker; its own page has its own count."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from aiops.normalise.raw_series import STALE_BITS
from serving.stream import streams
from tests.testing.deadlines import within
from tests.testing.peer_process import PeerProcess
from tests.testing.receiver_harness import Receiver
from tests.testing.stream_harness import wait_until


@dataclass(frozen=True, slots=True)
class Arrived:
    """Rows of the broker: definitions by id, points, whole histograms."""

    series: Mapping[int, Mapping[str, Any]]
    points: list[dict[str, Any]]
    histograms: list[dict[str, Any]]

    @classmethod
    def of(cls, receiver: Receiver) -> "Arrived":
        """Read everything."""
        definitions = receiver.rows(streams.KIND_DEFINITIONS)
        series = {int(row["series_id"]): row for row in definitions}
        return cls(series, receiver.rows(streams.KIND_POINTS), receiver.rows(streams.KIND_HISTOGRAMS))

    def roles(self, metric: str) -> dict[str, int]:
        """Return how many series of a metric there are, by role."""
        return dict(Counter(str(row["role"]) for row in self.series.values() if row["metric"] == metric))

    def services(self) -> set[str]:
        """Return the services of all series."""
        return {str(row["service"]) for row in self.series.values()}

    def ended(self) -> set[str]:
        """Return the metrics of which a series was marked as ended, by the one NaN that says so."""
        marked = np.array([row["value"] for row in self.points]).view(np.int64) == STALE_BITS
        return {str(self.series[self.points[place]["series_id"]]["metric"]) for place in np.flatnonzero(marked)}

    def values(self, metric: str) -> list[float]:
        """Return the values of a metric, in order of arrival."""
        return [float(row["value"]) for row in self.points if self.series[row["series_id"]]["metric"] == metric]

    def undefined(self) -> int:
        """Return the points and histograms whose series was never defined."""
        return sum(row["series_id"] not in self.series for row in (*self.points, *self.histograms))


def outcomes(receiver: Receiver, metric: str = "aiops_ingest_points_total", label: str = "outcome") -> dict[str, float]:
    """Return what the receiver counted, by outcome."""
    from prometheus_client.parser import text_string_to_metric_families

    counted: Counter[str] = Counter()
    for family in text_string_to_metric_families(httpx.get(f"{receiver.url}/metrics", timeout=within(30)).text):
        for sample in family.samples:
            if sample.name == metric:
                counted[sample.labels[label]] += int(sample.value)
    return {name: float(count) for name, count in counted.items() if count}


def settled(count: Any, seconds: float, still_s: float = 1.5) -> bool:
    """Return whether a count stopped changing for a while within so many seconds of a machine with nothing else to do."""
    seen = [count(), time.monotonic()]

    def is_still() -> bool:
        now = count()
        if now != seen[0]:
            seen[:] = [now, time.monotonic()]
        return bool(time.monotonic() - seen[1] >= still_s)

    return wait_until(is_still, seconds)


def scraping_ended(peer: PeerProcess, config_path: Path, config: str) -> None:
    """Give a program a configuration without targets: what it has scraped is sent, and nothing more comes."""
    config_path.write_text(config)
    assert httpx.post(f"{peer.url}/-/reload", timeout=within(30)).is_success, peer.log()
