"""Whether an action helped: the conditions of a runbook over three looks at the services. Unclear is never success."""

from aiops.automation.expressions import condition
from aiops.automation.fact_names import Facts, Scope
from aiops.automation.fact_values import verify_facts
from aiops.automation.runbook import Verify
from aiops.automation.service_state import Finding, Judgement, ServiceState, Verdict


def judge(verify: Verify, looks: Judgement) -> Finding:
    """Return what the conditions of a runbook say; where both hold it is worse, where neither does it is unclear.

    It is better only where errors, latency or firing alerts have fallen: "half as many" also holds where there were none.

    Raises:
        ExpressionError: a condition cannot be used; runbooks with such a condition are refused when they are loaded.
    """
    if looks.after.points <= 0:
        return Finding(Verdict.UNCLEAR, "there is no telemetry from after the action", known=False)
    facts = verify_facts(looks)
    shown = _shown(looks)
    if _holds(verify.worse, facts):
        return Finding(Verdict.WORSE, shown)
    if _holds(verify.better, facts):
        if _has_fallen(looks.peak, looks.after):
            return Finding(Verdict.BETTER, shown)
        return Finding(Verdict.UNCLEAR, f"nothing that is looked at has fallen: {shown}")
    return Finding(Verdict.UNCLEAR, shown)


def _has_fallen(peak: ServiceState, after: ServiceState) -> bool:
    """Return whether anything is less than it was; what is not known is not less."""
    return (
        after.error_excess < peak.error_excess
        or after.latency_excess < peak.latency_excess
        or after.alerts_firing < peak.alerts_firing
    )


def _holds(text: str, facts: Facts) -> bool:
    return condition(text, Scope.VERIFY).answer(facts).holds


def _shown(looks: Judgement) -> str:
    before, after = looks.peak, looks.after
    parts = [
        f"errors {_excess(before, before.error_excess)} → {_excess(after, after.error_excess)}",
        f"latency {_excess(before, before.latency_excess)} → {_excess(after, after.latency_excess)} spreads beyond the baseline",
        f"alerts firing {before.alerts_firing} → {after.alerts_firing}",
    ]
    if after.new_services:
        parts.append(f"services that newly stray: {after.new_services}")
    return ", ".join(parts)


def _excess(state: ServiceState, excess: float) -> str:
    return f"{excess:.1f}" if state.points > 0 else "unknown"
