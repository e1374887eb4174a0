"""The thread of all desks: one after the other takes a step, round after round; one that fails holds up none of the others."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from aiops.errors import Unavailable
from data_contracts.series.tenant import DEFAULT_TENANT, tenant_fault
from serving.incidents.desk.stream_inputs import RoundReads
from serving.incidents.responder.responder_loop import AWAY_S, BROKER, DESK, EVERY_S
from serving.incidents.responder.tenant_desks import TenantDesk, TenantDesks
from serving.incidents.store.database import IncidentDatabase

LOOK_S: Final = 1.0
"""How often the database is asked for tenants that are new."""
MOST_UNKNOWN: Final = 100
"""Names that are no tenants' and are said in the log at most."""
AGAIN_S: Final = 10.0
"""How long a desk that failed rests before it is tried again."""

log = logging.getLogger(__name__)


class DeskRounds:
    """Runs in one thread; `health` may be called from others. `begin` is called with each desk before its first step."""

    def __init__(
        self, desks: TenantDesks, database: IncidentDatabase, reads: RoundReads, begin: Callable[[TenantDesk], None]
    ) -> None:
        self._desks = desks
        self._database = database
        self._reads = reads
        self._begin = begin
        self._begun: set[str] = set()
        self._failed: dict[str, float] = {}
        self._inbox: frozenset[str] = frozenset()
        self._look_at = 0.0
        self._unknown_tenants: set[str] = set()

    def begin(self) -> None:
        """Begin with the desks of `default` and of all tenants that have something.

        Raises:
            Exception: what the first desk failed with, where none works.
        """
        self._discover()
        for desk in self._desks.running():
            self._guarded(desk, lambda desk=desk: self._started(desk))  # type: ignore[misc]

    def run(self, stop: threading.Event) -> None:
        """Step until stopped; what has been read by then is committed."""
        while not stop.is_set():
            if not self.round():
                waits = any(desk.loop.waits for desk in self._desks.running())
                stop.wait(AWAY_S if waits else EVERY_S)

    def round(self) -> bool:
        """Let each desk take a step; return whether more waits to be read."""
        self._reads.begin()
        self._discover()
        more = False
        for desk in self._desks.running():
            if time.monotonic() >= self._failed.get(desk.tenant, 0.0):
                more |= self._guarded(desk, lambda desk=desk: self._stepped(desk))  # type: ignore[misc]
        return more

    def health(self) -> Mapping[str, str]:
        """Return each part with "ok" or what is wrong, of all desks together."""
        health: dict[str, str] = {}
        for desk in self._desks.running():
            for part, word in desk.loop.health().items():
                health[part] = word if health.get(part, "ok") == "ok" else health[part]
        failed = len(self._failed)
        if failed:
            health[DESK] = f"{failed} of {len(self._desks.running())} desks do not work; the log says why"
        return health or {BROKER: "ok", DESK: "no step yet"}

    def _started(self, desk: TenantDesk) -> bool:
        self._begin(desk)
        self._begun.add(desk.tenant)
        return False

    def _stepped(self, desk: TenantDesk) -> bool:
        if desk.tenant not in self._begun:
            self._started(desk)
        more = desk.loop.step(desk.tenant in self._inbox)
        for tenant in sorted(desk.loop.others):
            self._open_desk(tenant)
        return more

    def _open_desk(self, tenant: str) -> None:
        """Begin to serve a tenant of whom something was read."""
        if tenant_fault(tenant) is None:
            self._desks.run(tenant)
        elif len(self._unknown_tenants) < MOST_UNKNOWN and tenant not in self._unknown_tenants:
            self._unknown_tenants.add(tenant)
            log.error("entries of tenant %r are not read: %s", tenant[:80], tenant_fault(tenant))

    def _discover(self) -> None:
        """Find who has something in the database, and whose inbox is not empty."""
        try:
            self._inbox = self._database.waiting()
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + LOOK_S
                for tenant in (DEFAULT_TENANT, *self._database.tenants()):
                    self._desks.run(tenant)
        except Unavailable:  # each desk meets it too, and says so
            self._inbox = frozenset()

    def _guarded(self, desk: TenantDesk, work: Callable[[], bool]) -> bool:
        """Do something for a desk; where it fails, it is tried again later, and raised where no desk works."""
        try:
            more = work()
        except Exception:
            self._failed[desk.tenant] = time.monotonic() + AGAIN_S
            if len(self._failed) >= len(self._desks.running()):
                raise
            log.exception("the desk of tenant %s failed and is tried again in %.0f s; the others go on", desk.tenant, AGAIN_S)
            return False
        self._failed.pop(desk.tenant, None)
        return more
