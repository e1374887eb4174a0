"""What is noted of minutes for people: how far they are made, and of how many series."""

from dataclasses import replace

from serving.signal_minutes.partition_minutes import Closed, PartitionMinutes, PartitionRules
from serving.signal_minutes.progress_notes import MinuteProgress
from serving.signal_minutes.tenant_minutes import MinuteRules
from tests.testing.minute_double import makers
from tests.testing.signal_lines import SECOND_US, line_entry, minute

RULES = PartitionRules(MinuteRules(lateness_us=20 * SECOND_US, idle_us=30 * SECOND_US))


def test_progress_says_how_far_minutes_are_made_and_of_how_many_series() -> None:
    minutes = PartitionMinutes(RULES, makers())
    assert minutes.progress() == {}
    minutes.apply(line_entry(1, [(minute(0), "cart", "a"), (minute(0), "pay", "a")]), Closed())
    assert minutes.progress() == {"default": MinuteProgress(minute(0), minute(0) - 60 * SECOND_US, 0)}
    minutes.apply(line_entry(2, [(minute(1) + 20 * SECOND_US, "cart", "a")]), Closed())
    assert minutes.progress() == {"default": MinuteProgress(minute(1) + 20 * SECOND_US, minute(1), 2)}
    minutes.apply(line_entry(3, [(minute(2) + 20 * SECOND_US, "cart", "a")]), Closed())
    assert minutes.progress()["default"].series == 1


def test_a_sender_whose_clock_is_ahead_makes_no_minute() -> None:
    minutes = PartitionMinutes(RULES, makers())
    minutes.apply(replace(line_entry(1, [(minute(9), "cart", "a")]), available_us=minute(1)), Closed())
    progress = minutes.progress()["default"]
    assert (progress.newest_us, progress.made_us) == (minute(9), minute(0))
