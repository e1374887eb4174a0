"""A server followed live: every instant of a series once, late ones when they appear, whatever the cursor has been through."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from aiops.errors import ConfigurationError, SourceError
from serving.ingest.pull.prometheus_live import MOST_HISTORY_POINTS, LivePrometheus, Polled, PullCursor
from serving.ingest.pull.prometheus_queries import NamedQuery
from serving.ingest.pull.request_retries import RetryPolicy
from serving.ingest.pull.source_options import SourceOptions, parse_duration
from serving.ingest.pull.source_registry import open_live, open_source
from tests.testing.living_prometheus import LivingPrometheus, living_prometheus

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
BEGIN_S = int(BEGIN.timestamp())
STEP_S = 15
SERVICES = ("cart", "pay", "web")


@pytest.fixture
def server() -> Iterator[LivingPrometheus]:
    state = LivingPrometheus({"load": [{"service": name, "zone": "b"} for name in SERVICES]})
    with living_prometheus(state):
        yield state


def live(server: LivingPrometheus, **changes: object) -> LivePrometheus:
    plain = SourceOptions(url=server.url, queries=("load",), step_s=STEP_S, overlap_s=120, delay_s=5, retries=0)
    policy = RetryPolicy(0, lambda _: None, lambda: 1.0)
    return LivePrometheus(replace(plain, **changes), policy, lambda _: (NamedQuery("", "load"),))  # type: ignore[arg-type]


def points(polled: Polled) -> list[tuple[str, int, float]]:
    rows = [row for table in polled.tables for row in table.to_pylist()]
    return [(row["service"], int(row["timestamp"].timestamp()), row["value"]) for row in rows]


def test_nothing_is_asked_before_an_instant_is_due(server: LivingPrometheus) -> None:
    source, cursor = live(server), PullCursor.at(BEGIN, STEP_S)
    assert source.due_at_s(cursor) == BEGIN_S + 5
    polled = source.poll(cursor, BEGIN_S + 4.9)
    assert (points(polled), polled.cursor, polled.caught_up, server.asked) == ([], cursor, True, [])


def test_each_poll_gives_what_is_new_and_asks_again_for_the_overlap(server: LivingPrometheus) -> None:
    source, cursor = live(server), PullCursor.at(BEGIN, STEP_S)
    first = source.poll(cursor, BEGIN_S + 65.0)
    assert len(points(first)) == 3 * 5
    second = source.poll(first.cursor, BEGIN_S + 80.0)
    assert {at for _, at, _ in points(second)} == {BEGIN_S + 75}
    assert [int(float(query["start"])) for _, query in server.asked] == [BEGIN_S, BEGIN_S], "not before its beginning"
    assert second.newest_us == dict.fromkeys(SERVICES, (BEGIN_S + 75) * 1_000_000)


def test_a_late_point_is_given_when_it_appears_and_a_changed_one_is_not_given_again(server: LivingPrometheus) -> None:
    late, changed = BEGIN_S + 30, [0.0]
    there = [False]

    def value(name: str, labels: Mapping[str, str], at_s: int) -> float | None:
        if labels["service"] == "pay" and at_s == late and not there[0]:
            return None
        return at_s % 100 + changed[0]

    server.value = value
    source = live(server)
    first = source.poll(PullCursor.at(BEGIN, STEP_S), BEGIN_S + 65.0)
    assert ("pay", late) not in {(service, at) for service, at, _ in points(first)}
    there[0], changed[0] = True, 1.0
    second = source.poll(first.cursor, BEGIN_S + 80.0)
    assert [(service, at) for service, at, _ in points(second)] == [("pay", late), *((name, BEGIN_S + 75) for name in SERVICES)]
    third = source.poll(second.cursor, BEGIN_S + 95.0)
    assert {at for _, at, _ in points(third)} == {BEGIN_S + 90}


def test_after_hours_away_it_catches_up_page_by_page(server: LivingPrometheus) -> None:
    source, cursor, seen = live(server), PullCursor.at(BEGIN, STEP_S), Counter[tuple[str, int]]()
    now_s = BEGIN_S + 6 * 3600.0
    for _ in range(50):
        polled = source.poll(cursor, now_s)
        seen.update((service, at) for service, at, _ in points(polled))
        cursor = polled.cursor
        if polled.caught_up:
            break
    assert seen == Counter((name, at) for name in SERVICES for at in range(BEGIN_S, int(now_s) - 4, STEP_S))
    assert len(server.asked) > 3


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_late_and_however_time_goes_every_point_is_given_once(server: LivingPrometheus, seed: int) -> None:
    random = Random(seed)
    appears = {(name, BEGIN_S + STEP_S * n): random.choice([0, 0, 0, 20, 90]) for name in SERVICES for n in range(400)}
    now = [0.0]
    server.value = lambda name, labels, at_s: (
        float(at_s) if now[0] >= at_s + appears.get((labels["service"], at_s), 10**9) else None
    )
    source, cursor, seen = live(server), PullCursor.at(BEGIN, STEP_S), Counter[tuple[str, int]]()
    now[0] = BEGIN_S
    while now[0] < BEGIN_S + 400 * STEP_S:
        now[0] += random.choice([1, 5, 16, 15, 40])
        polled = source.poll(PullCursor.unpacked(cursor.packed()), now[0])
        assert [at for _, at, _ in points(polled)] == sorted(at for _, at, _ in points(polled))
        seen.update((service, at) for service, at, _ in points(polled))
        cursor = polled.cursor
    over = now[0] - 300
    assert max(seen.values()) == 1
    assert {key for key in seen if key[1] < over} == {key for key in appears if key[1] < over}


def test_another_step_goes_on_from_where_the_cursor_stands(server: LivingPrometheus) -> None:
    first = live(server).poll(PullCursor.at(BEGIN, STEP_S), BEGIN_S + 65.0)
    slower = live(server, step_s=60)
    second = slower.poll(first.cursor, BEGIN_S + 185.0)
    assert {at for _, at, _ in points(second)} == {BEGIN_S + 120, BEGIN_S + 180}
    third = slower.poll(second.cursor, BEGIN_S + 245.0)
    assert {at for _, at, _ in points(third)} == {BEGIN_S + 240}


def test_two_queries_that_give_the_same_series_give_its_points_once(server: LivingPrometheus) -> None:
    polled = live(server, queries=("load", "load=load")).poll(PullCursor.at(BEGIN, STEP_S), BEGIN_S + 20.0)
    assert len(points(polled)) == 3 * 2


def test_a_server_that_is_away_gives_nothing_out_and_the_cursor_stays(server: LivingPrometheus) -> None:
    source, cursor = live(server), PullCursor.at(BEGIN, STEP_S)
    server.away = True
    with pytest.raises(SourceError, match="503"):
        source.poll(cursor, BEGIN_S + 65.0)
    server.away = False
    assert len(points(source.poll(cursor, BEGIN_S + 65.0))) == 15


@pytest.mark.parametrize(("hours", "asked"), [(0.3, None), (30, "6h"), (200, None)])
def test_history_goes_as_far_back_as_asked_and_no_farther_than_there_is_something(
    server: LivingPrometheus, hours: float, asked: str | None
) -> None:
    first_s = BEGIN_S - hours * 3600
    server.value = lambda name, labels, at_s: 1.0 if at_s >= first_s else None
    source = live(server, step_s=60, overlap_s=300, history=None if asked is None else parse_duration(asked))
    history = source.history(BEGIN)
    split = history.split()
    rows = sum(table.num_rows for table in history.batches())
    expected_h = min(hours, 6.0 if asked else 7 * 24.0)
    assert rows == pytest.approx(3 * expected_h * 60, abs=6)
    assert rows <= MOST_HISTORY_POINTS
    assert split.replay_end == BEGIN
    assert int(split.history_start.timestamp()) % 60 == 0


def test_a_server_without_data_has_an_empty_history(server: LivingPrometheus) -> None:
    server.value = lambda name, labels, at_s: None
    assert list(live(server).history(BEGIN).batches()) == []


def test_what_cannot_be_used_is_named() -> None:
    with pytest.raises(ConfigurationError, match="overlap_s: 3600 is more than 60 steps of 15 s"):
        open_live("prometheus", SourceOptions(url="http://p:9090", step_s=15, overlap_s=3600))
    with pytest.raises(ConfigurationError, match="start: the source 'prometheus' does not read this option"):
        open_live("prometheus", SourceOptions(url="http://p:9090", start=BEGIN))
    with pytest.raises(ConfigurationError, match="history: the source 'prometheus' does not read this option"):
        open_source("prometheus", SourceOptions(url="http://p:9090", history=timedelta(hours=1)))
    with pytest.raises(ConfigurationError, match="'otlp' sends by itself"):
        open_source("otlp", SourceOptions())
    with pytest.raises(ConfigurationError, match="'6 hours' is no duration"):
        parse_duration("6 hours")


def test_services_are_named_as_of_what_is_received(server: LivingPrometheus) -> None:
    server.series = {
        "load": [{"app": "cart", "job": "k8s"}, {"service_name": "pay", "service": "otel"}, {"zone": "b"}],
        "node_load1": [{"instance": "web-1:9100", "job": "node"}],
    }
    polled = live(server, queries=("load", "node_load1")).poll(PullCursor.at(BEGIN, STEP_S), BEGIN_S + 5.0)
    rows = sorted((row["service"], row["metric"], dict(row["labels"])) for table in polled.tables for row in table.to_pylist())
    assert rows == [
        ("", "load", {"zone": "b"}),
        ("cart", "load", {"job": "k8s"}),
        ("pay", "load", {"service": "otel"}),
        ("web-1", "node_load1", {"instance": "web-1:9100", "job": "node"}),
    ]
    assert sorted(polled.newest_us) == ["", "cart", "pay", "web-1"]
