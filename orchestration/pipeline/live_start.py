"""From when on a followed source is live: what lies before is its history, which is learned from; kept below home."""

from datetime import UTC, datetime
from pathlib import Path

from orchestration.pipeline.producer_names import naming
from orchestration.pipeline.timeline import Timeline, without_secrets
from orchestration.workspace.source_choice import SourceChoice


def live_start(home: Path, choice: SourceChoice, step_s: int, now: datetime) -> datetime:
    """Return the moment that was kept for this source, else the last whole step before `now`, which is kept."""
    kept, source = Timeline.load(home), without_secrets(" ".join(naming(choice)))
    if kept is not None and kept.source == source:
        return kept.origin
    start = datetime.fromtimestamp(int(now.timestamp()) // step_s * step_s, UTC)
    Timeline(source, start, start, start).save(home)
    return start
