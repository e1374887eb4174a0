"""An incident is open exactly while an instance of its rule fires, for every interleaving of beginnings, repetitions and ends."""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.incidents.alert import Alert
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.incident import IncidentState
from aiops.topology.graph import ServiceGraph
from serving.incidents.intake import alertmanager

START = datetime(2026, 3, 2, tzinfo=UTC)
GRAPH = ServiceGraph.from_pairs([], ["node"])
CONFIG = CorrelationConfig(settle_s=5)
STEP_S = 7


@dataclass(frozen=True)
class Message:
    """A webhook about one instance: what it says, when it was sent, and of which episode."""

    instance: int
    fires: bool
    sent_s: int
    began_s: int

    def alerts(self, received_s: float) -> tuple[Alert, ...]:
        """Return what the desk reads of it."""
        labels = {"alertname": "DiskFull", "job": "node", "instance": f"host-{self.instance}"}
        over = "0001-01-01T00:00:00Z" if self.fires else moment(self.sent_s).isoformat()
        alert: dict[str, Any] = {"status": "firing" if self.fires else "resolved", "labels": labels, "endsAt": over}
        payload = {"version": "4", "alerts": [{**alert, "startsAt": moment(self.began_s).isoformat()}]}
        return alertmanager.alerts_of(json.dumps(payload).encode(), moment(received_s)).alerts


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


@st.composite
def stories(draw: st.DrawFn) -> list[Message]:
    """Return messages in the order of sending: each instance begins, is repeated, and ends, again and again."""
    count = draw(st.integers(1, 5))
    began: dict[int, int] = {}
    messages = []
    for place, (instance, ends) in enumerate(draw(st.lists(st.tuples(st.integers(0, count - 1), st.booleans()), max_size=40))):
        at_s = STEP_S * (place + 1)
        if instance not in began and ends:
            continue
        messages.append(Message(instance, not ends, at_s, began.setdefault(instance, at_s)))
        if ends:
            del began[instance]
    return messages


def firing(messages: list[Message]) -> set[int]:
    last = {message.instance: message.fires for message in messages}
    return {instance for instance, fires in last.items() if fires}


def is_open(correlator: Correlator) -> bool:
    incidents = correlator.open_incidents()
    assert len(incidents) <= 1, "one rule of one service is one incident"
    return any(incident.state is IncidentState.OPEN for incident in incidents)


@settings(max_examples=80, deadline=None)
@given(stories())
def test_open_exactly_while_one_fires(messages: list[Message]) -> None:
    correlator = Correlator(GRAPH, CONFIG)
    for place, message in enumerate(messages):
        correlator.add(message.alerts(message.sent_s))
        correlator.advance(moment(message.sent_s + 6))
        assert is_open(correlator) == bool(firing(messages[: place + 1]))


@settings(max_examples=80, deadline=None)
@given(stories(), st.randoms(use_true_random=False), st.booleans())
def test_late_and_repeated_deliveries_end_in_the_same_state(messages: list[Message], rng: random.Random, restored: bool) -> None:
    """Each message comes up to four steps late, some twice; what is open at the end goes by what was sent, not by the order."""
    correlator = Correlator(GRAPH, CONFIG)
    copies = [(message.sent_s + rng.uniform(0, 4 * STEP_S), message) for message in messages for _ in range(rng.choice((1, 2)))]
    for at_s, message in sorted(copies, key=lambda delivery: delivery[0]):
        correlator.add(message.alerts(at_s))
        correlator.advance(moment(at_s))
        if restored:
            correlator = Correlator(GRAPH, CONFIG).restore(json.loads(json.dumps(correlator.snapshot())))
    correlator.advance(moment(STEP_S * 60))
    assert is_open(correlator) == bool(firing(messages))
