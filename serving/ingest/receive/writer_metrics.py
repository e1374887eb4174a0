"""How far the newest event of each writer of telemetry is behind the clock, for Prometheus."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from aiops.errors import Unavailable
from serving.ingest.writers import Writer, writers
from serving.stream.streams import Streams

EVERY_S: Final = 10.0
"""How often the broker is asked."""
_LABEL: Final = ("producer",)

log = logging.getLogger(__name__)


class WriterMetrics(Collector):
    """Gauges of the writers that are to go on, as they were known last. `clock`: s since 1970. At most 100 writers."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: Sequence[Writer] = ()
        registry.register(self)

    def know(self, known: Iterable[Writer]) -> None:
        """Take what is known of all writers; one that ends when it is done has no lag."""
        self._known = [writer for writer in known if writer.lasting]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges at this moment."""
        now_s = self._clock()
        about = "Newest event of a writer that is to go on, behind the clock; negative = ahead"
        lag = GaugeMetricFamily("aiops_writer_lag_seconds", about, labels=_LABEL)
        about = "1 = it has written nothing for five of its intervals and a minute"
        stands = GaugeMetricFamily("aiops_writer_stands_still", about, labels=_LABEL)
        for writer in self._known:
            lag.add_metric([writer.producer_id], writer.lag_s(now_s))
            stands.add_metric([writer.producer_id], float(writer.stands_still(now_s)))
        return (lag, stands)

    async def watch(self, broker: Streams) -> None:
        """Ask the broker every `EVERY_S`; one that does not answer leaves what was known, whose lag grows."""
        while True:
            try:
                self.know(await asyncio.to_thread(writers, broker, self._clock()))
            except Unavailable as error:
                log.warning("writers: %s", error)
            await asyncio.sleep(EVERY_S)
