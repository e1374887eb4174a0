"""What to simulate: one frozen config, checked when it is built."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from aiops.errors import ConfigurationError

BuildupKind = Literal["memory_leak", "connection_exhaustion", "disk_fill"]
SuddenKind = Literal["slow_dependency", "traffic_surge", "bad_deployment"]
IncidentKind = Literal["memory_leak", "connection_exhaustion", "disk_fill", "slow_dependency", "traffic_surge", "bad_deployment"]
DriftKind = Literal["level", "spread", "season"]

BUILDUP_KINDS: Final[tuple[BuildupKind, ...]] = get_args(BuildupKind)
SUDDEN_KINDS: Final[tuple[SuddenKind, ...]] = get_args(SuddenKind)
INCIDENT_KINDS: Final[tuple[IncidentKind, ...]] = (*BUILDUP_KINDS, *SUDDEN_KINDS)
"""Kinds that metrics show."""
GrayKind = Literal["skipped_step", "handled_exception", "stopped_job", "slow_network", "wrong_parameter"]
GRAY_KINDS: Final[tuple[GrayKind, ...]] = get_args(GrayKind)
"""Kinds that only log lines and spans show (gray failures: Huang et al., HotOS 2017)."""
DRIFT_KINDS: Final[tuple[DriftKind, ...]] = get_args(DriftKind)

DirtyKind = Literal["nan", "infinite", "out_of_range", "future_timestamp", "duplicate", "empty_name"]
DIRTY_KINDS: Final[tuple[DirtyKind, ...]] = get_args(DirtyKind)
"""Ways in which a row can be bad."""

MIN_SERVICES: Final = 3
MAX_SERVICES: Final = 50
MAX_STEPS: Final = 50_000_000


def _require(holds: bool, field: str, value: object, rule: str) -> None:
    if not holds:
        raise ConfigurationError(f"simulation: {field}={value!r} cannot be used: it must be {rule}. Change {field}.")


def _is_between(value: float, low: float, high: float) -> bool:
    return math.isfinite(value) and low <= value <= high


@dataclass(frozen=True, slots=True)
class ScriptedIncident:
    """One incident that is to happen for certain, next to (or instead of) the random ones.

    `kind` is one of INCIDENT_KINDS or GRAY_KINDS.
    `start_min` is its `starts_at` in minutes after the start of the simulation. `service` None draws the root service;
    `buildup_min` and `duration_min` None draw the kind's usual length; sudden kinds have no build-up.
    """

    kind: IncidentKind | GrayKind
    start_min: float
    service: str | None = None
    buildup_min: float | None = None
    duration_min: float | None = None

    def __post_init__(self) -> None:
        kinds = (*INCIDENT_KINDS, *GRAY_KINDS)
        _require(self.kind in kinds, "scripted.kind", self.kind, f"one of {', '.join(kinds)}")
        _require(_is_between(self.start_min, 0, math.inf), "scripted.start_min", self.start_min, "0 or more minutes")
        if self.buildup_min is not None:
            _require(
                self.kind in BUILDUP_KINDS,
                "scripted.buildup_min",
                self.buildup_min,
                f"None for {self.kind}, which strikes at once",
            )
            _require(_is_between(self.buildup_min, 1, 1440), "scripted.buildup_min", self.buildup_min, "1 to 1440 minutes")
        if self.duration_min is not None:
            _require(_is_between(self.duration_min, 1, 1440), "scripted.duration_min", self.duration_min, "1 to 1440 minutes")


@dataclass(frozen=True, slots=True)
class DriftSpec:
    """A lasting change of what is normal, for `share` of the services, complete `ramp_min` after `start_h`.

    `magnitude`, by kind: level = relative change of latency (traffic, cpu and memory move with it, less), spread = relative
    growth of the noise, season = 1 moves the daily peak by 6 h and makes the season half as strong again.
    """

    kind: DriftKind
    start_h: float
    magnitude: float = 0.5
    share: float = 0.5
    ramp_min: float = 60.0

    def __post_init__(self) -> None:
        _require(self.kind in DRIFT_KINDS, "drift.kind", self.kind, f"one of {', '.join(DRIFT_KINDS)}")
        _require(_is_between(self.start_h, 0, math.inf), "drift.start_h", self.start_h, "0 or more hours")
        _require(
            _is_between(self.magnitude, -0.9, 10) and self.magnitude != 0,
            "drift.magnitude",
            self.magnitude,
            "in -0.9..10 and not 0",
        )
        _require(_is_between(self.share, 0, 1) and self.share > 0, "drift.share", self.share, "above 0 and at most 1")
        _require(_is_between(self.ramp_min, 0, 100_000), "drift.ramp_min", self.ramp_min, "0 or more minutes")


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """What to simulate. The same config gives the same bytes; rates are those of the whole application.

    `applications` splits the services into that many unconnected call graphs. `incidents_per_day` is reached on average as
    long as it leaves room for `spacing_min` of quiet between incidents. `buildup_share` is the share of incidents that can be
    foreseen. `decoys_per_day`: build-ups that revert, spikes, bumps of traffic: harmless and unlabelled. `gap_share`: share of
    points missing in stretches of single series. `dirty_share`: bad rows emitted in addition, per good row, each
    kind of `dirty_kinds` with the same chance. `chunk_h`: most hours of a table from `telemetry()`; it changes nothing else.
    `gray_per_day`: incidents of GRAY_KINDS, clear of all others; they change no metric. `traces_per_min`: traces that each
    application's entry keeps on average (head sampling: the share of its requests that this is); `lines_per_request`: most
    steps that an operation writes a line for. Neither changes a metric.
    """

    seed: int = 7
    services: int = 12
    start: datetime = datetime(2025, 3, 3, tzinfo=UTC)
    hours: float = 240.0
    step_s: int = 60
    incidents_per_day: float = 4.0
    buildup_share: float = 0.65
    spacing_min: float = 45.0
    scripted: tuple[ScriptedIncident, ...] = ()
    drift: DriftSpec | None = None
    deployments_per_day: float = 2.0
    decoys_per_day: float = 3.0
    gap_share: float = 0.002
    dirty_share: float = 0.0
    dirty_kinds: tuple[DirtyKind, ...] = DIRTY_KINDS
    applications: int = 1
    chunk_h: float = 6.0
    gray_per_day: float = 0.0
    traces_per_min: float = 12.0
    lines_per_request: int = 3

    def __post_init__(self) -> None:
        self._check_extent()
        self._check_rates()
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        for scripted in self.scripted:
            inside = scripted.start_min < self.hours * 60
            _require(
                inside, "scripted.start_min", scripted.start_min, f"before the end of the simulation ({self.hours * 60:g} min)"
            )
        if self.drift is not None:
            inside = self.drift.start_h < self.hours
            _require(inside, "drift.start_h", self.drift.start_h, f"before the end of the simulation ({self.hours:g} h)")

    def _check_extent(self) -> None:
        _require(0 <= self.seed < 2**64, "seed", self.seed, "0 or more and below 2**64")
        allowed = f"{MIN_SERVICES} to {MAX_SERVICES}"
        _require(MIN_SERVICES <= self.services <= MAX_SERVICES, "services", self.services, allowed)
        most = self.services // MIN_SERVICES
        _require(
            1 <= self.applications <= most, "applications", self.applications, f"1 to {most}: each needs {MIN_SERVICES} services"
        )
        aware = self.start.tzinfo is not None and self.start.utcoffset() is not None
        _require(aware, "start", self.start, "an aware time, e.g. datetime(2025, 3, 3, tzinfo=UTC)")
        _require(1 <= self.step_s <= 3600, "step_s", self.step_s, "1 to 3600 seconds")
        enough = math.isfinite(self.hours) and self.hours * 3600 >= self.step_s and self.hours * 3600 / self.step_s <= MAX_STEPS
        _require(enough, "hours", self.hours, f"at least one step and at most {MAX_STEPS} steps of {self.step_s} s")
        _require(_is_between(self.chunk_h * 3600, self.step_s, math.inf), "chunk_h", self.chunk_h, "at least one step long")

    def _check_rates(self) -> None:
        _require(
            _is_between(self.incidents_per_day, 0, 12),
            "incidents_per_day",
            self.incidents_per_day,
            "0 to 12: one happens at a time",
        )
        _require(_is_between(self.buildup_share, 0, 1), "buildup_share", self.buildup_share, "0 to 1")
        _require(_is_between(self.spacing_min, 5, 10_000), "spacing_min", self.spacing_min, "5 or more minutes")
        _require(_is_between(self.deployments_per_day, 0, 1000), "deployments_per_day", self.deployments_per_day, "0 to 1000")
        _require(_is_between(self.decoys_per_day, 0, 1000), "decoys_per_day", self.decoys_per_day, "0 to 1000")
        _require(_is_between(self.gray_per_day, 0, 12), "gray_per_day", self.gray_per_day, "0 to 12: one happens at a time")
        _require(_is_between(self.traces_per_min, 0, 10_000), "traces_per_min", self.traces_per_min, "0 to 10000")
        _require(0 <= self.lines_per_request <= 8, "lines_per_request", self.lines_per_request, "0 to 8")
        _require(_is_between(self.gap_share, 0, 0.9), "gap_share", self.gap_share, "0 to 0.9")
        _require(_is_between(self.dirty_share, 0, 0.9), "dirty_share", self.dirty_share, "0 to 0.9")
        known = len(self.dirty_kinds) > 0 and set(self.dirty_kinds) <= set(DIRTY_KINDS)
        _require(known, "dirty_kinds", self.dirty_kinds, f"one or more of {', '.join(DIRTY_KINDS)}")

    @property
    def steps(self) -> int:
        """Return the number of ticks: tick i is at `start + i * step_s`, all before `start + hours`."""
        return math.ceil(round(self.hours * 3600 / self.step_s, 6))

    @property
    def length_s(self) -> float:
        """Return the simulated time in seconds."""
        return float(self.steps * self.step_s)
