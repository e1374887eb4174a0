"""The call graph in the lake: read as it is or was, changed by one writer at a time.

The table `edges` is replaced as a whole, so every change reads it, works the change in and writes it while it holds the table
(`Lake.exclusive`): writers in any number of processes lose nothing of each other's. Readers need no
lock; `version` costs one look at the file's entry.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from aiops.topology.graph import Pair, ServiceGraph
from aiops.topology.graph_history import declared, observed, replaced
from serving.lake.port import Lake

FORGET_AFTER: Final = timedelta(days=7)
"""How long an observed call is remembered after its last sighting: as long as the longest common season."""
_TABLE: Final = "edges"


@dataclass(frozen=True, slots=True)
class GraphChange:
    """What a change did to the present graph, learned calls included; `calls` = how many there are now."""

    added: tuple[Pair, ...]
    ended: tuple[Pair, ...]
    calls: int


class GraphStore:
    """The history of calls of one lake; cheap to make. Safe between threads and processes."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._read: tuple[str, pa.Table] | None = None

    def version(self) -> str:
        """Return a word that changes with every change of the graph; empty while there is none. One system call."""
        return self._lake.version(_TABLE)

    def history(self) -> pa.Table:
        """Return all intervals, `schemas.EDGES`; kept in memory until the graph changes.

        Raises:
            StateError: the file is damaged.
        """
        version, kept = self.version(), self._read
        if kept is not None and kept[0] == version:
            return kept[1]
        table = self._lake.read(_TABLE)
        self._read = (version, table)
        return table

    def graph(self, at: datetime | None = None, learned: bool = False) -> ServiceGraph:
        """Return the graph of the present, or as it was at `at`; learned calls only where they are asked for.

        Features, partitions and correlation go without learned calls. Root cause analysis takes them, marked, as weaker paths.
        """
        return ServiceGraph.from_edges(self.history(), at, learned)

    def observe(self, sightings: pa.Table, at: datetime, origin: str, forget_after: timedelta = FORGET_AFTER) -> GraphChange:
        """Work sightings in (`graph_history.observed`): new calls begin, those long unseen end.

        Raises:
            ContractError: the sightings or the origin cannot be used.
        """
        return self._change(lambda history: observed(history, sightings, at, origin, forget_after))

    def replace_configured(self, calls: Iterable[Pair], at: datetime, origin: str = "configuration") -> GraphChange:
        """Declare that from `at` on exactly these calls are what `origin` says (`graph_history.declared`).

        Raises:
            ContractError: the origin is unknown, or it has said something about a later time.
        """
        pairs = frozenset(calls)
        return self._change(lambda history: declared(history, pairs, at, origin))

    def replace_source(self, edges: pa.Table, origin: str = "table") -> GraphChange:
        """Put a source's own history of calls, `schemas.EDGES`, in the place of all that its origin said before."""
        return self._change(lambda history: replaced(history, edges, origin))

    def _change(self, change: Callable[[pa.Table], pa.Table]) -> GraphChange:
        with self._lake.exclusive(_TABLE):
            before = self._lake.read(_TABLE)
            after = change(before)
            if not after.equals(before):
                self._lake.write(_TABLE, after, "graph")
        old = set(ServiceGraph.from_edges(before, learned=True).calls())
        new = set(ServiceGraph.from_edges(after, learned=True).calls())
        return GraphChange(tuple(sorted(new - old)), tuple(sorted(old - new)), len(new))
