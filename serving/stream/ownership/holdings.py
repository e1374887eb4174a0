"""What a stage holds of the partitions that its process is to work on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiops.errors import FencedError
from serving.stream.ownership.ownership import Ownership

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder(Generic[T]):
    """How a stage takes a partition and gives it up; `give_up` is called until it returns True: then nothing is held any more.

    `fenced` is called in its place where another process took the partition.
    """

    stage: str
    take: Callable[[int], T]
    give_up: Callable[[int, T], bool] = lambda _number, _held: True
    fenced: Callable[[int, T], None] = lambda _number, _held: None


class Holdings(Generic[T]):
    """Partitions of one stage; one thread. `items`: those to work on, by number."""

    def __init__(self, ownership: Ownership, holder: Holder[T]) -> None:
        self.items: dict[int, T] = {}
        self._ownership = ownership
        self._holder = holder
        self._leaving: dict[int, T] = {}

    def follow(self) -> None:
        """Take what is assigned, give up what no longer is; call it often.

        Raises:
            Unavailable: the state store does not answer; call it again.
        """
        assigned = self._ownership.follow(self._holder.stage, {*self.items, *self._leaving})
        for number in sorted(self.items.keys() - assigned):
            self._leaving[number] = self.items.pop(number)
        self._leaving = {number: held for number, held in self._leaving.items() if not self._holder.give_up(number, held)}
        for number in sorted(assigned - self.items.keys() - self._leaving.keys()):
            self.items[number] = self._holder.take(number)
        self.items = dict(sorted(self.items.items()))

    def work(self, act: Callable[[T], bool]) -> bool:
        """Call `act` with each until one returns False, which is returned; what another process took is dropped.

        Raises:
            FencedError: where partitions are not shared: the process must end.
        """
        for number, held in list(self.items.items()):
            if number not in self.items:
                continue
            try:
                if not act(held):
                    return False
            except FencedError as error:
                if not self._ownership.shared:
                    raise
                log.warning("partition %d is dropped by %s: %s", number, self._holder.stage, error)
                self.items.pop(number, None)
                self._holder.fenced(number, held)
                self._ownership.lose(number)
        return True

    def end(self) -> None:
        """Let go of everything, as the stage has ended."""
        self.items, self._leaving = {}, {}
        self._ownership.end(self._holder.stage)

    def all_held(self) -> list[T]:
        """Return everything that is held, what is being given up included."""
        return [*self.items.values(), *self._leaving.values()]
