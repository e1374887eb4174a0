"""What series of logs and spans are about, in the lake: kept by the stage that makes them, read where people are told why."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from aiops.signals.signal_sentences import TEXT_PREFIXES, SignalText
from serving.lake.port import Lake

_TABLE: Final = "signal_texts"
_LOOK_BACK: Final = timedelta(days=2)
"""Texts are said anew each day."""
Series = tuple[str, str]
"""Service, and metric with its labels as people read it."""


def may_have_text(metric: str) -> bool:
    """Return whether a metric is one that texts are kept of."""
    return metric.startswith(TEXT_PREFIXES)


class SignalTextStore:
    """The texts of one tenant; nothing is kept in memory. Safe between threads and processes."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def add(self, rows: pa.Table) -> None:
        """Keep texts (`SIGNAL_TEXTS`); rows that are there already change nothing.

        Raises:
            ContractError: the rows do not have the schema.
        """
        self._lake.add(_TABLE, rows)

    def texts(self, series: Collection[Series], at: datetime) -> Mapping[Series, SignalText]:
        """Return the newest text of each series that was known by a time, of the two days before it.

        Raises:
            StateError: a file of the table is damaged.
        """
        wanted = {pair for pair in series if may_have_text(pair[1])}
        if not wanted:
            return {}
        services, metrics = (sorted(set(names)) for names in zip(*wanted, strict=True))
        end = at + timedelta(microseconds=1)
        rows = self._lake.read(_TABLE, at - _LOOK_BACK, end, None, {"service": services, "metric": metrics})
        names = zip(rows["service"].to_pylist(), rows["metric"].to_pylist(), strict=True)
        newest = {(str(service), str(metric)): number for number, (service, metric) in enumerate(names)}
        pattern, example = rows["pattern"], rows["example"]
        return {
            pair: SignalText(str(pattern[number].as_py()), str(example[number].as_py()))
            for pair, number in newest.items()
            if pair in wanted
        }
