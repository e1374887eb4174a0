"""Requests as evidence: what a service does now that it did not do before, and how much longer it and its calls take.

- Order: the strangest pattern of its requests, as a log likelihood ratio in nats, less half of the strangest of its callees: who
  is answered wrongly works differently too.
- Own time: the median of its operations' own time, in spreads.
- Network: the median gap of calls from and to it. A slow network at a service slows all its edges, so what counts is the
  loudness of all together, by the square root of their number (Stouffer 1949): a neighbour sees one slow edge, or one of many.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.signals.novelty import WINDOW, Novelties, novelties_of, pattern_of
from aiops.signals.requests import EDGE, Pattern, Requests
from aiops.signals.slowness import slowness_of
from aiops.types import IntArray
from models.rca.ranking import BEYOND, MOST, Evidence

ORDER: Final = "request order"
OWN_TIME: Final = "own time of requests"
GAP: Final = "network of requests"
REQUEST_KINDS: Final = (ORDER, OWN_TIME, GAP)
EXPLAINED: Final = 0.5
"""Share of a callee's deviation that its caller's is lessened by."""
AS_EVER: Final = 0.5
"""Edges as ever that are added to those of a service."""
MOST_LINE: Final = 80
LEAST_Z: Final = 1.0
"""Standard deviations from which a pattern is evidence."""


@dataclass(frozen=True, slots=True, eq=False)
class RequestWindow:
    """Requests around an incident; `part` (requests,): LEFT_OUT, WINDOW, or the number of a minute while all was well, from 1."""

    requests: Requests
    part: IntArray


def request_evidence(window: RequestWindow) -> Mapping[str, tuple[Evidence, ...]]:
    """Return what requests say against each service that has some in the window, strongest first. Deterministic."""
    requests, part = window.requests, window.part
    evidence: dict[str, list[Evidence]] = defaultdict(list)
    for code, item in (*_order(requests, part), *_own_time(requests, part), *_network(requests, part)):
        evidence[requests.names.services.texts[code]].append(item)
    return {name: tuple(sorted(items, key=lambda item: (-item.score, item.kind))) for name, items in evidence.items()}


def callees_of(requests: Requests) -> Mapping[int, frozenset[int]]:
    """Return the services that each service calls, by code, as requests show them."""
    known = requests.caller >= 0
    callees: dict[int, set[int]] = defaultdict(set)
    for pair in np.unique(requests.caller[known] << 32 | requests.service[known]).tolist():
        callees[pair >> 32].add(pair & 0xFFFFFFFF)
    return {caller: frozenset(of) for caller, of in callees.items()}


def _order(requests: Requests, part: IntArray) -> list[tuple[int, Evidence]]:
    novelties, callees = novelties_of(requests, part), callees_of(requests)
    rows = {code: novelties.strongest(code) for code in np.unique(novelties.service).tolist()}
    z = {code: float(novelties.weighed[row]) for code, row in rows.items() if row is not None}
    evidence = []
    for code, row in rows.items():
        if row is not None and z[code] >= LEAST_Z:
            own = z[code] - EXPLAINED * max((z.get(callee, 0.0) for callee in callees.get(code, ())), default=0.0)
            evidence.append((code, _novelty(requests, novelties, row, part, 0.5 * max(0.0, own) ** 2)))
    return evidence


def _novelty(requests: Requests, novelties: Novelties, row: int, part: IntArray, score: float) -> Evidence:
    """Return the evidence of a row, since the operation's first request in the window that shows what is more frequent now, or
    does not show what is rarer.
    """
    pattern, code = pattern_of(requests, novelties, row), int(novelties.pattern[row])
    own = (requests.service == novelties.service[row]) & (requests.operation == novelties.operation[row])
    now, then = float(novelties.share_now[row]), float(novelties.share_then[row])
    shows = np.zeros(part.size, np.bool_)
    shows[requests.shown_by[requests.shown == code]] = True
    since = int(requests.start_us[own & (part == WINDOW) & (shows == (now > then))].min())
    words = f"{now:.0%} of requests {_words(pattern)}, usually {then:.0%}"
    return Evidence(ORDER, f"request_{pattern.kind}_ratio", now, then, float(novelties.z[row]), score, since, words)


def _words(pattern: Pattern) -> str:
    if pattern.kind == "call":
        return f"call {pattern.first}"
    if pattern.kind == "failure":
        return "fail"
    if EDGE in (pattern.first, pattern.second):
        return f"begin with “{_line(pattern.second)}”" if pattern.first == EDGE else f"end after “{_line(pattern.first)}”"
    return f"go from “{_line(pattern.first)}” to “{_line(pattern.second)}”"


def _line(template: str) -> str:
    return template if len(template) <= MOST_LINE else f"{template[:MOST_LINE]}…"


def _own_time(requests: Requests, part: IntArray) -> list[tuple[int, Evidence]]:
    """Return how far a service's operations rose, their mean weighted by requests."""
    slow = slowness_of(requests.service << 32 | requests.operation, requests.own_s, part)
    service, at = np.unique(slow.group >> 32, return_inverse=True)
    weight = slow.requests / np.maximum(np.bincount(at, slow.requests, len(service)), 1.0)[at]
    sums = (np.bincount(at, weight * values, len(service)) for values in (np.clip(slow.excess, 0, MOST), slow.now_s, slow.then_s))
    rows = zip(service.tolist(), *(column.tolist() for column in sums), strict=True)
    return [
        (code, Evidence(OWN_TIME, "request_own_time_s", now, then, excess, _loud(excess), _since(requests, part, code)))
        for code, excess, now, then in rows
        if excess > BEYOND
    ]


def _network(requests: Requests, part: IntArray) -> list[tuple[int, Evidence]]:
    """Return the loudness of all edges from and to a service together, half an edge that is as ever added."""
    slow = slowness_of(np.where(requests.caller >= 0, requests.caller << 32 | requests.service, -1), requests.gap_s, part)
    excess = np.clip(slow.excess, 0.0, MOST)
    evidence = []
    for code in np.unique(np.concatenate([slow.group >> 32, slow.group & 0xFFFFFFFF])).tolist():
        edges = np.flatnonzero((slow.group >> 32 == code) | (slow.group & 0xFFFFFFFF == code))
        loudness = sum(map(_loud, excess[edges].tolist())) / float(np.sqrt(edges.size + AS_EVER))
        if loudness > 0.0:
            worst = edges[np.argmax(excess[edges])]
            seen, level = float(slow.now_s[worst]), float(slow.then_s[worst])
            item = Evidence(GAP, "call_gap_s", seen, level, float(excess[worst]), loudness, _since(requests, part, code))
            evidence.append((code, item))
    return evidence


def _loud(excess: float) -> float:
    return float(np.log1p(max(0.0, min(excess, MOST) - BEYOND)))


def _since(requests: Requests, part: IntArray, code: int) -> int:
    """Return when the first request of a service in the window began, or the first of all."""
    inside = part == WINDOW
    own = inside & (requests.service == code)
    return int(requests.start_us[own if own.any() else inside].min())
