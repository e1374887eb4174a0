"""What the series of candidates are about, for the words of detections: from the lake, for series of logs and requests alone."""

import logging
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from aiops.errors import AiopsError
from aiops.settings.tree import Settings
from aiops.signals.signal_sentences import SignalText
from data_contracts.series.metric_texts import metric_texts
from serving.host.log_rate_limit import LineLimit
from serving.lake.port import Lakes
from serving.tables.signal_texts import SignalTextStore, may_have_text

_lines = LineLimit(logging.getLogger(__name__))


class TextSource:
    """Texts of every tenant; one thread. A lake that cannot be read leaves the words without them, and is named."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lakes: Lakes | None = None

    def texts(self, tenant: str, candidates: pa.RecordBatch) -> Sequence[SignalText | None]:
        """Return the text of the worst series of each candidate, None where there is none."""
        metrics = metric_texts(candidates)
        asked = [number for number, metric in enumerate(metrics) if may_have_text(metric)]
        texts: list[SignalText | None] = [None] * len(metrics)
        if not asked:
            return texts
        services = candidates.column("service").to_pylist()
        times: list[Any] = candidates.column("point_timestamp").to_pylist()
        series = {number: (str(services[number]), metrics[number]) for number in asked}
        try:
            known = self._store(tenant).texts(series.values(), max(times[number] for number in asked))
        except (AiopsError, OSError) as error:
            _lines.warn(tenant, f"texts of series of tenant {tenant} cannot be read: {error}")
            return texts
        for number, pair in series.items():
            texts[number] = known.get(pair)
        return texts

    def _store(self, tenant: str) -> SignalTextStore:
        if self._lakes is None:
            from serving.lake.opening import open_lake

            self._lakes = open_lake(self._settings)
        return SignalTextStore(self._lakes.for_tenant(tenant))
