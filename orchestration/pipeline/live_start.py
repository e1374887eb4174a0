"""From when on a followed source is live: what lies before is its history, which is learned from; kept below home."""

from datetime import UTC, datetime
from pathlib import Path

from orchestration.pipeline.producer_names import naming
from orchestration.pipeline.timeline import Timeline, without_secrets
from orchestration.workspace.source_choice import SourceChoice


def kept_start(home: Path, choice: SourceChoice) -> datetime | None:
    """Return the moment that was kept for this source, None where its history has not been taken yet."""
    kept = Timeline.load(home)
    return kept.origin if kept is not None and kept.source == _named(choice) else None


def keep_start(home: Path, choice: SourceChoice, start: datetime) -> None:
    """Keep the moment before which this source's history is taken, and from which on it is followed."""
    Timeline(_named(choice), start, start, start).save(home)


def live_start(home: Path, choice: SourceChoice, step_s: int, now: datetime) -> datetime:
    """Return the moment that was kept for this source, else the last whole step before `now`, which is kept."""
    start = kept_start(home, choice)
    if start is None:
        start = whole_step(now, step_s)
        keep_start(home, choice, start)
    return start


def whole_step(now: datetime, step_s: int) -> datetime:
    """Return the last multiple of `step_s` since 1970 that is not after `now`."""
    return datetime.fromtimestamp(int(now.timestamp()) // step_s * step_s, UTC)


def _named(choice: SourceChoice) -> str:
    return without_secrets(" ".join(naming(choice)))
