"""What each simulated service does: its operations, the lines that these write in order, its calls and its scheduled job."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.simulator import line_bank
from aiops.simulator.line_bank import LineTemplate, line_template
from aiops.simulator.services import Topology
from aiops.simulator.streams import Stream, generator

SHARES: Final = (0.55, 0.3, 0.15)
"""Of a service's requests, by operation."""
_VERBS: Final = ("GET /{noun}", "POST /{noun}", "GET /{noun}/status")
_STORE_VERBS: Final = ("SELECT {noun}", "UPDATE {noun}", "INSERT {noun}")
_MESSAGE_SHARE: Final = 0.15
_LINKED_SHARE: Final = 0.5
_JOB_MIN: Final = (1, 2, 5)
_FAILURES_EACH: Final = 2
_SUFFIXES: Final = ("-db", "-cache", "-index", "-store")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the topology: `edge` its number, `callee`; a message is not waited for, a linked one begins a trace anew."""

    edge: int
    callee: int
    is_message: bool
    is_linked: bool
    answered: LineTemplate
    failed: LineTemplate
    incomplete: LineTemplate


@dataclass(frozen=True, slots=True)
class StepLine:
    """A line of an operation after the first `after` calls of its service."""

    template: LineTemplate
    after: int


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: its lines between begin and end, `steps` in order of `after`; `broken` = it ends because a call failed."""

    name: str
    started: LineTemplate
    steps: tuple[StepLine, ...]
    done: LineTemplate
    slow: LineTemplate
    failures: tuple[LineTemplate, ...]
    broken: LineTemplate


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """A service by its number: operations with `SHARES` of its requests, calls in order, a job each `job_min` minutes."""

    number: int
    name: str
    operations: tuple[Operation, ...]
    calls: tuple[Call, ...]
    handled: LineTemplate
    job_min: int
    job_started: LineTemplate
    job_done: LineTemplate
    incident_failures: dict[str, tuple[LineTemplate, ...]]
    incident_warnings: dict[str, LineTemplate]


def noun_of(service: str) -> str:
    """Return what a service is about.

    >>> noun_of("payments-db"), noun_of("web-frontend")
    ('payments', 'web_frontend')
    """
    for suffix in _SUFFIXES:
        service = service.removesuffix(suffix)
    return service.replace("-", "_")


def plan_services(seed: int, topology: Topology, most_steps: int) -> tuple[ServicePlan, ...]:
    """Return the plan of each service; an operation has two to `most_steps` steps (fewer where `most_steps` is less)."""
    return tuple(_plan(seed, topology, service, most_steps) for service in range(len(topology.services)))


def _plan(seed: int, topology: Topology, service: int, most_steps: int) -> ServicePlan:
    rng = generator(seed, Stream.OPERATIONS, service)
    name = topology.services[service]
    names = {"noun": noun_of(name)}
    calls = _calls(rng, topology, service)
    is_store = service in topology.stores
    bank = line_bank.STORE_STEPS if is_store else line_bank.STEPS
    verbs = _STORE_VERBS if is_store else _VERBS
    order = [bank[int(place)] for place in rng.permutation(len(bank))]
    operations = []
    for number, verb in enumerate(verbs):
        count = min(most_steps, int(rng.integers(2, max(3, most_steps + 1))))
        after = sorted(int(place) for place in rng.integers(0, len(calls) + 1, count))
        texts = [order[(2 * number + place) % len(order)] for place in range(count)]
        steps = (StepLine(line_template("INFO", text, names), place) for text, place in zip(texts, after, strict=True))
        failures = [line_bank.FAILURES[int(place)] for place in rng.permutation(len(line_bank.FAILURES))[:_FAILURES_EACH]]
        operations.append(_operation(verb.format(**names), tuple(steps), failures, names))
    return ServicePlan(
        service,
        name,
        tuple(operations),
        calls,
        line_template("ERROR", line_bank.HANDLED, names),
        int(rng.choice(_JOB_MIN)),
        line_template("INFO", line_bank.JOB_STARTED, names),
        line_template("INFO", line_bank.JOB_DONE, names),
        {
            kind: tuple(_failed(operation.name, text, names) for operation in operations)
            for kind, text in line_bank.INCIDENT_FAILURES.items()
        },
        {kind: line_template("WARN", text, names) for kind, text in line_bank.INCIDENT_WARNINGS.items()},
    )


def _calls(rng: np.random.Generator, topology: Topology, service: int) -> tuple[Call, ...]:
    calls = []
    for number, edge in enumerate(topology.edges):
        if edge.caller == service:
            names = {"callee": topology.services[edge.callee]}
            is_message = bool(rng.random() < _MESSAGE_SHARE) and edge.callee not in topology.stores
            is_linked = bool(rng.random() < _LINKED_SHARE) and is_message
            answered = line_bank.QUEUED if is_message else line_bank.ANSWERED
            calls.append(
                Call(
                    number,
                    edge.callee,
                    is_message,
                    is_linked,
                    line_template("INFO", answered, names),
                    line_template("ERROR", line_bank.CALL_FAILED, names),
                    line_template("WARN", line_bank.INCOMPLETE, names),
                )
            )
    return tuple(calls)


def _operation(name: str, steps: tuple[StepLine, ...], failures: list[str], names: dict[str, str]) -> Operation:
    names = {**names, "operation": name}
    return Operation(
        name,
        line_template("INFO", line_bank.STARTED, names),
        steps,
        line_template("INFO", line_bank.DONE, names),
        line_template("WARN", line_bank.SLOW, names),
        tuple(_failed(name, failure, names) for failure in failures),
        _failed(name, line_bank.BROKEN, names),
    )


def _failed(operation: str, failure: str, names: dict[str, str]) -> LineTemplate:
    return line_template("ERROR", line_bank.FAILED.replace("{failure}", failure), {**names, "operation": operation})
