"""Whether an action helped: what must have fallen for it to be better, and what is worse or unclear."""

from dataclasses import replace

import pytest

from aiops.automation.judgement import judge
from aiops.automation.runbook import Verify
from aiops.automation.service_state import Judgement, ServiceState, Verdict

VERIFY = Verify(
    better="after.error_excess <= 0.5 * peak.error_excess && after.latency_excess <= 0.5 * peak.latency_excess",
    worse="after.error_excess > 1.25 * peak.error_excess || after.new_services > 3",
)
CALM = ServiceState(0.0, 0.0, 0, 0, 60)
HARM = ServiceState(8.0, 4.0, 2, 0, 60)


def verdict(peak: ServiceState, after: ServiceState) -> Verdict:
    return judge(VERIFY, Judgement(CALM, peak, after)).verdict


@pytest.mark.parametrize(
    ("peak", "after", "expected"),
    [
        (HARM, CALM, Verdict.BETTER),
        (HARM, replace(HARM, error_excess=5.0), Verdict.UNCLEAR),
        (HARM, replace(HARM, error_excess=11.0), Verdict.WORSE),
        (HARM, replace(CALM, new_services=4), Verdict.WORSE),
        (HARM, replace(CALM, points=0), Verdict.UNCLEAR),
    ],
)
def test_the_conditions_decide(peak: ServiceState, after: ServiceState, expected: Verdict) -> None:
    assert verdict(peak, after) is expected


@pytest.mark.parametrize("firing", [0, 2])
def test_half_of_nothing_is_no_cure(firing: int) -> None:
    looks = Judgement(CALM, replace(CALM, alerts_firing=firing), replace(CALM, alerts_firing=firing))
    finding = judge(VERIFY, looks)
    assert finding.verdict is Verdict.UNCLEAR
    assert finding.why.startswith("nothing that is looked at has fallen: errors 0.0 → 0.0")


def test_alerts_that_end_are_a_cure_where_nothing_else_strayed() -> None:
    assert verdict(replace(CALM, alerts_firing=1), CALM) is Verdict.BETTER


def test_what_is_unknown_has_not_fallen() -> None:
    unknown = float("nan")
    peak = replace(CALM, error_excess=unknown, latency_excess=unknown)
    assert verdict(peak, CALM) is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("peak", "after", "expected"),
    [
        (ServiceState(81.0, 80.0, 2, 0, 60), ServiceState(0.0, 0.0, 2, 0, 60), Verdict.BETTER),
        (ServiceState(2.0, 1.0, 2, 0, 60), ServiceState(0.0, 0.0, 2, 0, 60), Verdict.UNCLEAR),
        (ServiceState(2.0, 1.0, 2, 0, 60), ServiceState(0.0, 0.0, 0, 0, 60), Verdict.BETTER),
    ],
)
def test_alerts_that_outlast_a_clear_cure_do_not_hide_it(peak: ServiceState, after: ServiceState, expected: Verdict) -> None:
    assert judge(Verify(), Judgement(CALM, peak, after)).verdict is expected
