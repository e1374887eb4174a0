"""What verdicts teach is a fold: order and repetition do not matter, a correction takes back, every number is bounded."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aiops.incidents.feedback.facts import Finding, IncidentFacts, Judged, newest
from aiops.incidents.feedback.lessons import MOST_PRIOR, MOST_THRESHOLD, lessons
from aiops.incidents.feedback.verdict_labels import detections_of, label_of
from aiops.incidents.root_cause import RootCause
from aiops.incidents.verdict import Verdict, VerdictKind

START = datetime(2026, 1, 1, tzinfo=UTC)
SERVICES = st.sampled_from(["web", "cart", "db"])
SCORES = st.one_of(st.floats(0.0, 1.0), st.just(float("nan")))


@st.composite
def judgements(draw: st.DrawFn) -> list[Judged]:
    """Return verdicts on up to 10 incidents, one each."""
    judged = []
    for number in range(draw(st.integers(0, 10))):
        kind = draw(st.sampled_from(list(VerdictKind)))
        scores = draw(st.lists(st.tuples(SERVICES, SCORES), min_size=1, max_size=4))
        findings = tuple(Finding(f"{number}-{at}", service, "m", score) for at, (service, score) in enumerate(scores))
        anchor = findings[0].service
        causes = tuple(RootCause(name, 0.5, "") for name in draw(st.lists(SERVICES, max_size=2, unique=True)))
        services = tuple(dict.fromkeys(finding.service for finding in findings))
        apart = tuple(name for name in services if name != anchor and draw(st.booleans()))
        facts = IncidentFacts(
            f"inc-{number}", START, START + timedelta(minutes=9), anchor, services, findings, 0, True, causes, draw(st.booleans())
        )
        right = draw(SERVICES) if kind is VerdictKind.WRONG_CAUSE else ""
        other = draw(SERVICES) if kind is VerdictKind.DUPLICATE else ""
        verdict = Verdict(f"v{number}", facts.incident_id, kind, START, "me", right, "inc-x" if other else "", "", apart)
        judged.append(Judged(verdict, facts, other))
    return judged


@given(judgements(), st.randoms(use_true_random=False))
def test_the_order_does_not_matter(judged: list[Judged], chance: object) -> None:
    shuffled = list(judged)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert lessons(shuffled) == lessons(judged)


@given(judgements())
def test_every_number_is_bounded_and_a_real_incident_is_never_lost(judged: list[Judged]) -> None:
    taught = lessons(judged)
    assert all(0.5 < least <= MOST_THRESHOLD for least in taught.thresholds.values())
    assert all(0 < abs(odds) <= MOST_PRIOR for odds in taught.priors.values())
    assert all(incident < other and together + apart > 0 for (incident, other), (together, apart) in taught.pairs.items())
    for incident in judged:
        if incident.real:
            related = [finding for finding in incident.facts.findings if finding.service not in incident.verdict.unrelated]
            for series in {finding.series for finding in related}:
                assert any(taught.raises_alert(finding) for finding in related if finding.series == series)


def test_many_verdicts_reach_the_bounds_and_no_more() -> None:
    facts = IncidentFacts(
        "i", START, START, "web", ("web",), (Finding("d", "web", "m", 0.99),), causes=(RootCause("db", 0.5, ""),)
    )
    false = [Judged(Verdict(f"f{n}", "i", VerdictKind.FALSE_ALARM, START, "me"), facts) for n in range(12)]
    wrong = [Judged(Verdict(f"w{n}", "i", VerdictKind.WRONG_CAUSE, START, "me", "web"), facts) for n in range(40)]
    assert lessons(false).thresholds == {("web", "m"): MOST_THRESHOLD}
    assert lessons(false[:9] + wrong[:1]).thresholds == {("web", "m"): 0.9}
    assert lessons(wrong).priors == {"web": MOST_PRIOR, "db": -MOST_PRIOR}
    assert max(lessons(wrong[:1]).priors.values()) < 0.25, "one verdict says little"


@given(judgements(), st.integers(0, 29))
def test_a_false_alarm_more_never_lowers_and_a_real_one_never_raises(judged: list[Judged], place: int) -> None:
    if not judged:
        return
    incident = judged[place % len(judged)]
    rest = [other for other in judged if other is not incident]
    without = lessons(rest).thresholds
    false = lessons([*rest, _as(incident, VerdictKind.FALSE_ALARM)]).thresholds
    true = lessons([*rest, _as(incident, VerdictKind.TRUE)]).thresholds
    assert all(false.get(series, 0.5) >= least for series, least in without.items())
    assert all(least <= without.get(series, 0.5) for series, least in true.items())


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.sampled_from(list(VerdictKind))), max_size=20))
def test_only_the_newest_verdict_on_an_incident_counts(given_: list[tuple[int, int, VerdictKind]]) -> None:
    all_of_them = [
        Verdict(f"v{number}", f"inc-{incident}", kind, START + timedelta(seconds=second), "me")
        for number, (incident, second, kind) in enumerate(given_)
    ]
    kept = newest(all_of_them)
    assert newest(reversed(all_of_them)) == kept == newest([*kept, *all_of_them])
    assert len({verdict.incident_id for verdict in kept}) == len(kept) == len({verdict.incident_id for verdict in all_of_them})


@given(judgements())
def test_labels_are_those_of_real_incidents_only(judged: list[Judged]) -> None:
    for incident in judged:
        label, detections = label_of(incident), detections_of(incident)
        assert (label is not None) == incident.real
        if label is not None:
            assert label.onset_at <= label.starts_at < label.ends_at
            assert label.known_at == incident.verdict.given_at
        assert set(detections.values()) <= {incident.real}
        assert (incident.verdict.kind is VerdictKind.DUPLICATE) <= (not detections)


def _as(judged: Judged, kind: VerdictKind) -> Judged:
    return Judged(Verdict("v", judged.facts.incident_id, kind, START, "me"), judged.facts)
