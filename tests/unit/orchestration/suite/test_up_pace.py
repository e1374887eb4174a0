"""By whose clock the responder of `aiops up` goes, and that a story that ran ahead of the clock does not mix with live use."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from orchestration.pipeline.telemetry_step import fitted_settings, live_settings
from orchestration.pipeline.timeline import Timeline
from orchestration.suite.bootstrap import paced, source_step_s
from orchestration.suite.home_clock import check_clock, reset_clock
from orchestration.workspace.source_choice import SourceChoice

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_at_real_time_it_goes_by_the_wall(tmp_path: Path) -> None:
    assert paced(Settings(home=tmp_path), 1.0).responder.clock == "wall"


def test_a_faster_or_slower_story_is_judged_by_its_own_time(tmp_path: Path) -> None:
    fast = paced(Settings(home=tmp_path), 60.0).responder
    assert (fast.clock, fast.settle_s, fast.page_settle_s) == ("event", 120.0, 180.0), "as much wall time as at speed 1"
    slow = paced(Settings(home=tmp_path), 0.5).responder
    assert (slow.clock, slow.settle_s) == ("event", 2.0)


def test_live_use_is_refused_where_a_story_ran_ahead_of_the_clock(tmp_path: Path) -> None:
    check_clock(tmp_path, 1.0, NOW)
    Timeline("simulate", NOW, NOW, NOW + timedelta(hours=10)).save(tmp_path)
    with pytest.raises(ConfigurationError, match=r"come to 2026-03-01 22:00 UTC, 10\.0 h ahead .* --reset-clock"):
        check_clock(tmp_path, 1.0, NOW)
    check_clock(tmp_path, 60.0, NOW)
    check_clock(tmp_path, 1.0, NOW + timedelta(hours=10))


def test_a_reset_sets_aside_what_holds_times_and_leaves_models(tmp_path: Path) -> None:
    Timeline("simulate", NOW, NOW, NOW + timedelta(hours=10)).save(tmp_path)
    for name in ("lake", "broker", "consumer", "incidents", "models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kept").write_text(name)
    aside = reset_clock(tmp_path, NOW)
    assert aside is not None
    assert sorted(path.name for path in aside.iterdir()) == ["broker", "consumer", "feed.json", "incidents", "lake"]
    assert (aside / "lake" / "kept").read_text() == "lake"
    assert (tmp_path / "models" / "kept").exists()
    check_clock(tmp_path, 1.0, NOW)
    assert reset_clock(tmp_path, NOW) is None


def test_ticks_of_a_live_source_are_short_enough_for_an_alert_within_a_minute(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    listened, followed = live_settings(settings, listens=True), live_settings(settings, listens=False)
    assert (listened.telemetry.step_s, listened.telemetry.lateness_s) == (30, 10)
    assert (followed.telemetry.step_s, followed.telemetry.lateness_s) == (60, 10), "its step is that of its queries"
    assert fitted_settings(listened, 30).consumer.predict_every_s % 30 == 0


def test_what_the_user_set_for_a_live_source_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_TELEMETRY__STEP_S", "60")
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    kept = live_settings(read_settings(), listens=True).telemetry
    assert (kept.step_s, kept.lateness_s) == (60, 10)
    monkeypatch.setenv("AIOPS_TELEMETRY__LATENESS_S", "30")
    assert live_settings(read_settings(), listens=True).telemetry.lateness_s == 30, "the default, but said"


def test_what_is_live_goes_at_the_pace_of_the_clock_and_what_only_listens_by_settings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    followed = SourceChoice("prometheus", None, ("url=http://127.0.0.1:9", "step_s=15"))
    assert source_step_s(settings, followed, 1.0) == 15, "known without asking the server"
    assert source_step_s(settings, SourceChoice("otlp", None), 1.0) == settings.telemetry.step_s
    for choice in (followed, SourceChoice("remote-write", None)):
        with pytest.raises(ConfigurationError, match="is live, it goes at the pace of the clock"):
            source_step_s(settings, choice, 60.0)
    with pytest.raises(ConfigurationError, match="it takes no --path and no --set"):
        source_step_s(settings, SourceChoice("otlp", None, ("step_s=15",)), 1.0)
