"""What a root cause analysis is given: telemetry before and during an incident, the graph, alerts, changes and priors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from aiops.incidents.root_cause import ChangeEvent
from aiops.signals.signal_sentences import SignalText
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom
from models.rca.request_evidence import RequestWindow


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """Lengths in seconds: the window begins `lead_s` before the first alert; before it come `before_s` of minutes to compare
    with (0 = none) and `calm_s` of calm time."""

    lead_s: float = 600.0
    before_s: float = 1200.0
    calm_s: float = 6 * 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class RcaInputs:
    """What is known of an incident at `made_at`; nothing after it is read, whatever the grids and changes hold.

    `window` is the trouble (from shortly before the first alert on), `before` the minutes just before it, `calm` a time without
    incidents (hours); all on the same step, with the service's own name in `series`. `alerted`: the incident's services and when
    each was first alerted. `symptom`: where users saw it, if known; else the service alerted first stands for it. `changes` of
    any service; `changes_recorded` = whether changes are recorded at all (no event is evidence only then). `priors`: log odds
    that past verdicts give a service, 0 = as any other. `ranker`: the one fitted to `calm`, where it is kept between calls.
    `requests`: those of traces and logs in the window and while all was well, where there are any. `texts`: what series of logs
    are about, by service and metric.
    """

    made_at: datetime
    window: SeriesGrid
    calm: SeriesGrid
    graph: ServiceGraph
    before: SeriesGrid | None = None
    alerted: Mapping[str, datetime] = field(default_factory=dict)
    symptom: Symptom | None = None
    changes: tuple[ChangeEvent, ...] = ()
    changes_recorded: bool = False
    priors: Mapping[str, float] = field(default_factory=dict)
    ranker: RootCauseRanker | None = None
    requests: RequestWindow | None = None
    texts: Mapping[tuple[str, str], SignalText] = field(default_factory=dict)

    @classmethod
    def around(
        cls,
        grid: SeriesGrid,
        graph: ServiceGraph,
        made_at: datetime,
        alerted: Mapping[str, datetime],
        config: WindowConfig | None = None,
    ) -> Self:
        """Return the inputs of an incident from one grid that holds calm time and incident; add the rest with `replace`."""
        chosen = config or WindowConfig()
        start = min(alerted.values(), default=made_at) - timedelta(seconds=chosen.lead_s)
        early = start - timedelta(seconds=chosen.before_s)
        cuts = (early - timedelta(seconds=chosen.calm_s), early, start, made_at)
        calm_us, early_us, start_us, made_us = map(microseconds_of, cuts)
        before = grid.between(early_us, start_us) if chosen.before_s else None
        return cls(made_at, grid.between(start_us, made_us + 1), grid.between(calm_us, early_us), graph, before, alerted)


def step_s(grid: SeriesGrid) -> float:
    """Return the usual distance of a grid's steps in seconds; NaN below two steps."""
    return float(np.median(np.diff(grid.time_us))) / 1e6 if grid.time_us.size > 1 else float("nan")
