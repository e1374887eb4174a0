"""What `aiops run` runs on by default: a simulated application whose story is known."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aiops.automation.run import RunState
from aiops.simulator.simulation_config import DriftSpec, ScriptedIncident, SimulationConfig
from aiops.types import HistorySplit
from orchestration.pipeline.scenario import Scenario
from orchestration.rehearsal.acted_span import ActedIncident, ActedSpan, ReactingApplication

START: Final = datetime(2025, 3, 1, tzinfo=UTC)
"""A Saturday: the history sees two weekends, the replay runs from Tuesday to Thursday."""
HISTORY_H: Final = 240.0
REPLAY_H: Final = 62.0
DRIFT_AFTER_H: Final = 24.0
CHECKS_AFTER_H: Final = (20.0, 32.0, 56.0)
"""Before the drift, in it, and a day later: the same hours of day as the second, against the retrained champion."""

REQUESTS_AFTER_H: Final = 56.0
"""From the last check on the application sends log lines and spans, too: what is trained before knows nothing of them."""
TRACES_PER_MIN: Final = 4.0
ACTED_H: Final = 5.0
"""After the replay: the hours in which incidents are acted on and the services react. No figure of the replay counts them."""
CURED_AFTER_H: Final = 1.0
UNDONE_AFTER_H: Final = 3.5


@dataclass(frozen=True, slots=True)
class DefaultStory:
    """What `aiops run` replays, and what is acted on after it."""

    scenario: Scenario
    acted: ActedSpan


def simulated(seed: int) -> DefaultStory:
    """Return the default story: ten services, ten days of history, then 62 hours with incidents, a drift, and bad rows.

    In the last hours two incidents that no metric shows; log lines and spans, which do, are sent from then on. After the replay a
    bad deployment, which the runbook of the library is to cure, and an exhausted pool, which a harmful runbook is to make worse.
    """
    from serving.ingest.pull.simulate import SimulatedSource

    drift = DriftSpec("level", start_h=HISTORY_H + DRIFT_AFTER_H, magnitude=0.8, share=0.6)
    config = SimulationConfig(
        seed=seed,
        start=START,
        services=10,
        hours=HISTORY_H + REPLAY_H + ACTED_H,
        incidents_per_day=6.0,
        scripted=_scripted(),
        drift=drift,
        dirty_share=0.0002,
        traces_per_min=TRACES_PER_MIN,
    )
    source = SimulatedSource(config)
    cut, end = (START + timedelta(hours=hours) for hours in (HISTORY_H, HISTORY_H + REPLAY_H))
    split = HistorySplit(START, cut, cut, end)
    checks = tuple(cut + timedelta(hours=hours) for hours in CHECKS_AFTER_H)
    incidents = (
        ActedIncident(end + timedelta(hours=CURED_AFTER_H), RunState.CURED),
        ActedIncident(end + timedelta(hours=UNDONE_AFTER_H), RunState.UNDONE),
    )
    scenario = Scenario(source, split, checks, cut + timedelta(hours=REQUESTS_AFTER_H))
    return DefaultStory(scenario, ActedSpan(ReactingApplication(source.simulation, end), incidents))


def _scripted() -> tuple[ScriptedIncident, ...]:
    """Return the incidents whose time is set: those of the replay, then the two that are acted on."""
    begin = HISTORY_H * 60
    acted_from = begin + REPLAY_H * 60
    return (
        ScriptedIncident("memory_leak", begin + 5 * 60, buildup_min=90, duration_min=30),
        ScriptedIncident("bad_deployment", begin + 9 * 60, duration_min=30),
        ScriptedIncident("connection_exhaustion", begin + 18 * 60, buildup_min=60, duration_min=25),
        ScriptedIncident("slow_dependency", begin + 29 * 60, duration_min=25),
        ScriptedIncident("disk_fill", begin + 38 * 60, buildup_min=100, duration_min=30),
        ScriptedIncident("traffic_surge", begin + 44 * 60, duration_min=30),
        ScriptedIncident("handled_exception", begin + 57.5 * 60, service="gateway", duration_min=20),
        ScriptedIncident("slow_network", begin + 61.1 * 60, service="orders", duration_min=25),
        ScriptedIncident("bad_deployment", acted_from + CURED_AFTER_H * 60, service="payments", duration_min=75),
        ScriptedIncident(
            "connection_exhaustion", acted_from + UNDONE_AFTER_H * 60, service="orders", buildup_min=5, duration_min=80
        ),
    )
