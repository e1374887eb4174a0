"""What a stage holds: taken as assigned, given up in its own time, dropped where another process took it."""

from collections.abc import Callable, Collection

import pytest

from aiops.errors import FencedError
from serving.stream.ownership.holdings import Holder, Holdings
from serving.stream.ownership.ownership import FixedOwnership


class Assigned:
    """An ownership whose word is set by the test."""

    shared = True

    def __init__(self, *numbers: int) -> None:
        self.numbers = frozenset(numbers)
        self.holding: frozenset[int] = frozenset()
        self.lost: list[int] = []

    def follow(self, stage: str, holding: Collection[int]) -> frozenset[int]:
        self.holding = frozenset(holding)
        return self.numbers

    def lose(self, number: int) -> None:
        self.lost.append(number)

    def end(self, stage: str) -> None:
        self.holding = frozenset()


def fenced_at(number: int) -> Callable[[str], bool]:
    def act(held: str) -> bool:
        if held == f"state of {number}":
            raise FencedError("taken over")
        return True

    return act


def holder(give_up: Callable[[int, str], bool] = lambda _number, _held: True) -> Holder[str]:
    return Holder("a stage", lambda number: f"state of {number}", give_up)


def test_what_is_given_up_is_held_until_that_is_done_and_worked_on_no_more() -> None:
    ownership, saved = Assigned(0, 1), iter([False, False, True])
    holdings = Holdings(ownership, holder(lambda _number, _held: next(saved)))
    holdings.follow()
    ownership.numbers = frozenset({0})
    holdings.follow()
    assert list(holdings.items) == [0]
    holdings.follow()
    assert ownership.holding == {0, 1}
    holdings.follow()
    holdings.follow()
    assert ownership.holding == {0}


def test_one_that_comes_back_while_it_is_given_up_is_taken_anew_afterwards() -> None:
    ownership, saved = Assigned(0), iter([False, True])
    holdings = Holdings(ownership, holder(lambda _number, _held: next(saved)))
    holdings.follow()
    ownership.numbers = frozenset()
    holdings.follow()
    ownership.numbers = frozenset({0})
    holdings.follow()
    assert holdings.items == {0: "state of 0"}


def test_what_another_process_took_is_dropped_and_the_others_go_on() -> None:
    ownership = Assigned(0, 1, 2)
    holdings = Holdings(ownership, holder())
    holdings.follow()
    assert holdings.work(fenced_at(1))
    assert list(holdings.items) == [0, 2]
    assert ownership.lost == [1]


def test_a_process_with_partitions_of_its_own_ends_where_one_is_taken() -> None:
    holdings = Holdings(FixedOwnership(frozenset({0, 1})), holder())
    holdings.follow()
    with pytest.raises(FencedError):
        holdings.work(fenced_at(1))
