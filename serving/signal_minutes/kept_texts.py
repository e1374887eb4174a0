"""Texts of series to the lake, before the points that they are about are appended: who judges a point finds its text.

A lake that cannot be written delays no point: it is named, and tried again with the next texts.
"""

import logging
from collections.abc import Callable
from typing import Final

import pyarrow as pa

from aiops.errors import AiopsError
from serving.host.log_rate_limit import LineLimit
from serving.signal_minutes.partition_minutes import Closed
from serving.tables.signal_texts import SignalTextStore

_MOST_ROWS: Final = 65_536
"""Texts of a tenant that wait for the lake; beyond it the oldest are given up until they are said anew."""

_lines = LineLimit(logging.getLogger(__name__))


class KeptTexts:
    """Texts that are not in the lake yet, by tenant; one thread. Writing them twice changes nothing."""

    def __init__(self, store_of: Callable[[str], SignalTextStore] | None) -> None:
        self._store_of = store_of
        self._waiting: dict[str, pa.Table] = {}

    def keep(self, closed: Closed) -> None:
        """Keep the texts of closed minutes, and those that waited."""
        if self._store_of is None:
            return
        for tenant, texts in closed.texts.items():
            waiting = [*([self._waiting[tenant]] if tenant in self._waiting else []), *texts]
            rows = pa.concat_tables(waiting)
            self._waiting[tenant] = rows.slice(max(0, rows.num_rows - _MOST_ROWS))
        for tenant, rows in list(self._waiting.items()):
            try:
                self._store_of(tenant).add(rows)
            except (AiopsError, OSError) as error:
                _lines.warn(tenant, f"texts of series of tenant {tenant} are not kept yet: {error}")
                continue
            del self._waiting[tenant]
