"""How sure a report is, and where it is not, what would decide it."""

from collections.abc import Sequence
from math import isfinite
from typing import Final

from aiops.incidents.root_cause import RootCause
from data_contracts.schemas.metrics import spec_of
from data_contracts.values.moments import microseconds_of
from models.rca.inputs import RcaInputs, step_s
from models.rca.weighing import Frame

MOST_OPEN_QUESTIONS: Final = 6
LEAST_CALM_STEPS: Final = 60
NEAR_SHARE: Final = 0.2
"""A cause with at least this share of the first one's probability is in the running."""


def statement_of(causes: Sequence[RootCause], none: float, decided: bool) -> str:
    """Return the finding in one sentence or two."""
    if decided:
        return f"{causes[0].service} most probably began it ({causes[0].probability:.0%}). {causes[0].sentence}."
    running = in_the_running(causes)
    if running and running[0].onset is None:
        likeliest = f"{running[0].service} ({running[0].probability:.0%})"
        return f"Undecided: nothing that was looked at strays far; the likeliest is {likeliest}."
    if not running or none > running[0].probability:
        named = f"; the likeliest is {running[0].service} ({running[0].probability:.0%})" if running else ""
        return f"Undecided: most probably none of the services that were looked at ({none:.0%}){named}."
    named = ", ".join(f"{cause.service} ({cause.probability:.0%})" for cause in running)
    return f"Undecided between {named}; none of them {none:.0%}." if len(running) > 1 else f"Undecided: {named}; none {none:.0%}."


def false_statement(causes: Sequence[RootCause], none: float) -> str:
    """Return that an alarm is most probably false, and what would have begun it else."""
    named = f"; else it was {causes[0].service} ({causes[0].probability:.0%})" if causes else ""
    return f"Most probably a false alarm ({none:.0%}): what alerted let go by itself, or never went far{named}."


def in_the_running(causes: Sequence[RootCause]) -> tuple[RootCause, ...]:
    """Return the first cause and those not far behind it."""
    return tuple(cause for cause in causes[:4] if cause.probability >= NEAR_SHARE * causes[0].probability)


def would_decide(causes: Sequence[RootCause], frame: Frame, inputs: RcaInputs) -> tuple[str, ...]:
    """Return what, if it were known, would separate the likely causes; concrete things only."""
    running = in_the_running(causes)
    questions = [
        *_order(running, frame),
        *_unmeasured(running, inputs),
        *_unconnected(inputs),
        *_silent_changes(inputs),
        *_short(frame, inputs),
    ]
    return tuple(dict.fromkeys(questions))[:MOST_OPEN_QUESTIONS]


def _order(running: Sequence[RootCause], frame: Frame) -> list[str]:
    """Return whether the first two began in the same step."""
    onsets = [cause.onset for cause in running]
    if len(running) < 2 or onsets[0] is None or onsets[0] != onsets[1]:
        return []
    both = f"{running[0].service} and {running[1].service}"
    if frame.time_us.size and frame.time_us[0] == microseconds_of(onsets[0]):
        return [f"{both} both strayed before {onsets[0]:%H:%M}, where the window begins: a longer window would order them"]
    step = step_s(frame.window)
    finer = f" than {step:.0f} s" if isfinite(step) else ""
    return [f"{both} both began at {onsets[0]:%H:%M}: telemetry at a finer step{finer} would order them"]


def _unmeasured(running: Sequence[RootCause], inputs: RcaInputs) -> list[str]:
    """Return which signals of the likely causes, and which of their callees, are not measured."""
    measured = {service for service, _ in inputs.window.series}
    gaps = []
    for cause in running[:2]:
        signals = {spec_of(metric).signal for service, metric in inputs.window.series if service == cause.service}
        if not signals:
            gaps.append(f"nothing is measured of {cause.service}: its latency and errors would decide")
        elif "latency" not in signals:
            gaps.append(f"no latency of {cause.service} is measured")
        elif "saturation" not in signals:
            gaps.append(f"no resources of {cause.service} are measured (cpu, memory, connections)")
        silent = [callee for callee in inputs.graph.callees(cause.service) if callee not in measured]
        if silent:
            gaps.append(f"nothing is measured of {', '.join(silent[:3])}, which {cause.service} calls")
    return gaps


def _unconnected(inputs: RcaInputs) -> list[str]:
    components = {inputs.graph.component_of(service) for service in inputs.alerted}
    unknown = sorted(service for service in inputs.alerted if inputs.graph.component_of(service) is None)
    if unknown:
        return [f"the call graph does not know {', '.join(unknown[:3])}: traces or a table of calls would place them"]
    return (
        ["the call graph does not connect the alerted services: traces or a table of calls would"] if len(components) > 1 else []
    )


def _silent_changes(inputs: RcaInputs) -> list[str]:
    return [] if inputs.changes_recorded else ["no deployment events are known: changes just before would speak for a service"]


def _short(frame: Frame, inputs: RcaInputs) -> list[str]:
    gaps = []
    if inputs.ranker is None and inputs.calm.time_us.size < LEAST_CALM_STEPS:
        gaps.append(f"only {inputs.calm.time_us.size} steps of calm time are known: what is usual would be surer after more")
    if 0 < frame.time_us.size < 5:
        gaps.append(f"only {frame.time_us.size} steps of the incident are known yet: the next minutes would decide")
    return gaps
