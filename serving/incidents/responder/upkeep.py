"""What is done beside the desk now and then: a changed call graph, labels of verdicts, what is old enough to be dropped."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiops.errors import AiopsError
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.feedback import reconcile
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.port import Lake
from serving.tables.graph_store import GraphStore

LOOK_S: Final = 5.0
DAILY_S: Final = 86_400.0
FIRST_S: Final = 60.0
"""After the start, so that a process that ends at once again drops nothing each time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpkeepParts:
    """What upkeep works with; `now` = the desk's time."""

    store: IncidentStore
    desk: Desk
    lake: Lake
    graphs: GraphStore
    retention: timedelta
    now: Callable[[], datetime]


class Upkeep:
    """Looks after one tenant, in one thread. What fails is logged and tried again: none of it is worth stopping the desk for."""

    def __init__(self, parts: UpkeepParts) -> None:
        self._parts = parts
        self._graph = parts.graphs.version()
        self._daily_at = time.monotonic() + FIRST_S
        self._begun = False

    def look(self) -> None:
        """Look after things once; called every `LOOK_S` seconds."""
        if not self._begun:
            self._begun = True
            self._guarded(self._reconcile)
        self._guarded(self.follow_graph)
        if time.monotonic() >= self._daily_at:
            self._daily_at = time.monotonic() + DAILY_S
            self._guarded(self._reconcile)  # incidents that went on after their verdict have ended
            self._guarded(self.retain)
            self._guarded(self.compact)

    def follow_graph(self) -> bool:
        """Hand the desk a call graph that has changed; return whether it had."""
        version = self._parts.graphs.version()
        if version == self._graph:
            return False
        self._parts.desk.regraph(self._parts.graphs.graph(), self._parts.now())
        self._graph = version
        log.info("the call graph has changed; incidents go by the new one")
        return True

    def retain(self) -> int:
        """Drop closed incidents that are old enough; return how many."""
        dropped = self._parts.store.retain(self._parts.now() - self._parts.retention)
        log.info("%d incidents were closed more than %d days ago and are dropped", dropped, self._parts.retention.days)
        return dropped

    def compact(self) -> int:
        """Merge the small files that the stream left in the lake; return how many went."""
        merged = self._parts.lake.compact()
        if merged.files:
            log.info("%d small files of the lake are merged into %d", merged.files, merged.into)
        return merged.files

    def _reconcile(self) -> None:
        labelled = reconcile(self._parts.store, self._parts.lake)
        if labelled:
            log.info("labels of %d incidents were missing or out of date in the lake and are written", labelled)

    @staticmethod
    def _guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except AiopsError as error:
            log.warning("upkeep is tried again later: %s", error)
        except Exception:  # a full disk, for example: whatever it is, the desk goes on
            log.exception("upkeep failed and is tried again later")
