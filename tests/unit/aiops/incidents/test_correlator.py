"""Alerts → incidents: repetitions, suppression, grouping by time and distance, merging, splitting, storms, the page budget."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aiops.errors import ConfigurationError, ContractError, StateError
from aiops.incidents.alert import Alert, Severity, alert_of_plain, fingerprint_of, plain_alert
from aiops.incidents.correlation import closeness
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.correlation.outcome import Outcome
from aiops.incidents.correlation.page_limit import PageLimit
from aiops.incidents.correlation.suppression import MaintenanceWindow, Matcher, Silence, Suppression
from aiops.incidents.incident import IncidentState, TimelineEvent, kept_events, may_follow
from aiops.topology.graph import ServiceGraph

START = datetime(2026, 3, 2, tzinfo=UTC)
GRAPH = ServiceGraph.from_pairs(
    [("web", "cart"), ("cart", "db"), ("db", "disk"), ("disk", "array"), ("array", "rack"), ("bank", "ledger")], ["alone"]
)


def alert(second: float, service: str, name: str = "Slow", severity: Severity = Severity.CRITICAL, number: int = 0) -> Alert:
    at = START + timedelta(seconds=second)
    labels = {"service": service, "alertname": name}
    return Alert(f"{service}-{name}-{second}-{number}", fingerprint_of(labels), service, name, severity, at, labels=labels)


def ended(second: float, service: str, name: str = "Slow") -> Alert:
    return replace(alert(0, service, name), alert_id=f"end-{service}-{name}", ends_at=START + timedelta(seconds=second))


def after(second: float) -> datetime:
    return START + timedelta(seconds=second)


def run(alerts: list[Alert], until: float = 120, config: CorrelationConfig | None = None) -> tuple[Correlator, Outcome]:
    correlator = Correlator(GRAPH, config)
    correlator.add(alerts)
    return correlator, correlator.advance(after(until))


def shown(correlator: Correlator) -> list[tuple[str, ...]]:
    return [incident.services for incident in correlator.open_incidents()]


def test_fingerprints_leave_out_what_changes() -> None:
    labels = {"service": "cart", "alertname": "Slow"}
    assert fingerprint_of({**labels, "pod": "cart-1", "value": "3"}) == fingerprint_of(labels)
    assert fingerprint_of({**labels, "zone": "a"}) != fingerprint_of(labels)
    assert fingerprint_of(labels, frozenset({"service"})) == fingerprint_of({"alertname": "Slow"})


def test_repetitions_are_counted_and_only_the_first_pages() -> None:
    correlator, outcome = run([alert(second, "web", number=second) for second in range(50)])
    (incident,) = correlator.open_incidents()
    (entry,) = incident.alerts
    assert (entry.count, entry.last_seen, incident.alert_count) == (50, after(49), 50)
    assert [fate.reason for fate in outcome.fates] == ["opened", *["repeated"] * 49]
    assert len(outcome.pages) == 1


def test_neighbours_join_and_what_is_far_away_does_not() -> None:
    correlator, _ = run([alert(0, "db"), alert(10, "cart"), alert(20, "bank"), alert(30, "alone"), alert(40, "rack")])
    assert shown(correlator) == [("db", "cart"), ("bank",), ("alone",), ("rack",)]


def test_an_incident_does_not_creep_along_the_graph_beyond_its_radius() -> None:
    names = ("web", "cart", "db", "disk", "array", "rack")
    correlator, _ = run([alert(10.0 * place, name) for place, name in enumerate(names)])
    assert shown(correlator) == [("web", "cart", "db", "disk"), ("array", "rack")]


def test_what_comes_after_the_window_is_another_incident() -> None:
    config = CorrelationConfig(window_s=100, least_window_s=10, quiet_s=10_000)
    assert shown(run([alert(0, "web"), alert(100, "cart")], 400, config)[0]) == [("web", "cart")]
    assert shown(run([alert(0, "web"), alert(101, "cart")], 400, config)[0]) == [("web",), ("cart",)]


def test_window_and_reach_shrink_with_the_rate() -> None:
    config = CorrelationConfig(calm_per_min=10, window_s=600, least_window_s=60, reach=2)
    assert (config.window_now_s(10), config.reach_now(10)) == (600, 2)
    assert (config.window_now_s(40), config.reach_now(40)) == (300, 1)
    assert (config.window_now_s(10**6), config.reach_now(10**6)) == (60, 1)
    busy = [alert(0, "web"), *(alert(1, "alone", f"n{number}") for number in range(50)), alert(2, "db")]
    assert shown(run(busy, config=config)[0]) == [("web",), ("alone",), ("db",)]
    assert shown(run([busy[0], busy[-1]], config=config)[0]) == [("web", "db")]


def test_callers_of_an_open_incident_are_its_children() -> None:
    correlator, outcome = run([alert(0, "disk"), alert(5, "web")])
    assert shown(correlator) == [("disk", "web")]
    assert len(outcome.pages) == 1
    assert shown(run([alert(0, "web"), alert(5, "disk")])[0]) == [("web",), ("disk",)]


def test_an_alert_between_two_incidents_merges_them_into_the_older() -> None:
    correlator, outcome = run([alert(0, "web"), alert(1, "disk"), alert(2, "cart"), alert(3, "db")])
    (incident,) = correlator.open_incidents()
    assert set(incident.services) == {"web", "disk", "cart", "db"}
    (merged,) = [closed for closed in outcome.incidents if closed.state is IncidentState.MERGED]
    assert merged.merged_into == incident.incident_id
    assert incident.alert_count == 4


def test_a_persons_word_splits_and_links() -> None:
    correlator, _ = run([alert(0, "bank"), alert(1, "ledger")], 20)
    assert shown(correlator) == [("bank", "ledger")]
    correlator.teach("bank", "ledger", together=False)
    outcome = correlator.advance(after(60))
    assert shown(correlator) == [("bank",), ("ledger",)]
    assert sum(incident.alert_count for incident in outcome.incidents) == 2
    correlator.teach("alone", "bank", together=True)
    correlator.add([alert(70, "alone")])
    correlator.advance(after(100))
    assert shown(correlator) == [("bank", "alone"), ("ledger",)]


def test_another_graph_takes_an_incident_apart() -> None:
    correlator, _ = run([alert(0, "web"), alert(1, "cart")], 20)
    correlator.regraph(ServiceGraph.from_pairs([("cart", "db")], ["web"]))
    correlator.advance(after(60))
    assert shown(correlator) == [("web",), ("cart",)]


def test_a_bridge_that_ends_lets_both_sides_go() -> None:
    config = CorrelationConfig(reach=1, radius=3)
    correlator, _ = run([alert(0, "web"), alert(1, "cart"), alert(2, "db")], 20, config)
    assert shown(correlator) == [("web", "cart", "db")]
    correlator.add([ended(30, "cart")])
    outcome = correlator.advance(after(60))
    assert [set(services) for services in shown(correlator)] == [{"web", "cart"}, {"db"}]
    assert any("split" in event.what for incident in outcome.incidents for event in incident.timeline)


def test_calls_whose_ends_never_fail_together_grow_longer() -> None:
    config = CorrelationConfig(quiet_s=30, window_s=20, least_window_s=10)
    correlator = Correlator(GRAPH, config)

    def length(service: str, other: str) -> float:
        near = closeness.Closeness(GRAPH)
        near.restore(correlator.snapshot()["closeness"])
        return near.length(service, other)

    for round_ in range(10):
        correlator.add([alert(1000.0 * round_, "bank", number=round_)])
    correlator.advance(after(20_000))
    assert length("bank", "ledger") > 3
    for round_ in range(60):
        correlator.add([alert(20_000 + 1000.0 * round_ + more, name) for more, name in ((0, "web"), (1, "cart"))])
    correlator.advance(after(100_000))
    assert length("web", "cart") < 0.6


def test_services_that_always_begin_together_become_neighbours() -> None:
    config = CorrelationConfig(quiet_s=60, window_s=50, least_window_s=10)
    correlator = Correlator(GRAPH, config)
    for round_ in range(12):
        correlator.add([alert(1000.0 * round_ + more, name) for more, name in ((0, "alone"), (1, "ledger"))])
        correlator.advance(after(1000.0 * round_ + 20))
        if round_ == 0:
            assert shown(correlator) == [("alone",), ("ledger",)]
    assert shown(correlator) == [("alone", "ledger")]


def test_ended_alerts_mitigate_and_quiet_resolves() -> None:
    correlator, _ = run([alert(0, "web"), ended(30, "web")], 60)
    assert correlator.open_incidents()[0].state is IncidentState.MITIGATED
    correlator.add([alert(70, "web")])
    correlator.advance(after(90))
    assert correlator.open_incidents()[0].state is IncidentState.OPEN
    outcome = correlator.advance(after(2000))
    assert [incident.state for incident in outcome.incidents] == [IncidentState.RESOLVED]
    assert correlator.open_incidents() == ()
    correlator.add([ended(2010, "web")])
    assert [fate.reason for fate in correlator.advance(after(2100)).fates] == ["ended: of no open incident"]


def test_people_move_incidents_through_their_states() -> None:
    correlator, outcome = run([alert(0, "web")], 30)
    number = outcome.incidents[0].incident_id
    assert correlator.change(number, IncidentState.ACKNOWLEDGED, after(40), "sam").timeline[-1].by == "sam"
    with pytest.raises(ContractError, match="acknowledged cannot follow acknowledged"):
        correlator.change(number, IncidentState.ACKNOWLEDGED, after(41), "sam")
    assert correlator.change(number, IncidentState.RESOLVED, after(50), "sam").state is IncidentState.RESOLVED
    with pytest.raises(ContractError, match="is not open"):
        correlator.change(number, IncidentState.OPEN, after(60), "sam")


def test_people_merge_duplicates() -> None:
    correlator, outcome = run([alert(0, "web"), alert(1, "bank")], 30)
    web, bank = (incident.incident_id for incident in outcome.incidents)
    for other, message in ((web, "into itself"), ("x", "is not open")):
        with pytest.raises(ContractError, match=message):
            correlator.merge(web, other, after(40), "sam")
    with pytest.raises(ContractError, match="use merge"):
        correlator.change(web, IncidentState.MERGED, after(40), "sam")
    assert correlator.merge(web, bank, after(40), "sam").services == ("web", "bank")
    changed = {incident.incident_id: incident for incident in correlator.advance(after(50)).incidents}
    assert (changed[bank].state, changed[bank].merged_into, changed[web].alert_count) == (IncidentState.MERGED, web, 2)
    correlator.add([alert(60, "bank")])
    assert correlator.advance(after(70)).fates[0].incident_id == web
    assert changed[bank].alerts[0].count == 1


def test_transitions_of_values() -> None:
    may_follow(IncidentState.OPEN, IncidentState.RESOLVED, "inc-1")
    for state in IncidentState:
        with pytest.raises(ContractError, match="nothing: it is closed"):
            may_follow(IncidentState.RESOLVED, state, "inc-1")
    many = tuple(TimelineEvent(after(second), str(second)) for second in range(500))
    assert (len(kept_events(many)), kept_events(many)[0], kept_events(many)[-1]) == (200, many[0], many[-1])


def everything(service: str) -> tuple[Matcher, ...]:
    return (Matcher("service", "=", service),)


def test_recurring_maintenance() -> None:
    weekly = MaintenanceWindow("backup", everything("web"), after(3600), after(7200), timedelta(days=7), after(15 * 86400))
    for day, second, hidden in (
        (0, 3599, False),
        (0, 3600, True),
        (0, 7200, False),
        (3, 4000, False),
        (7, 4000, True),
        (21, 4000, False),
    ):
        assert weekly.covers(alert(0, "web"), after(86400 * day + second)) is hidden
    assert not weekly.covers(alert(0, "cart"), after(4000))


@pytest.mark.parametrize(
    ("expression", "service", "fits"),
    [
        ("cart|web", "web", True),
        ("cart|web", "web-db", False),
        ("cart.", "cart\n", True),
        ("cart", "cart\n", False),
        ("(?i)Cart", "CART", True),
        ("", "", True),
        ("(a+)+b", "a" * 5000, False),  # years with an engine that goes back
    ],
)
def test_expressions_match_whole_labels(expression: str, service: str, fits: bool) -> None:
    assert Matcher("service", "=~", expression).matches(alert(0, service)) is fits
    assert Matcher("service", "!~", expression).matches(alert(0, service)) is not fits


def test_suppressed_alerts_are_named_with_their_reason() -> None:
    rules = Suppression(
        (MaintenanceWindow("move", everything("web"), after(0), after(10)),),
        (Silence("known", (Matcher("alertname", "=~", "Slow.*"), Matcher("severity", "!=", "critical")), after(0), after(100)),),
    )
    correlator = Correlator(GRAPH, suppression=rules)
    correlator.add(
        [
            alert(5, "web"),
            alert(15, "web"),
            alert(16, "cart", "SlowDisk", Severity.WARNING),
            alert(17, "cart", "Down", Severity.WARNING),
        ]
    )
    fates = correlator.advance(after(60)).fates
    assert [fate.reason for fate in fates] == ["maintenance: move", "opened", "silence: known", "joined"]
    assert [bool(fate.incident_id) for fate in fates] == [False, True, False, True]
    correlator.suppress(Suppression())
    correlator.add([alert(70, "cart", "SlowDisk", Severity.WARNING)])
    assert correlator.advance(after(90)).fates[0].reason == "joined"


def test_the_end_of_an_alert_counts_in_a_silence_too() -> None:
    correlator = Correlator(GRAPH)
    correlator.add([alert(5, "web")])
    number = correlator.advance(after(20)).incidents[0].incident_id
    correlator.suppress(Suppression((), (Silence("calm", everything("web"), after(20), after(900)),)))
    correlator.add([alert(30, "web", number=1), ended(40, "web")])
    outcome = correlator.advance(after(60))
    assert [fate.reason for fate in outcome.fates] == ["silence: calm", "ended"]
    assert (outcome.incidents[0].incident_id, outcome.incidents[0].state) == (number, IncidentState.MITIGATED)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Matcher("a", "~", "b"), "operator"),
        (lambda: Matcher("a", "=~", "("), "no regular expression"),
        (lambda: Matcher("a", "!~", "b)(c"), "no regular expression"),
        (lambda: Matcher("a", "=~", "(?!b).*"), "no look-around"),
        (lambda: Matcher("a", "=~", r"(b)\1"), "no back-references"),
        (lambda: Matcher("a", "=~", "b" * 501), "at most 500"),
        (lambda: Silence("s", (), START, after(1)), "hide every alert"),
        (lambda: Silence("s", everything("a"), START, START), "not after"),
        (lambda: MaintenanceWindow("m", everything("a"), START, after(60), timedelta(seconds=30)), "shorter than the window"),
        (
            lambda: MaintenanceWindow("m", everything("a"), after(9), after(19), timedelta(days=1), after(9)),
            "until=.* is not after",
        ),
        (lambda: CorrelationConfig(quiet_s=0), "quiet_s=0"),
        (lambda: CorrelationConfig(reach=5), "reach=5"),
        (lambda: PageLimit(3, 4), "kept_for_critical=4"),
    ],
)
def test_rules_that_cannot_work_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_a_storm_opens_one_incident_a_component_keeps_every_alert_and_passes() -> None:
    config = CorrelationConfig(storm_per_min=100, quiet_s=100_000)
    names = ("web", "cart", "db", "disk", "array", "rack")
    alerts = [alert(second / 10, names[second % 6], f"n{second}", number=second) for second in range(600)]
    alerts += [alert(30 + second / 10, "bank", f"n{second}", number=second) for second in range(100)]
    correlator, outcome = run(alerts, 62, config)
    assert outcome.storm.active
    assert outcome.storm.entered == 1
    assert outcome.storm.per_minute >= 600
    assert [set(services) for services in shown(correlator)] == [set(names), {"bank"}]
    assert sum(incident.alert_count for incident in correlator.open_incidents()) == 700
    assert len(outcome.fates) == 700
    calm = correlator.advance(after(300))
    assert (calm.storm.active, calm.storm.entered) == (False, 1)
    correlator.add([alert(301, "alone")])
    assert not correlator.advance(after(310)).incidents[-1].storm


def test_warnings_page_once_there_is_more_than_one_and_news_never() -> None:
    assert run([alert(0, "web", severity=Severity.INFO, number=n) for n in range(9)])[1].pages == ()
    assert run([alert(0, "web", severity=Severity.WARNING)])[1].pages == ()
    assert len(run([alert(0, "web", "A", Severity.WARNING), alert(0, "web", "B", Severity.WARNING)])[1].pages) == 1


def test_information_does_not_make_a_single_warning_a_page() -> None:
    news = [alert(second, "web", f"news{second}", Severity.INFO) for second in range(9)]
    warned = alert(10, "web", "A", Severity.WARNING)
    assert run([*news, warned])[1].pages == ()
    assert len(run([*news, warned, alert(11, "web", "B", Severity.WARNING)])[1].pages) == 1
    assert len(run([*news, *(alert(second, "web", "A", Severity.WARNING) for second in range(10, 13))])[1].pages) == 1


def test_an_incident_that_becomes_worse_pages_again_and_names_the_worst_service_first() -> None:
    warned = [alert(0, "web", "A", Severity.WARNING), alert(1, "web", "B", Severity.WARNING)]
    first, again = run([*warned, alert(12, "cart"), alert(13, "cart", "C")])[1].pages
    assert (first.services, first.again, first.severity) == (("web",), False, Severity.WARNING)
    assert (again.services, again.again, again.severity) == (("cart", "web"), True, Severity.CRITICAL)


def test_in_a_storm_warnings_wait() -> None:
    config = CorrelationConfig(storm_per_min=20)
    loud = [alert(0, "web", number=number) for number in range(30)]
    warned = [alert(5, "bank", "A", Severity.WARNING), alert(6, "bank", "B", Severity.WARNING)]
    correlator, outcome = run([*loud, *warned], 20, config)
    assert [page.services for page in outcome.pages] == [("web",)]
    assert len(outcome.held_back) == 1
    assert [page.services for page in correlator.advance(after(300)).pages] == [("bank",)]


def test_the_budget_holds_back_lists_and_sends_the_worst_first_once_there_is_room() -> None:
    graph = ServiceGraph.from_pairs([], [f"s{number}" for number in range(6)])
    correlator = Correlator(graph, CorrelationConfig(pages_per_hour=3, kept_for_critical=1, quiet_s=10_000))
    warned = [alert(10.0 * number, f"s{number}", name, Severity.WARNING) for number in range(4) for name in ("A", "B")]
    correlator.add([*warned, alert(50, "s4"), alert(60, "s5")])
    outcome = correlator.advance(after(100))
    assert [page.services for page in outcome.pages] == [("s0",), ("s1",), ("s4",)]
    waiting = {incident.incident_id: incident.anchor for incident in correlator.open_incidents()}
    assert [waiting[held.incident_id] for held in outcome.held_back] == ["s5", "s2", "s3"]
    later = correlator.advance(after(3700))
    assert [page.services for page in later.pages] == [("s5",), ("s2",)]
    assert later.pages[0].waited_s > 3000
    assert len(later.held_back) == 1


def test_memory_is_bounded() -> None:
    config = CorrelationConfig(most_open=5, most_alerts=10)
    graph = ServiceGraph.from_pairs([], [f"s{number}" for number in range(40)])
    correlator = Correlator(graph, config)
    correlator.add([alert(number, f"s{number}") for number in range(40)])
    outcome = correlator.advance(after(60))
    assert len(correlator.open_incidents()) == 5
    assert len({fate.incident_id for fate in outcome.fates}) == 40
    correlator.add([alert(61, "s39", f"n{number}") for number in range(50)])
    correlator.advance(after(70))
    assert (len(correlator.open_incidents()[-1].alerts), correlator.open_incidents()[-1].alert_count) == (10, 51)


def test_late_alerts_and_wrong_clocks_are_taken_as_of_now() -> None:
    correlator, _ = run([alert(0, "web")], 100)
    correlator.add([alert(5, "cart"), alert(10_000_000, "bank")])
    outcome = correlator.advance(after(110))
    assert [(fate.reason, bool(fate.incident_id)) for fate in outcome.fates] == [("joined", True), ("opened", True)]
    assert outcome.late == 1


def test_alerts_survive_as_plain_data() -> None:
    original = replace(alert(1, "web"), value=2.0, z=3.0, ends_at=after(3), score=0.123456789)
    assert alert_of_plain(plain_alert(original)) == original


def test_a_snapshot_of_another_version_or_a_damaged_one_is_refused() -> None:
    with pytest.raises(StateError, match="version=None"):
        Correlator(GRAPH).restore({})
    state = run([alert(0, "web")])[0].snapshot()
    del state["pages"]
    with pytest.raises(StateError, match="damaged"):
        Correlator(GRAPH).restore(state)


def test_a_page_that_waits_is_not_lost_when_people_merge() -> None:
    config = CorrelationConfig(pages_per_hour=1, kept_for_critical=0)
    correlator, outcome = run([alert(0, "web"), alert(10, "bank"), alert(20, "alone", severity=Severity.WARNING)], 40, config)
    ids_by_anchor = {incident.anchor: incident.incident_id for incident in outcome.incidents}
    assert [incident.incident_id for incident in outcome.held_back] == [ids_by_anchor["bank"]]
    correlator.merge(ids_by_anchor["alone"], ids_by_anchor["bank"], after(50), "ann")
    assert [incident.incident_id for incident in correlator.advance(after(60)).held_back] == [ids_by_anchor["alone"]]
    correlator.add([alert(second, "alone") for second in range(300, 3600, 300)])
    pages = correlator.advance(after(3700)).pages
    assert [(page.incident_id, page.severity) for page in pages] == [(ids_by_anchor["alone"], Severity.CRITICAL)]


def test_a_mitigated_incident_opens_again_with_what_people_merge_into_it() -> None:
    correlator, outcome = run([alert(0, "web"), alert(10, "bank"), ended(20, "web")])
    by_anchor = {incident.anchor: incident for incident in outcome.incidents}
    assert by_anchor["web"].state is IncidentState.MITIGATED
    merged = correlator.merge(by_anchor["web"].incident_id, by_anchor["bank"].incident_id, after(130), "ann")
    assert merged.state is IncidentState.OPEN


def test_memory_of_distances_is_bounded_near_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closeness, "MOST_NEAR", 1000)
    hub = closeness.Closeness(ServiceGraph.from_pairs([(f"s{number}", "hub") for number in range(99)]))
    for number in range(50):
        assert len(hub.near(f"s{number}", 3.0)) == 100
        assert hub.kept_distances <= 1000
    assert hub.near("s49", 3.0) is hub.near("s49", 3.0)


def test_a_merged_incident_stays_as_it_was_when_it_was_merged() -> None:
    ways = []
    for cuts in ((3.5, 60.0), (60.0,)):
        correlator = Correlator(GRAPH, CorrelationConfig(settle_s=0))
        correlator.add([alert(0, "web"), alert(1, "disk"), alert(2, "cart"), alert(3, "db"), alert(5, "disk", number=1)])
        outcomes = [correlator.advance(after(cut)) for cut in cuts]
        merged = [incident for outcome in outcomes for incident in outcome.incidents if incident.state is IncidentState.MERGED]
        ways.append([entry.count for entry in merged[-1].alerts])
    assert ways == [[1], [1]]


def test_an_alert_whose_source_tells_its_end_holds_its_incident_open() -> None:
    config = CorrelationConfig()
    firing = replace(alert(0, "cart"), until_ended=True)
    correlator, _ = run([firing], 2 * config.quiet_s)
    (still,) = correlator.open_incidents()
    over = 2 * config.quiet_s + 60
    correlator.add([replace(firing, alert_id="over", ends_at=after(over))])
    (mitigated,) = correlator.advance(after(over + 30)).incidents
    assert (mitigated.incident_id, mitigated.state) == (still.incident_id, IncidentState.MITIGATED)
    (closed,) = correlator.advance(after(over + config.quiet_s + 60)).incidents
    assert (closed.incident_id, closed.state) == (still.incident_id, IncidentState.RESOLVED)


def test_an_alert_that_was_neither_ended_nor_repeated_for_hours_counts_as_gone() -> None:
    config = CorrelationConfig()
    correlator, _ = run([replace(alert(0, "cart"), until_ended=True)], config.firing_s - 60)
    assert len(correlator.open_incidents()) == 1
    correlator.advance(after(config.firing_s + 60))
    assert correlator.open_incidents() == ()


def test_a_repetition_of_an_alert_that_began_long_ago_is_not_late() -> None:
    correlator, _ = run([replace(alert(0, "cart"), until_ended=True)], 300)
    correlator.add([replace(alert(0, "cart"), alert_id="again", until_ended=True)])
    outcome = correlator.advance(after(400))
    assert ([fate.reason for fate in outcome.fates], outcome.late) == (["repeated"], 0)
