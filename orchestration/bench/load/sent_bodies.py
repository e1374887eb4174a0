"""What the sender of the stream bench sends: bodies of metrics, logs or spans that are filled in again each round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from orchestration.bench.load.log_bodies import log_bodies
from orchestration.bench.load.sent_services import sent_services
from orchestration.bench.load.span_bodies import span_bodies
from orchestration.bench.load.wire_series import hosts, in_requests, targets
from orchestration.bench.load.wire_templates import Protocol as MetricProtocol
from orchestration.bench.load.wire_templates import Template, template_of

SAMPLES: Final = 2000
"""Of a request, as Prometheus sends them."""
Signal = Literal["logs", "spans"]
SIGNALS: Final[tuple[Signal, ...]] = ("logs", "spans")
BODIES: Final = 64
"""Bodies of logs or spans that go round, about."""
_NOISES: Final = 64


class SentBody(Protocol):
    """A body of `rows` points, lines or spans."""

    @property
    def rows(self) -> int:
        """Return how many it holds."""

    def filled(self, number: int, time_ms: int) -> bytes:
        """Return the body of a round, of a time."""


@dataclass(frozen=True, slots=True)
class SendPlan:
    """What is sent where. A `service_instances` of 0 = the targets are hosts; of logs and spans `targets` are services.

    Event time begins at `start_ms` and goes on by `step_s` a round; a `step_s` of 0 = it is the clock's.
    """

    protocol: MetricProtocol | Signal
    port: int
    targets: int
    service_instances: int = 20
    samples: int = SAMPLES
    step_s: int = 60
    start_ms: int = 0
    in_flight: int = 8


def bodies_of(plan: SendPlan) -> Sequence[SentBody]:
    """Return the bodies of a round."""
    if plan.protocol == "logs":
        return log_bodies(sent_services(plan.targets), plan.samples, BODIES)
    if plan.protocol == "spans":
        return span_bodies(sent_services(plan.targets), plan.samples, BODIES)
    sent = list(targets(plan.targets, plan.service_instances) if plan.service_instances else hosts(plan.targets))
    templates = [template_of(plan.protocol, part) for part in in_requests(sent, plan.samples)]
    return [MetricBody(template, number) for number, template in enumerate(templates)]


class MetricBody:
    """A request of metrics: values of its series a little different each round; counters grow."""

    def __init__(self, template: Template, seed: int) -> None:
        random = np.random.default_rng(seed)
        size = len(template.values)
        self.rows = size
        self._template = template
        self._level = np.exp(random.uniform(0, 6, size))
        self._slope = np.where(template.counts, self._level, 0.0)
        self._noise = 0.05 * random.standard_normal((_NOISES, size)) * self._level

    def filled(self, number: int, time_ms: int) -> bytes:
        """Return the request of a round."""
        return self._template.fill(self._values(number), time_ms)

    def _values(self, number: int) -> npt.NDArray[np.float64]:
        return np.asarray(self._level + self._slope * number + self._noise[number % _NOISES], np.float64)
