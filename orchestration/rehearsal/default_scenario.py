"""What `aiops run` runs on by default: a simulated application whose story is known."""

from datetime import UTC, datetime, timedelta
from typing import Final

from aiops.simulator.simulation_config import DriftSpec, ScriptedIncident, SimulationConfig
from orchestration.pipeline.scenario import Scenario

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


def simulated(seed: int) -> Scenario:
    """Return the default story: ten services, ten days of history, then 62 hours with incidents, a drift, and bad rows.

    In the last hours two incidents that no metric shows; log lines and spans, which do, are sent from then on.
    """
    from serving.ingest.pull.simulate import SimulatedSource

    begin = HISTORY_H * 60
    scripted = (
        ScriptedIncident("memory_leak", begin + 5 * 60, buildup_min=90, duration_min=30),
        ScriptedIncident("bad_deployment", begin + 9 * 60, duration_min=30),
        ScriptedIncident("connection_exhaustion", begin + 18 * 60, buildup_min=60, duration_min=25),
        ScriptedIncident("slow_dependency", begin + 29 * 60, duration_min=25),
        ScriptedIncident("disk_fill", begin + 38 * 60, buildup_min=100, duration_min=30),
        ScriptedIncident("traffic_surge", begin + 44 * 60, duration_min=30),
        ScriptedIncident("handled_exception", begin + 57.5 * 60, service="gateway", duration_min=20),
        ScriptedIncident("slow_network", begin + 61.1 * 60, service="orders", duration_min=25),
    )
    drift = DriftSpec("level", start_h=HISTORY_H + DRIFT_AFTER_H, magnitude=0.8, share=0.6)
    config = SimulationConfig(
        seed=seed,
        start=START,
        services=10,
        hours=HISTORY_H + REPLAY_H,
        incidents_per_day=6.0,
        scripted=scripted,
        drift=drift,
        dirty_share=0.0002,
        traces_per_min=TRACES_PER_MIN,
    )
    source = SimulatedSource(config, history_share=HISTORY_H / (HISTORY_H + REPLAY_H))
    split = source.split()
    checks = tuple(split.replay_start + timedelta(hours=hours) for hours in CHECKS_AFTER_H)
    return Scenario(source, split, checks, split.replay_start + timedelta(hours=REQUESTS_AFTER_H))
