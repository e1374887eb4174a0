"""Routes: configuration, then measured character; every route has a reason and somebody who steps in."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aiops.detection.routing import Route, Router, RoutingRules, flagged_by, on_failure
from aiops.errors import ConfigurationError
from aiops.features.series_character import SeriesCharacter
from aiops.settings.routing_globs import parse_overrides
from aiops.settings.routing_settings import RoutingSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.metrics import CATALOGUE, nature_of
from data_contracts.series.series_name import SeriesName
from tests.testing.series_names import named

PLAIN = SeriesCharacter(4000, 60.0, 0.1, 0.0, 0.05, 0.0, 0.1, 0.2, 0.8, 0.9, 1.0)
RULES = RoutingRules(critical_services=("pay*",), business_metrics=("carts_*",), overrides=(("web|queue_*", 3), ("*|odd", 2)))


def series(service: str, metric: str) -> SeriesName:
    """Return a series by its service and its metric with labels; "" is no metric."""
    return named(f"{service}|{metric}") if metric else SeriesName(0, service, "", "")


def route(metric: str, service: str = "cart", character: SeriesCharacter | None = None) -> Route:
    name = series(service, metric)
    return Router(RULES, {name: character} if character else {}).route(name)


@pytest.mark.parametrize(
    ("service", "metric", "character", "tier", "confirmers", "reason"),
    [
        ("cart", "cpu_utilization", None, 1, (3, 2), "infrastructure signal (saturation)"),
        ("cart", "latency_p99_ms", PLAIN, 1, (3, 2), "infrastructure signal (latency)"),
        ("cart", "requests_per_second", None, 2, (2, 3), "business signal (traffic)"),
        ("cart", 'orders_total{shop="a"}', None, 2, (2, 3), "business signal (traffic)"),
        ("cart", "carts_open", None, 2, (2, 3), "business signal (matches carts_*)"),
        ("cart", "gc_runs", None, 1, (3, 2), "infrastructure signal (traffic)"),
        ("payments", "cpu_utilization", None, 3, (3, 2), "critical service (matches pay*)"),
        ("payments", "requests_per_second", None, 3, (3, 2), "critical service"),
        ("web", "queue_length", None, 3, (3, 2), "override web|queue_*=3"),
        ("payments", "odd", None, 2, (2, 3), "override *|odd=2"),
        ("cart", "", None, 3, (3,), "no metric of the service stands out"),
        ("cart", "cpu_utilization", replace(PLAIN, seasonality=0.83), 2, (2, 3), "strong season (strength 0.83, limit 0.6)"),
        ("cart", "cpu_utilization", replace(PLAIN, seasonality=float("nan")), 1, (3, 2), "infrastructure"),
        ("cart", "error_rate", replace(PLAIN, seasonality=0.9, intermittence=0.7), 1, (3,), "absent or 0 for 70 % of the time"),
        ("cart", "requests_per_second", replace(PLAIN, intermittence=0.7), 1, (3,), "business signal (traffic), intermittent"),
        ("cart", "requests_per_second", replace(PLAIN, noise=1.5), 1, (3,), "very noisy (jumps by 1.50 of its level, limit 1)"),
        ("payments", "error_rate", replace(PLAIN, intermittence=0.7), 3, (3,), "critical service"),
    ],
)
def test_each_rule(
    service: str, metric: str, character: SeriesCharacter | None, tier: int, confirmers: tuple[int, ...], reason: str
) -> None:
    decided = route(metric, service, character)
    assert (decided.tier, decided.confirmers) == (tier, confirmers)
    assert reason in decided.reason
    assert decided.critical is (tier == 3 and bool(metric))


def test_the_nature_of_listed_metrics() -> None:
    assert [name for name in CATALOGUE if nature_of(name) == "business"] == ["requests_per_second"]


names = st.text('abcpqy_*|{}="', max_size=12)
shares = st.floats(0, 1) | st.just(float("nan"))


@given(names, names, st.sampled_from(["", '{"a":"b|c"}']), shares, shares, shares)
def test_every_series_has_a_route_with_a_reason_and_a_known_chain(
    service: str, metric: str, labels: str, season: float, gaps: float, noise: float
) -> None:
    character = replace(PLAIN, seasonality=season, intermittence=gaps, noise=noise)
    name = SeriesName(7, service, metric, labels)
    router = Router(RULES, {name: character})
    decided = router.route(name)
    assert decided == router.route(name) == Router(RULES, {name: character}).route(name)
    assert decided.reason
    assert decided.confirmers in {(3, 2), (2, 3), (3,)}
    if (gaps >= 0.5 or noise >= 1.0) and "override" not in decided.reason:
        assert 2 not in (decided.tier, *decided.confirmers)


def test_the_version_changes_with_rules_and_characters_alone() -> None:
    first, other = named("a|b"), named("c|d")
    same = Router(RULES, {first: PLAIN, other: PLAIN}).version
    assert same == Router(RULES, {other: PLAIN, first: PLAIN}).version
    others = [Router(replace(RULES, noisy=2.0), {}), Router(RULES, {}), Router(RULES, {first: replace(PLAIN, noise=0.06)})]
    assert len({same, *(router.version for router in others)}) == 4


@pytest.mark.parametrize("text", ["cart", "cart=1", "cart|cpu", "cart|cpu=4", "cart|cpu=", "*|a=1; b"])
def test_an_override_of_another_form_is_refused_with_its_fix(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not service\|metric=tier with tier 1, 2 or 3; write for example"):
        parse_overrides(text)
    with pytest.raises(ValidationError, match=r"routing\.overrides"):
        RoutingSettings(overrides=text)


def test_labels_may_hold_signs() -> None:
    assert parse_overrides('*|http{code="500",path="/a"}=1') == (('*|http{code="500",path="/a"}', 1),)


def test_rules_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_ROUTING__CRITICAL_SERVICES", "pay; check*")
    monkeypatch.setenv("AIOPS_ROUTING__OVERRIDES", "*|q=1")
    rules = RoutingRules.of(Settings().routing)
    assert (rules.critical_services, rules.overrides) == (("pay", "check*"), (("*|q", 1),))
    assert Router(rules).route(named("checkout|q")).tier == 1, "an override has the first word"
    assert Router(rules).route(named("checkout|cpu")).critical


def test_who_steps_in_is_said() -> None:
    assert on_failure(route("cpu_utilization")) == (
        "a flag of tier 1 is confirmed by tier 3; without its answer by tier 2; without that tier 1 decides alone"
    )
    assert on_failure(route("")) == "a flag of tier 1 is confirmed by tier 3; without that tier 1 decides alone"


@pytest.mark.parametrize(("metric", "limit"), [("disk_utilization", "0.98 or more, its hard limit"), ("latency_p99_ms", "")])
def test_what_flags_a_series_names_its_hard_limit_where_there_is_one_and_only_what_is_on(metric: str, limit: str) -> None:
    text = flagged_by(metric, novelty=True, safety_net=True)
    assert limit in text
    assert ("hard limit" in text) is bool(limit)
    assert "rare in its own history" in text
    assert "same value for far longer" in text
    alone = flagged_by(metric, novelty=False, safety_net=False)
    assert text.startswith(alone)
    assert not any(word in alone for word in ("history", "hard limit", "longer"))
