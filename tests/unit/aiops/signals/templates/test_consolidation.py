"""Which shapes are one template, and what decides it."""

import pytest

from aiops.signals.templates.consolidation import consolidate
from aiops.signals.templates.shapes import MergeRules
from tests.testing.log_lines import USERS, shapes_in, template_of


def templates(*lines: str, rules: MergeRules | None = None) -> set[str]:
    return {shape.text() for shape in consolidate(shapes_in(lines), rules or MergeRules()).templates}


def test_many_words_in_one_place_are_a_value_and_few_are_not() -> None:
    lines = [f"worker {name} took the next job" for name in USERS]
    assert templates(*lines[:5]) == set(lines[:5])
    assert templates(*lines[:6]) == {"worker <*> took the next job"}


def test_fewer_are_enough_after_a_word_that_announces_a_value() -> None:
    lines = [f"session opened for user {name}" for name in USERS]
    assert templates(*lines[:2]) == set(lines[:2])
    assert templates(*lines[:3]) == {"session opened for user <*>"}
    assert templates("a very long name = anna", "a very long name = boris") == {"a very long name = <*>"}


def test_words_that_look_like_parts_of_the_message_stay() -> None:
    verbs = [
        f"the virtual machine was {verb} again"
        for verb in ("started", "paused", "resumed", "stopped", "deleted", "created", "moved")
    ]
    states = [f"the state is {state} right now" for state in ("NEW", "READY", "RUNNING", "DONE", "FAILED", "KILLED", "LOST")]
    assert templates(*verbs, *states) == {*verbs, *states}


def test_a_closed_set_of_frequent_words_stays() -> None:
    shapes = shapes_in([f"engine {name} of the ship runs" for name in USERS[:7]])
    assert len(consolidate(shapes, MergeRules()).templates) == 1
    for shape in shapes:
        shape.lines = 500
    assert len(consolidate(shapes, MergeRules()).templates) == 7
    shapes[0].lines = 499
    assert len(consolidate(shapes, MergeRules()).templates) == 1


def test_little_that_is_constant_asks_for_more_words() -> None:
    assert len(templates(*(f"{name} startup succeeded" for name in USERS[:11]))) == 11
    assert len(templates(*(f"{name} startup succeeded" for name in USERS))) == 1
    assert len(templates(*USERS)) == len(USERS), "words alone are never one template"


def test_values_in_several_places_are_one_template() -> None:
    lines = [f"user {user} entered the room {room} alone" for user in USERS for room in USERS if user != room]
    assert templates(*lines) == {"user <*> entered the room <*> alone"}
    assert templates("copy blk_1 next to a_job_1 now", "copy node_1 next to disk_1 now") == {"copy <*> next to <*> now"}


def test_a_shape_that_fits_a_template_in_two_places_joins_it() -> None:
    lines = [f"user {user} entered the room {room} alone" for user in USERS[:6] for room in USERS[:6]]
    assert templates(*lines, "user zoe entered the room yellow alone") == {"user <*> entered the room <*> alone"}


def test_a_word_that_is_a_value_elsewhere_is_one_here() -> None:
    lines = [f"the session of {name} was opened again" for name in USERS]
    few = ["too many failures for anna today", "too many failures for boris today"]
    assert templates(*few) == set(few)
    assert templates(*lines, *few) == {"the session of <*> was opened again", "too many failures for <*> today"}


def test_many_pairs_of_rare_words_are_values() -> None:
    letters = "bcdfghjklmnp"
    lines = [f"user {first}ol entered the room {first}um alone today" for first in letters]
    assert templates(*lines[:-1]) == set(lines[:-1])
    assert templates(*lines) == {"user <*> entered the room <*> alone today"}


def test_the_message_of_a_line_of_keys_is_no_value() -> None:
    lines = [
        "ts=1 level=info msg=opened the big file",
        "ts=1 level=info msg=shut the big file",
        "ts=1 level=warn msg=shut the big file",
    ]
    assert len(templates(*lines)) == 3


def test_a_template_in_normal_form_joins_others() -> None:
    lines = [f"{name}:8080 was closed by the remote side" for name in USERS]
    assert templates(*lines, "10.0.0.1:80 was closed by the remote side") == {"<*> was closed by the remote side"}


def test_the_order_of_shapes_changes_nothing() -> None:
    lines = [
        f"user {user} entered room {room} via {door}"
        for user in USERS[:5]
        for room in USERS[:4]
        for door in ("left", "right", "front")
    ]
    shapes = shapes_in(list(dict.fromkeys(lines)))
    forward, backward = consolidate(shapes, MergeRules()), consolidate(shapes[::-1], MergeRules())
    assert [shape.shape_id for shape in forward.templates] == [shape.shape_id for shape in backward.templates]
    assert forward.template_of.tolist() == backward.template_of[::-1].tolist()
    assert sum(shape.lines for shape in forward.templates) == len(shapes)
    assert consolidate([], MergeRules()).templates == []


@pytest.mark.parametrize("lines", [["IPv4 address is set", "IPv6 address is set"], ["GET of the list", "PUT of the list"]])
def test_two_of_a_kind_stay_two(lines: list[str]) -> None:
    assert template_of(lines) == lines
