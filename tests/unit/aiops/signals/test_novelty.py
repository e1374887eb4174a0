"""Patterns that are new or missing stand out, those that wander from minute to minute do not; slowness by medians."""

import numpy as np
import pytest

from aiops.signals.novelty import LEFT_OUT, WINDOW, NoveltyConfig, novelties_of
from aiops.signals.requests import Pattern, Requests
from aiops.signals.slowness import slowness_of
from aiops.signals.span_rows import SpanNames


def world(shares: dict[int, float], size: int = 20) -> tuple[Requests, "np.typing.NDArray[np.int64]"]:
    """Return `size` requests of one service in each part, of which that share shows the pattern, and their parts."""
    names = SpanNames()
    code = names.services.code("cart")
    part = np.repeat(np.array(list(shares), np.int64), size)
    showing = np.concatenate([np.arange(size) < share * size for share in shares.values()])
    count, zeros = part.size, np.zeros(part.size, np.int64)
    requests = Requests(
        np.full(count, code),
        zeros,
        zeros - 1,
        np.arange(count),
        np.ones(count),
        np.ones(count),
        np.flatnonzero(showing),
        np.zeros(int(showing.sum()), np.int64),
        (Pattern("failure", "", ""),),
        names,
        0,
    )
    return requests, part


def z_of(shares: dict[int, float], size: int = 20) -> float:
    novelties = novelties_of(*world(shares, size))
    return float(novelties.z.max(initial=0.0))


def test_new_and_missing_patterns_stand_out() -> None:
    assert z_of({1: 0.0, 2: 0.0, WINDOW: 1.0}) > 3.5
    assert z_of({1: 1.0, 2: 1.0, WINDOW: 0.0}) > 3.5
    assert z_of({1: 0.5, 2: 0.5, WINDOW: 0.5}) == pytest.approx(0.0, abs=1e-6)


def test_a_share_that_wanders_between_minutes_says_less() -> None:
    steady, wandering = {1: 0.4, 2: 0.4, 3: 0.4, WINDOW: 0.9}, {1: 0.0, 2: 0.4, 3: 0.8, WINDOW: 0.9}
    assert z_of(steady) > z_of(wandering) + 0.5


def test_more_requests_of_one_minute_are_not_more_minutes() -> None:
    assert z_of({1: 0.0, WINDOW: 1.0}, 2000) < z_of({1: 0.0, WINDOW: 1.0}, 20) + 0.7


def test_one_strange_minute_of_the_reference_is_left_out() -> None:
    clean, dirty = {1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0, WINDOW: 1.0}, {1: 0.0, 2: 1.0, 3: 0.0, 4: 0.0, WINDOW: 1.0}
    assert z_of(dirty) > 0.8 * z_of(clean)


def test_without_a_reference_nothing_is_known() -> None:
    assert z_of({WINDOW: 1.0}) == 0.0
    assert z_of({LEFT_OUT: 0.0, WINDOW: 1.0}) == 0.0


def test_the_strongest_of_a_service() -> None:
    requests, part = world({1: 0.0, WINDOW: 1.0})
    novelties = novelties_of(requests, part, NoveltyConfig(correlation=0.1))
    assert novelties.strongest(int(requests.service[0])) == 0
    assert novelties.strongest(99) is None


def test_slowness_is_the_shift_of_the_median_in_spreads_of_single_requests() -> None:
    group = np.repeat(np.array([7, 8, -1]), 20)
    part = np.tile(np.repeat(np.array([1, WINDOW]), 10), 3)
    seconds = np.where((group == 7) & (part == WINDOW), 0.5, 0.1) + np.tile(np.linspace(0, 0.02, 10), 6)
    slow = slowness_of(group, seconds, part)
    assert slow.group.tolist() == [7, 8]
    assert slow.excess[0] > 20
    assert slow.excess[1] == pytest.approx(0.0, abs=1e-9)
    assert slowness_of(group, np.full(60, np.nan), part).group.size == 0
