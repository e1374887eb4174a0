"""Everything one worker process holds, built from settings and adapters, started and stopped in order."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from aiops.settings.serving_settings import ServingSettings
from models.artifacts.catalog import served_models
from serving.http.auth import Authenticator, authenticator
from serving.http.cross_site import SiteRules, site_rules
from serving.scoring.answers.call_gate import CallGate
from serving.scoring.answers.root_cause_answers import MOST_AT_ONCE, Analyst, RootCauses
from serving.scoring.answers.scoring import Scoring, ScoringPorts, TenantFeatures
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.answers.season_answers import Season, TenantBands
from serving.scoring.answers.served_log import ServedLog, TenantTables, process_key
from serving.scoring.slots.challenger import ChallengerPolicy
from serving.scoring.slots.model_slot import SlotPoller, SlotStatus
from serving.scoring.slots.model_slots import ModelSlots
from serving.scoring.slots.model_source import CHALLENGER, CHAMPION, ModelSource
from serving.scoring.slots.shadow import Shadow

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Adapters:
    """The outside of the service: where models, features and seasonal bands come from, and where served rows go."""

    models: ModelSource
    features: TenantFeatures
    lake: TenantTables
    clock: Callable[[], datetime]
    bands: TenantBands
    analyst: Callable[[str], Analyst] | None = None
    """Makes what explains from a tenant's lake, at the first question; None = root causes are named from rows sent along only."""
    tokens: Path | None = None
    """File of the tokens that were made or revoked here."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether every champion is loaded, and what each slot says."""

    ready: bool
    slots: tuple[SlotStatus, ...]


class Runtime:
    """One worker's models, log, limits and metrics; shared by its HTTP and gRPC servers."""

    def __init__(self, settings: ServingSettings, adapters: Adapters, registry: CollectorRegistry) -> None:
        self.settings = settings
        self.metrics = ScoringMetrics(registry)
        self.auth: Authenticator = authenticator(settings, adapters.tokens)
        self.site: SiteRules = site_rules(settings.allowed_hosts, settings.host, keyless=self.auth.key is None)
        self.gate = CallGate(-(-settings.max_concurrency // settings.workers), settings.timeout_s)
        self._shadow = Shadow()
        self._log = ServedLog(
            adapters.lake,
            settings.served_log_rows,
            settings.served_flush_s,
            self.metrics,
            process_key(os.getpid(), adapters.clock()),
        )
        self._slots = _slots(settings, adapters.models, self.metrics)
        ports = ScoringPorts(adapters.features, self._log, self.metrics, adapters.clock, self._shadow)
        policy = ChallengerPolicy(settings.challenger, settings.challenger_share)
        self.scoring = Scoring(self._slots, policy, ports)
        self.season = Season(adapters.bands, self.metrics, adapters.clock)
        self.root_causes = RootCauses(adapters.analyst, self.metrics)
        self.analyses = CallGate(MOST_AT_ONCE, settings.timeout_s, "one question after the other")
        self._after_poll: list[Callable[[], None]] = []
        self._poller = SlotPoller(self._slots.poll, settings.poll_s, self._polled)

    def start(self) -> None:
        """Load the models that the aliases name now and start the background threads."""
        started = time.monotonic()
        self._log.start()
        self._poller.start()
        _logger.info("scoring is ready=%s after %.2f s", self.readiness().ready, time.monotonic() - started)

    def stop(self) -> None:
        """Stop following aliases, finish shadow scoring, and write every served row; waits for all of it."""
        self._poller.stop()
        self.gate.close()
        self.analyses.close()
        self._shadow.close()
        self._log.close()

    def after_poll(self, callback: Callable[[], None]) -> None:
        """Call `callback` from the polling thread after every round."""
        self._after_poll.append(callback)

    def readiness(self) -> Readiness:
        """Return whether a shared champion is loaded and none has failed to load, with details; everybody may ask.

        A model without a champion does not hold the others back: calls for it are refused with 503 `model-not-loaded`.
        """
        statuses = tuple(slot.status for slot in self._slots.shared)
        champions = [status for status in statuses if status.alias == CHAMPION]
        loaded = any(status.version is not None for status in champions)
        return Readiness(loaded and not any(status.version is None and status.error for status in champions), statuses)

    def _polled(self) -> None:
        for callback in self._after_poll:
            callback()


def _slots(settings: ServingSettings, source: ModelSource, metrics: ScoringMetrics) -> ModelSlots:
    aliases = (CHAMPION,) if settings.challenger == "off" else (CHAMPION, CHALLENGER)
    return ModelSlots(served_models(), aliases, source, metrics)
