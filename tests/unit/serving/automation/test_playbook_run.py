"""What the events of a playbook's run come to."""

from typing import Any

import pytest

from aiops.errors import Unavailable
from serving.automation.actions.playbook_run import PlaybookEnd, end_of


def event(kind: str, task: str, stdout: str = "", **result: Any) -> dict[str, Any]:
    return {"event": kind, "stdout": stdout, "event_data": {"host": "web-1", "task": task, "res": result}}


def stats(changed: int, skipped: int) -> dict[str, Any]:
    counts = {"changed": {"web-1": changed} if changed else {}, "skipped": {"web-1": skipped} if skipped else {}}
    return {"event": "playbook_on_stats", "event_data": counts}


EVENTS = [
    {"event": "verbose", "stdout": "Using no config file"},
    event("runner_on_ok", "second", changed=True),
    event("runner_on_ok", "first", changed=True),
    event("runner_on_ok", "third", changed=False),
    event("runner_on_skipped", "fourth", "skipping: Conditional result was False"),
    event("runner_on_skipped", "fifth", "skipping: Command would have run if not in check mode"),
    stats(2, 2),
]


def test_changes_are_named_by_host_and_task() -> None:
    changed = ("web-1: first", "web-1: second")
    assert end_of(0, EVENTS, "") == PlaybookEnd(0, changed, unchecked=("web-1: fifth",))


@pytest.mark.parametrize("lost", [1, 5, 6])
def test_a_run_whose_events_were_lost_in_part_says_nothing(lost: int) -> None:
    with pytest.raises(Unavailable, match="not all events"):
        end_of(0, [*EVENTS[:lost], *EVENTS[lost + 1 :]], "")


def test_an_event_without_what_it_says_is_a_lost_one() -> None:
    hollow = {"event": "runner_on_ok", "stdout": "changed: [web-1]", "event_data": {}}
    with pytest.raises(Unavailable, match="not all events"):
        end_of(0, [hollow, *EVENTS[2:]], "")


def test_a_failed_run_says_where_it_failed() -> None:
    end = end_of(2, [event("runner_on_failed", "sixth", msg="hidden")], "last line")
    assert (end.status, end.failed, end.said) == (2, ("web-1: sixth",), "last line")
