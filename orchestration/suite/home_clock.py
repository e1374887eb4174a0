"""By which clock a home goes: the wall's, or that of a source that was published faster. The two do not mix."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aiops.errors import ConfigurationError
from orchestration.pipeline.timeline import FILE, Timeline

AHEAD: Final = timedelta(minutes=5)
"""A source that is published so far ahead of the wall's clock goes by its own time."""
OF_A_CLOCK: Final = ("lake", "broker", "consumer", "incidents", FILE)
"""What below home holds times: telemetry, streams, checkpoints, incidents and how far the source was published."""


def check_clock(home: Path, speed: float, now: datetime) -> None:
    """Check that live use does not go on where a faster source ran ahead of the clock; that source itself may.

    Raises:
        ConfigurationError: the telemetry of the home lies in the future; the message says what can be done.
    """
    timeline = Timeline.load(home)
    if speed != 1.0 or timeline is None or timeline.newest <= now + AHEAD:
        return
    ahead_h = (timeline.newest - now) / timedelta(hours=1)
    raise ConfigurationError(
        f"AIOPS_HOME {home}: its telemetry has come to {timeline.newest:%Y-%m-%d %H:%M} UTC, {ahead_h:.1f} h ahead of the clock, "
        "since it was published faster; start with --reset-clock (all but models is set aside), go on with --speed above 1, "
        "wait until then, or give another AIOPS_HOME"
    )


def reset_clock(home: Path, now: datetime) -> Path | None:
    """Set aside all that holds times; return the folder where it lies now, None where there was nothing."""
    there = [name for name in OF_A_CLOCK if (home / name).exists()]
    if not there:
        return None
    aside = home / "set-aside" / now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside.mkdir(mode=0o700, parents=True)
    for name in there:
        (home / name).rename(aside / name)
    return aside
