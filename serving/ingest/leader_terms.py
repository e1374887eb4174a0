"""Terms of office of those that lead HA pairs: points of a leader are appended only while its term lasts, checked by the append.

`aiops:replicas:<tenant>`: pair → `<expires, ms> <times it changed> <replica>`. A term lasts until another one leads, however long
its lease has expired: while nobody took it, nobody else's points are taken either.
"""

from typing import NamedTuple

from aiops.errors import Unavailable


class LeaderTerm(NamedTuple):
    """Who leads a pair of a tenant, since it changed for the `changes`-th time."""

    tenant: str
    pair: str
    changes: int
    leader: str

    @property
    def held(self) -> str:
        """Return how it is written beside the end of its lease."""
        return f"{self.changes} {self.leader}"


class LeaderChanged(Unavailable):
    """Another member of an HA pair leads by now than in its `condition`: nothing of the append is in."""

    def __init__(self, term: LeaderTerm) -> None:
        super().__init__(f"another member of the HA pair {term.pair or '(no name)'} may lead by now; send it again")
        self.condition = term


def replicas_key(tenant: str) -> str:
    """Return the hash that says who leads the pairs of a tenant."""
    return f"aiops:replicas:{tenant}"
