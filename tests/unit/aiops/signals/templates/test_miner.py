"""The miner: ids at a line and afterwards, evolution, refusal, values, and bounds."""

import numpy as np
import pytest

from aiops.signals.templates.evolution import MOST_EVENTS, MOST_SUCCESSORS, Change, Event, Evolution
from aiops.signals.templates.fitness import FitRules, Unfit
from aiops.signals.templates.held_shapes import Capacity
from aiops.signals.templates.miner import MinerRules, TemplateMiner
from aiops.signals.templates.shapes import MergeRules
from aiops.signals.templates.values import values_of
from tests.testing.log_lines import USERS, arrow, mined, observe, template_of


def sessions(count: int) -> list[str]:
    return [f"session {row} opened for user {USERS[row % len(USERS)]}" for row in range(count)]


def test_a_line_keeps_its_shape_and_its_template_is_asked_afterwards() -> None:
    miner = TemplateMiner()
    seen = observe(miner, sessions(6))
    assert len(set(seen.templates.tolist())) == 6, "each user stands alone so far"
    miner.settle(100)
    assert len(set(miner.resolve(seen.shapes).tolist())) == 1
    assert miner.resolve(seen.templates).tolist() == miner.resolve(seen.shapes).tolist()
    later = observe(miner, ["session 9 opened for user zoe"], 200)
    assert later.templates[0] == miner.resolve(seen.shapes)[0], "a word never seen is known to be a value"
    assert template_of(sessions(6)) == ["session <*> opened for user <*>"] * 6


def test_an_id_that_is_not_known_leads_to_itself() -> None:
    assert mined(sessions(3)).resolve(np.array([7, 7, 9], np.uint64)).tolist() == [7, 7, 9]


def test_evolution_is_recorded_with_event_times() -> None:
    rules = MinerRules(MergeRules(closed_lines=40))
    lines = [f"engine {name} of the ship runs" for name in USERS[:7]]
    miner = TemplateMiner(rules)
    observe(miner, lines[:3], 10)
    miner.settle(20)
    observe(miner, lines[3:], 30)
    miner.settle(40)
    together = int(miner.resolve(observe(miner, lines[:1], 50).shapes)[0])
    events = miner.evolution.events
    assert [(event.change, event.at_s) for event in events[:3]] == [(Change.BORN, 10), (Change.BORN, 11), (Change.BORN, 12)]
    assert Event(Change.BORN, together, 10) in events
    assert {event.into for event in events if event.change == Change.MERGED} == {(together,)}
    assert sum(event.change == Change.MERGED and event.at_s == 40 for event in events) == 3
    observe(miner, lines * 40, 60)
    miner.settle(400)
    split = [event for event in miner.evolution.events if event.change == Change.SPLIT]
    assert [(event.template_id, len(event.into)) for event in split] == [(together, 7)]


def test_old_events_and_successors_are_dropped_and_counted() -> None:
    evolution = Evolution()
    many = MOST_EVENTS + 10
    evolution.note([], {row: row for row in range(many)}, {}, 5)
    assert (len(evolution.events), evolution.dropped) == (MOST_EVENTS, 10)
    evolution.succeed({row: row + 10**6 for row in range(MOST_SUCCESSORS + 5)})
    assert len(evolution.successors) == MOST_SUCCESSORS
    assert (evolution.resolve(0), evolution.resolve(5)) == (0, 10**6 + 5)


def prose(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, 6)) for _ in range(400)]
    return [" ".join(rng.choice(words, rng.integers(5, 15))) for _ in range(count)]


def test_free_prose_is_refused_with_figure_and_rule() -> None:
    miner = TemplateMiner()
    first = observe(miner, prose(999))
    assert first.unfit is None, "it is not judged in warm-up"
    second = observe(miner, prose(1500)[999:], 999)
    assert isinstance(second.unfit, Unfit)
    assert (
        str(second.unfit)
        == "refused after 1000 lines: the share of lines that are alone in their template is 1.00, the limit is 0.50"
    )
    assert (second.shapes[:1] > 0).all()
    assert not second.shapes[1:].any()
    assert observe(miner, sessions(3)).unfit is second.unfit


def test_binary_data_is_refused() -> None:
    miner = TemplateMiner(MinerRules(fit=FitRules(warm_up_lines=900)))
    unfit = observe(miner, ["same \x01\x02 line"] * 1000).unfit
    assert unfit is not None
    assert unfit.rule == "the share of control bytes"
    assert unfit.figure == pytest.approx(2 / 12)


def test_logs_are_not_refused() -> None:
    assert mined(sessions(3000)).unfit is None
    assert mined(["the same line"] * 3000).unfit is None


def test_memory_is_bounded_and_what_was_forgotten_is_counted() -> None:
    rules = MinerRules(fit=FitRules(alone_share=1.0), capacity=Capacity(shapes=128))
    miner = mined(prose(4000), rules)
    assert len(miner.held.shapes) <= 128
    assert miner.held.forgotten > 3000


def test_a_template_keeps_so_many_shapes_and_counts_the_other_lines() -> None:
    rules = MinerRules(capacity=Capacity(shapes_of_template=16))
    letters = "abcdefghijklmnopqrstuvwxyz"
    lines = [f"session opened for user {first}{second}q" for first in letters for second in letters]
    miner = mined(lines, rules)
    assert len(miner.held.shapes) < 100
    assert sum(shape.lines for shape in miner.held.shapes) == len(lines)
    assert len(miner.held.templates.templates) == 1


def test_values_are_given_with_their_places() -> None:
    miner = mined(sessions(24))
    lines = ["session 77 opened for user zoe", "unrelated", "session 7 opened for user anna"]
    values = values_of(arrow(lines), miner)
    texts = [
        lines[row].encode()[start:end].decode() for row, start, end in zip(values.line, values.starts, values.ends, strict=True)
    ]
    assert texts == ["77", "zoe", "7", "anna"]
    assert values.line.tolist() == [0, 0, 2, 2]
    assert values.ordinal.tolist() == [0, 1, 0, 1]
    again = values_of(arrow(["session 77 opened for user anna"]), miner)
    assert again.hashes.tolist() == [values.hashes[0], values.hashes[3]]
    assert values_of(arrow([]), miner).line.size == 0
