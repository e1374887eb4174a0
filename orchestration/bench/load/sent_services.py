"""The services whose lines and spans the stream bench sends: operations, the lines each writes, the calls each makes.

A few services with hundreds of forms of lines; a request runs through an operation, which writes its lines in order.
"""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np

from orchestration.bench.load.marked_message import MarkedMessage

_SUBJECTS: Final = (
    *("order", "basket", "payment", "invoice", "shipment", "coupon", "session"),
    *("profile", "price list", "stock level", "search index", "picture", "message", "report"),
)
_ACTIONS: Final = ("accepted", "validated", "queued", "written", "sent", "refreshed", "expired", "skipped", "retried", "rejected")
_TAILS: Final = (
    *("in {d2} ms", "for user {d6}", "id={x8}", "from 10.{d2}.{d2}.{d2}:{d5}", "size={d4} bytes, attempt {d1} of 3"),
    *("key=cache:{x12}", "by worker-{d1}, {d3} left", "at offset {d7} of partition {d1}", "(correlation {x16})"),
)
_LEVELS: Final = (("INFO", 9),) * 12 + (("DEBUG", 5),) * 4 + (("WARN", 13),) * 3 + (("ERROR", 17),)
_LINES: Final = 4
_OPERATIONS: Final = 5
_ASIDE: Final = 6


@dataclass(frozen=True, slots=True)
class LineForm:
    """How a line reads, with slots for parameters (`marked_message`), and its level by name and number."""

    text: str
    level: str
    severity: int


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does for a request: the lines it writes, in order."""

    route: str
    lines: tuple[LineForm, ...]


@dataclass(frozen=True, slots=True)
class SentService:
    """A service: its operations, and the lines it writes beside requests."""

    name: str
    operations: tuple[Operation, ...]
    aside: tuple[LineForm, ...]

    def resource(self) -> MarkedMessage:
        """Return what OTLP says of it as a resource."""
        resource = MarkedMessage()
        known = (("service.name", self.name), ("service.version", "2.7.1"), ("deployment.environment", "production"))
        pod = (
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", f"{self.name}-6f7d9c5b8-{self.name[-3:]}"),
            ("host.name", "node-17"),
        )
        for name, text in (*known, *pod):
            resource.attribute(1, name, text)
        return resource


def sent_services(count: int) -> tuple[SentService, ...]:
    """Return services with 26 forms of lines each; all different up to 387 services."""
    random = np.random.default_rng(7)
    tails = [f"{first}, {then}" for first, then in itertools.permutations(_TAILS, 2)]
    texts = [" ".join(words) for words in itertools.product(_SUBJECTS, _ACTIONS, tails)]
    order = itertools.cycle(random.permutation(len(texts)).tolist())

    def forms(many: int) -> tuple[LineForm, ...]:
        levels = [_LEVELS[place] for place in random.integers(0, len(_LEVELS), many)]
        return tuple(LineForm(texts[next(order)], name, number) for name, number in levels)

    def operation(number: int) -> Operation:
        return Operation(f"/api/{_SUBJECTS[number % len(_SUBJECTS)].replace(' ', '-')}/{number}", forms(_LINES))

    return tuple(
        SentService(f"service-{number:03d}", tuple(operation(place) for place in range(_OPERATIONS)), forms(_ASIDE))
        for number in range(count)
    )
