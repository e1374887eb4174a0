"""By whose clock the responder of `aiops up` goes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiops.settings import Settings
from orchestration.loop.bootstrap import paced
from orchestration.pipeline.timeline import Timeline

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_at_real_time_it_goes_by_the_wall(tmp_path: Path) -> None:
    assert paced(Settings(home=tmp_path), 1.0, NOW).responder.clock == "wall"


def test_a_faster_or_slower_story_is_judged_by_its_own_time(tmp_path: Path) -> None:
    fast = paced(Settings(home=tmp_path), 60.0, NOW).responder
    assert (fast.clock, fast.settle_s) == ("event", 120.0), "as much wall time to settle as at speed 1"
    slow = paced(Settings(home=tmp_path), 0.5, NOW).responder
    assert (slow.clock, slow.settle_s) == ("event", 2.0)


def test_a_story_that_ran_ahead_before_is_judged_by_its_own_time(tmp_path: Path) -> None:
    Timeline("simulate", NOW, NOW, NOW + timedelta(hours=3)).save(tmp_path)
    assert paced(Settings(home=tmp_path), 1.0, NOW).responder.clock == "event"
    assert paced(Settings(home=tmp_path), 1.0, NOW + timedelta(hours=3)).responder.clock == "wall"
