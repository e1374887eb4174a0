"""The process that acts on incidents: plans in one thread, runs in another, pages beside them; drains on SIGTERM or Ctrl-C."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from aiops.errors import AiopsError, ConfigurationError, Unavailable
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant
from serving.automation.api.automation_ports import TenantRuns
from serving.automation.runner.tenant_automations import SuiteParts, TenantAutomation, automation_of
from serving.host.log_rate_limit import LineLimit

EVERY_S: Final = 1.0
"""Pause between two looks."""
AWAY_S: Final = 2.0
TENANTS_S: Final = 5.0
"""How often it is looked for new tenants."""
STALLED_S: Final = 120.0

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class Automations:
    """What acts for each tenant, by name. Thread-safe. Memory: that of `most` tenants."""

    def __init__(self, suite: SuiteParts) -> None:
        self._suite = suite
        self._most = suite.settings.responder.max_tenants
        self._tenants: dict[str, TenantAutomation] = {}
        self._lock = threading.Lock()
        self._look_at = 0.0

    def all(self) -> tuple[TenantAutomation, ...]:
        """Return those of all tenants that have something.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._lock:
            if time.monotonic() >= self._look_at:
                for tenant in dict.fromkeys((DEFAULT_TENANT, *self._suite.database.tenants())):
                    if tenant not in self._tenants and len(self._tenants) < self._most:
                        self._add(tenant)
                self._look_at = time.monotonic() + TENANTS_S
            return tuple(self._tenants.values())

    def known(self) -> tuple[TenantAutomation, ...]:
        """Return those of all tenants that were looked at so far; nothing is read."""
        with self._lock:
            return tuple(self._tenants.values())

    def runs(self, tenant: str) -> TenantRuns:
        """Return what the API shows of a tenant; one that has nothing yet is served while there is room.

        Raises:
            Unavailable: as many tenants as may be are served already.
            TenantError: the text is no name of a tenant.
        """
        with self._lock:
            if tenant not in self._tenants:
                if len(self._tenants) >= self._most:
                    raise Unavailable(f"tenant {tenant!r}: {self._most} tenants are served already (responder.max_tenants)")
                self._tenants[tenant] = automation_of(self._suite, checked_tenant(tenant))
            return self._tenants[tenant].runs

    def _add(self, tenant: str) -> None:
        """Let a tenant act; one whose settings cannot be used is logged and does not hold up the others."""
        try:
            self._tenants[tenant] = automation_of(self._suite, tenant)
        except ConfigurationError as error:
            _lines.warn(f"tenant {tenant}", f"nothing acts for tenant {tenant}: {error}")


class AutomationProcess:
    """Two loops over all tenants; what fails for one tenant is logged and tried again, and does not hold up the others."""

    def __init__(self, automations: Automations, stop: threading.Event) -> None:
        self._automations = automations
        self._stop = stop
        self._beats = dict.fromkeys(("plans", "runs"), time.monotonic())
        self._looked: set[str] = set()

    def run(self) -> None:
        """Plan and act until stopped."""
        plans = threading.Thread(target=self._loop, args=("plans", lambda tenant: tenant.maker.look()), name="plans")
        plans.start()
        try:
            self._loop("runs", lambda tenant: tenant.loop.look())
        finally:
            self._stop.set()
            plans.join()
            self._give_up()

    def rest(self) -> None:
        """Do nothing until stopped."""
        self._looked.update(self._beats)
        while not self._stop.wait(EVERY_S):
            self._beats = dict.fromkeys(self._beats, time.monotonic())

    def health(self) -> Mapping[str, str]:
        """Return each loop with "ok" or what is wrong."""
        now = time.monotonic()
        health = {name: "ok" for name in self._beats if name in self._looked}
        health |= {name: "no look yet" for name in self._beats if name not in self._looked}
        return health | {name: f"no look for {now - at:.0f} s" for name, at in self._beats.items() if now - at > STALLED_S}

    def _loop(self, name: str, look: Callable[[TenantAutomation], object]) -> None:
        while not self._stop.is_set():
            well = self._look(name, look)
            self._beats[name] = time.monotonic()
            self._stop.wait(EVERY_S if well else AWAY_S)

    def _look(self, name: str, look: Callable[[TenantAutomation], object]) -> bool:
        try:
            tenants = self._automations.all()
        except AiopsError as error:
            _lines.warn(name, f"{name} wait for the incident store: {error}")
            return False
        except Exception:  # whatever it is, the loop goes on
            log.exception("%s: the tenants cannot be told, which is tried again", name)
            return False
        outcomes = [self._guarded(f"{name} of {tenant.tenant}", tenant, look) for tenant in tenants]
        self._looked.add(name)
        return all(outcomes)

    def _guarded(self, what: str, tenant: TenantAutomation, look: Callable[[TenantAutomation], object]) -> bool:
        try:
            look(tenant)
        except AiopsError as error:
            _lines.warn(what, f"{what}: tried again: {error}")
            return False
        except Exception:  # whatever it is, the other tenants go on
            log.exception("%s failed and are tried again", what)
            return False
        return True

    def _give_up(self) -> None:
        """Let another process go on at once."""
        for tenant in self._automations.known():
            self._guarded(f"lease of {tenant.tenant}", tenant, lambda automation: automation.lease.give_up())
