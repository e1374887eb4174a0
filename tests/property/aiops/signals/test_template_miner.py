"""Properties of the miner: batches, restarts and workers change nothing; memory is bounded whatever comes."""

import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import ConfigurationError, OutdatedState, StateError
from aiops.signals.templates.fitness import FitRules
from aiops.signals.templates.held_shapes import Capacity
from aiops.signals.templates.miner import MinerRules, TemplateMiner
from aiops.signals.templates.miner_merge import merged
from aiops.signals.templates.miner_state import MinerState, miner_of, state_of
from tests.testing.log_lines import mined, observe

WORDS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "lambda", "READY", "closed")
TEMPLATES = ("user {} logged in from {}", "{} failed with code {} after {} ms", "state of {} is {}", "queue {} has room", "{} {}")
value = st.one_of(st.sampled_from(WORDS), st.integers(0, 99).map(str), st.sampled_from(("eth0", "eth1", "job_7", "a/b", "")))
line = st.builds(lambda text, values: text.format(*values), st.sampled_from(TEMPLATES), st.tuples(value, value, value))
lines = st.lists(line, max_size=400)
LOOSE = FitRules(alone_share=1.0)


def same(first: MinerState, second: MinerState, *without: str) -> None:
    own, other = dict(first.arrays), dict(second.arrays)
    assert own.keys() == other.keys()
    for name, array in own.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    manifests = [
        {key: text for key, text in json.loads(state.manifest).items() if key not in without} for state in (first, second)
    ]
    assert manifests[0] == manifests[1]


def assignment(miner: TemplateMiner) -> dict[int, int]:
    return miner.held.assignment()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 900), max_size=6), st.booleans())
def test_other_batches_and_restarts_give_the_same(seed: int, cuts: Sequence[int], restarts: bool) -> None:
    rng = np.random.default_rng(seed)
    texts = [
        rng.choice(TEMPLATES).format(
            *(rng.choice(WORDS) + rng.choice(("", "x", "yz")) if rng.random() < 0.7 else rng.integers(99) for _ in range(3))
        )
        for _ in range(1200)
    ]
    rules = MinerRules(fit=LOOSE, capacity=Capacity(shapes=256, shapes_of_template=8))
    whole = TemplateMiner(rules)
    expected = observe(whole, texts)
    split = TemplateMiner(rules)
    bounds = [0, *sorted(cuts), len(texts)]
    parts = []
    for start, end in pairwise(bounds):
        parts.append(observe(split, texts[start:end], start))
        if restarts:
            state = state_of(split)
            split = miner_of(MinerState({name: array.copy() for name, array in state.arrays.items()}, state.manifest))
    np.testing.assert_array_equal(np.concatenate([part.shapes for part in parts]), expected.shapes)
    np.testing.assert_array_equal(np.concatenate([part.templates for part in parts]), expected.templates)
    same(state_of(split), state_of(whole))
    assert len(whole.held.shapes) <= 256


@settings(deadline=None, max_examples=40)
@given(lines, lines, lines)
def test_the_order_of_merging_changes_nothing(first: list[str], second: list[str], third: list[str]) -> None:
    a, b, c = (mined(texts, MinerRules(fit=LOOSE), 1000 * row) for row, texts in enumerate((first, second, third)))
    before = state_of(a)
    same(state_of(merged(a, b)), state_of(merged(b, a)))
    left, right = merged(merged(a, b), c), merged(a, merged(b, c))
    assert assignment(left) == assignment(right)
    assert [shape.lines for shape in left.held.shapes] == [shape.lines for shape in right.held.shapes]
    assert left.counts == right.counts
    same(state_of(a), before)


@settings(deadline=None, max_examples=40)
@given(lines, lines)
def test_two_workers_know_what_a_single_worker_would(first: list[str], second: list[str]) -> None:
    rules = MinerRules(fit=LOOSE)
    both = merged(mined(first, rules), mined(second, rules))
    single = mined([*first, *second], rules)
    assert assignment(both) == assignment(single)
    assert {shape.shape_id: shape.lines for shape in both.held.shapes} == {
        shape.shape_id: shape.lines for shape in single.held.shapes
    }
    ids = np.array([*assignment(mined(first, rules)).values()], np.uint64)
    assert set(both.resolve(ids).tolist()) <= set(assignment(both).values()), (
        "ids given before the merge lead to templates after it"
    )


@settings(deadline=None, max_examples=20)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=600))
def test_memory_is_bounded_whatever_comes(texts: list[bytes]) -> None:
    miner = TemplateMiner(MinerRules(fit=FitRules(alone_share=1.0, unprintable_share=1.0), capacity=Capacity(shapes=64)))
    observe(miner, [text.decode("latin-1") for text in texts])
    miner.settle(0)
    assert len(miner.held.shapes) <= 64
    assert sum(shape.lines for shape in miner.held.shapes) <= len(texts)


def test_miners_of_other_rules_are_not_merged() -> None:
    with pytest.raises(ConfigurationError, match="same rules"):
        merged(TemplateMiner(), TemplateMiner(MinerRules(fit=LOOSE)))


def test_a_damaged_or_outdated_state_is_refused() -> None:
    state = state_of(mined(["a 1 b", "a word b"]))
    with pytest.raises(OutdatedState, match="version 0"):
        miner_of(MinerState(state.arrays, state.manifest.replace('"version": 1', '"version": 0')))
    with pytest.raises(StateError, match="damaged"):
        miner_of(MinerState(state.arrays, "{}"))
    short = {**state.arrays, **{name: state.arrays[name][:1] for name in ("shape_id", "first_s", "last_s", "lines")}}
    with pytest.raises(StateError, match="2 shapes were saved, 1 are there"):
        miner_of(MinerState(short, state.manifest))
