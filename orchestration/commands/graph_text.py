"""The call graph for people: a tree that ends where it would go in circles, its cycles, and Graphviz's language."""

from collections.abc import Iterator, Mapping
from typing import Final

from aiops.topology.graph import LEARNED, Pair, ServiceGraph
from aiops.topology.graph_history import ALWAYS, Interval

_BRANCHES: Final = ("├─ ", "│  ")
_LAST: Final = ("└─ ", "   ")
_UNITS: Final = {"traces": "calls seen", "learned": "sure"}


def tree_lines(graph: ServiceGraph, intervals: Mapping[Pair, Interval], below: str | None = None) -> list[str]:
    """Return the calls as trees, each service's own calls once: from services that nobody calls, then what goes in circles.

    Args:
        graph: what to show.
        intervals: what is known of each call.
        below: only the tree of this service.
    """
    uncalled = [name for name in graph.services if not graph.callers(name)]
    entries = [*uncalled, *(name for circle in cycles(graph) for name in circle)] if below is None else [below]
    shown: set[str] = set()
    lines: list[str] = []
    for entry in entries:
        if entry not in shown:
            lines += [entry, *_branches(graph, intervals, entry, shown)]
    return lines


def _branches(graph: ServiceGraph, intervals: Mapping[Pair, Interval], root: str, shown: set[str]) -> Iterator[str]:
    """Yield the lines below `root`, which a stack holds instead of recursion: chains of calls may be long."""
    shown.add(root)
    path = [root]
    waiting: list[tuple[int, str, str]] = _children(graph, root, 1, "")
    while waiting:
        depth, name, indent = waiting.pop()
        del path[depth:]
        last = not waiting or waiting[-1][0] < depth
        head, rest = _LAST if last else _BRANCHES
        note = "  ↻ a cycle" if name in path else "  ↑ shown above" if name in shown and graph.callees(name) else ""
        yield f"{indent}{head}{name}  ({call_source(intervals.get((path[-1], name)))}){note}"
        if name not in shown:
            shown.add(name)
            path.append(name)
            waiting += _children(graph, name, depth + 1, indent + rest)


def _children(graph: ServiceGraph, name: str, depth: int, indent: str) -> list[tuple[int, str, str]]:
    return [(depth, callee, indent) for callee in reversed(graph.callees(name))]


def call_source(call: Interval | None) -> str:
    """Return who says that there is a call, since when, and its weight, in words."""
    if call is None:
        return "configured"
    since = "always" if call.valid_from <= ALWAYS else f"since {call.valid_from:%Y-%m-%d %H:%M}"
    if call.weight is None:
        return f"{call.origin}, {since}"
    weight = f"{call.weight:.0%}" if call.origin == LEARNED else f"{call.weight:,.0f}"
    return f"{call.origin}, {since}, {weight} {_UNITS.get(call.origin, 'calls')}"


def cycles(graph: ServiceGraph) -> tuple[tuple[str, ...], ...]:
    """Return the groups of services that call each other in circles, by name. O(services + calls).

    Source: R. Tarjan, Depth-first search and linear graph algorithms, 1972 (strongly connected components), without recursion.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    open_now: set[str] = set()
    circles: list[tuple[str, ...]] = []
    for start in graph.services:
        work = [] if start in number else [(start, iter(graph.callees(start)))]
        while work:
            name, rest = work[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                stack.append(name)
                open_now.add(name)
            callee = next(rest, None)
            if callee is None:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[name])
                if lowest[name] == number[name]:
                    group = _taken(stack, open_now, name)
                    circles += [group] if len(group) > 1 else []
            elif callee not in number:
                work.append((callee, iter(graph.callees(callee))))
            elif callee in open_now:
                lowest[name] = min(lowest[name], number[callee])
    return tuple(sorted(circles))


def _taken(stack: list[str], open_now: set[str], until: str) -> tuple[str, ...]:
    group = [stack.pop()]
    while group[-1] != until:
        group.append(stack.pop())
    open_now.difference_update(group)
    return tuple(sorted(group))


def dot(graph: ServiceGraph, intervals: Mapping[Pair, Interval]) -> str:
    """Return the graph in Graphviz's language; learned calls are dashed.

    Source: https://graphviz.org/doc/info/lang.html
    """
    lines = [f"  {_quoted(name)};" for name in graph.services]
    for caller, callee in graph.calls():
        origin = graph.origin_of(caller, callee)
        style = ", style=dashed" if origin == LEARNED else ""
        tip = _quoted(call_source(intervals.get((caller, callee))))
        lines.append(f"  {_quoted(caller)} -> {_quoted(callee)} [tooltip={tip}{style}];")
    return "\n".join(["digraph calls {", "  rankdir=LR;", *lines, "}", ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
