"""Configuration of the engine of a partition."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiops.errors import ConfigurationError
from aiops.features.series_state import EngineParameters

if TYPE_CHECKING:
    from aiops.settings.telemetry_settings import TelemetrySettings

SECOND_US: Final = 1_000_000
NEVER: Final = -(2**62)
"""A tick before all others: nothing is closed yet."""
MOST_OPEN_TICKS: Final = 64


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Configuration of an engine; a snapshot is only valid for the configuration that made it.

    Raises:
        ConfigurationError: a field is out of range.
    """

    step_s: int = 60
    lateness_s: int = 30
    window_points: int = 240
    max_series: int = 100_000
    warmup_points: int = 15
    alpha: float = 0.05
    warmup_s: int = 600
    """A series is scored once it has `warmup_points` points, and ticks with points of it have closed for as long as this."""

    def __post_init__(self) -> None:
        """Check every field."""
        self._require("step_s", 1 <= self.step_s <= 3600, "be in 1..3600")
        self._require("lateness_s", 0 <= self.lateness_s <= MOST_OPEN_TICKS * self.step_s, f"be in 0..{MOST_OPEN_TICKS} steps")
        self._require("window_points", 16 <= self.window_points <= 4096, "be in 16..4096")
        self._require("max_series", 1 <= self.max_series < 2**30, "be in 1..2**30")
        self._require("warmup_points", self.warmup_points >= 2, "be 2 or more")
        self._require("warmup_s", 0 <= self.warmup_s <= 86_400, "be in 0..86400")
        self._require("alpha", 0.0 < self.alpha < 1.0, "lie between 0 and 1")

    @classmethod
    def of(cls, telemetry: "TelemetrySettings") -> "EngineConfig":
        """Return the configuration of the settings: stream and backfill must not differ in it."""
        limits = (telemetry.step_s, telemetry.lateness_s, telemetry.window_points, telemetry.max_series)
        return cls(*limits, warmup_s=telemetry.warmup_s)

    def parameters(self) -> EngineParameters:
        """Return the numbers that kernels read."""
        return EngineParameters(
            self.step_s * SECOND_US,
            self.lateness_s * SECOND_US,
            self.window_points,
            self.max_series,
            self.warmup_points,
            self.alpha,
            max(1, -(-self.warmup_s // self.step_s)),
        )

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ConfigurationError(f"EngineConfig.{name}={getattr(self, name)}: must {rule}; correct the setting of that name")
