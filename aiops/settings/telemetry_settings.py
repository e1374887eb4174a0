"""Settings of the telemetry contract and the lake."""

from pydantic import Field

from aiops.settings.section import Section


class TelemetrySettings(Section):
    """The telemetry contract and the lake."""

    step_s: int = Field(60, ge=1, le=3600, description="seconds between feature ticks")
    lateness_s: int = Field(30, ge=0, le=3600, description="how long a tick waits for late points, in event time")
    future_tolerance_s: int = Field(300, ge=0, description="points further in the future are rejected")
    retention_days: int = Field(30, ge=1, description="days of telemetry, features and served rows kept in the lake")
    signals_retention_days: int = Field(7, ge=1, description="days of logs, spans and exemplars kept in the lake")
    window_points: int = Field(240, ge=16, le=4096, description="newest points a series keeps for its 1 h window (memory bound)")
    warmup_s: int = Field(
        600, ge=0, le=86_400, description="a series is scored once it has 15 points, and has had points for as long as this"
    )
    max_series: int = Field(100_000, ge=1, description="series of a tenant that a partition tracks; points of more are rejected")
    silent_intervals: float = Field(5.0, ge=2, description="a source is silent after so many of its own intervals")
    silent_least_s: int = Field(60, ge=10, description="and after so many seconds")
    max_tenants: int = Field(32, ge=1, description="tenants a partition tracks, each with max_series; rows of more are rejected")
    tenant_idle_h: float = Field(
        48.0, ge=1, description="hours without anything after which a tenant gives its place to a new one"
    )
