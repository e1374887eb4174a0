"""The normaliser equals its definition in plain Python, whatever comes, however it is cut, wherever it is restored."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.normalise.normaliser import Normaliser, NormaliserConfig
from aiops.normalise.raw_series import NEVER_US
from aiops.types import State
from data_contracts.series.tenant import DEFAULT_TENANT
from tests.testing.raw_rows import SECOND, STALE, START_US, Raw, Run, Sample, classic, raw
from tests.testing.reference_normaliser import ReferenceNormaliser

WORLD = [
    raw("requests_total", "total"),
    raw("errors_total", "total", code="500"),
    raw("jobs", "delta"),
    raw("load", "value"),
    *classic("rpc_seconds", [0.1, 1.0, math.inf]),
    *classic("gc_seconds", [0.5], "db"),
    raw("size_bytes", "histogram"),
]
STRANGER = raw("nobody_defined_me", "value")
BOUNDS = (1.0, 3.0, 10.0, math.inf)
LATENESS_S = 30


@st.composite
def samples(draw: st.DrawFn) -> list[Sample]:
    """Return rounds of values 15 s apart; some come late, again, with another value, with a start, or end their series."""
    made: list[Sample] = []
    levels: dict[int, float] = {}
    for number in range(draw(st.integers(2, 14))):
        time = START_US + number * 15 * SECOND
        for series in WORLD:
            if draw(st.integers(0, 9)) == 0:
                continue
            made.append(draw(_sample(series, time, levels)))
    swaps = draw(st.lists(st.tuples(st.integers(0, len(made) - 1), st.integers(0, 40)), max_size=12)) if made else []
    for at, by in swaps:
        other = min(len(made) - 1, at + by)
        made[at], made[other] = made[other], made[at]
    again = draw(st.lists(st.tuples(st.integers(0, max(0, len(made) - 1)), st.integers(0, 60)), max_size=8)) if made else []
    for at, by in again:
        made.insert(min(len(made), at + by), made[at])
    clock, pace = START_US, draw(st.sampled_from((0, SECOND, 7 * SECOND)))
    arrived = []
    for number, sample in enumerate([*made, Sample(STRANGER, START_US, 1.0)]):
        clock += pace * (number % 5 == 0)
        arrived.append(replace(sample, clock_us=clock))
    return arrived


@st.composite
def _sample(draw: st.DrawFn, series: Raw, time: int, levels: dict[int, float]) -> Sample:
    key, what = series.key.series_id, draw(st.integers(0, 30))
    level = levels.get(key, 0.0) + draw(st.sampled_from((0.0, 1.0, 2.5, 7.0)))
    start = draw(st.sampled_from((NEVER_US, NEVER_US, START_US - 60 * SECOND, START_US - 10**10, time - 7 * SECOND, time)))
    if what == 0:
        level = draw(st.sampled_from((0.0, 0.5)))
    levels[key] = level
    if series.role == "histogram":
        counts = (level, 2 * level, 0.0, float(draw(st.integers(0, 2))))
        return Sample(series, time, STALE if what == 1 else level * 3, start, BOUNDS, counts)
    if what == 1:
        return Sample(series, time, STALE, start)
    if what == 2:
        return Sample(series, time, draw(st.sampled_from((-1.0, math.inf))), start)
    return Sample(series, time, level, start)


def reference(sent: list[Sample]) -> ReferenceNormaliser:
    made = ReferenceNormaliser(LATENESS_S)
    made.define(WORLD)
    for sample in sent:
        made.send(sample)
    made.close(START_US + 10**9)
    return made


def whole(sent: list[Sample]) -> Run:
    return Run.new(LATENESS_S).define(WORLD).send(*sent).close(START_US + 10**9)


def equal(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f") for name in left
    )


@given(samples())
@settings(max_examples=60, deadline=None)
def test_it_equals_its_definition_in_plain_python(sent: list[Sample]) -> None:
    expected, run = reference(sent), whole(sent)
    assert run.status == expected.status
    assert sorted(run.points) == sorted(expected.points)


@given(samples(), st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_cuts_and_restores_change_nothing(sent: list[Sample], cuts: list[int], stop_at: int) -> None:
    expected, run, begin = whole(sent), Run.new(LATENESS_S).define(WORLD[:5]).define(WORLD), 0
    config = NormaliserConfig(DEFAULT_TENANT, 1000, LATENESS_S * SECOND)
    for number in range(len(sent)):
        if begin >= len(sent):
            break
        end = begin + cuts[number % len(cuts)]
        run.send(*sent[begin:end])
        if begin <= stop_at < end:
            state = run.normaliser.snapshot()
            run.normaliser = Normaliser.restore(config, state)
            assert equal(run.normaliser.snapshot(), state)
        begin = end
    run.close(START_US + 10**9)
    assert run.status == expected.status
    assert run.points == expected.points
    assert equal(run.normaliser.snapshot(), expected.normaliser.snapshot())
