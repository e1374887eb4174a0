"""Sources that fall silent: said once, and once when they are back, whatever restarts; a real broker, a clock of the test."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.incidents.desk.detection_alerts import AlertRules
from serving.incidents.desk.stream_inputs import StreamInputs
from serving.ingest.silence_notices import ALONE, FEED, TOGETHER
from serving.ingest.source_states import SOURCES
from serving.ingest.source_watch import LOOK_S, SourceWatch, WatchRules
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.free_ports import free_ports

BEGIN_S = 1_772_438_400.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(home=tmp_path_factory.mktemp("watch"), broker=BrokerSettings(port=free_ports(1)[0]))
    with EmbeddedBroker(settings):
        yield settings


@dataclass(slots=True)
class World:
    """Sources that send every so many seconds while they are up, some watchers, and time."""

    broker: streams.Streams
    watches: list[SourceWatch] = field(default_factory=list)
    every_s: dict[str, float] = field(default_factory=dict)
    now_s: float = BEGIN_S
    tenant: str = "default"
    feed: str = ""
    """Where it is set, all sources are asked for through it; it answers while it is among those that are up."""

    def watch(self, rules: WatchRules | None = None) -> SourceWatch:
        self.watches.append(SourceWatch(self.broker, rules, lambda: self.now_s))
        return self.watches[-1]

    def go(self, seconds: float, up: set[str], looking: bool = True) -> None:
        """Let time pass; each source that is up is seen by one of the watchers, in turn."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += 5.0
            for name in sorted(up):
                if (self.now_s - BEGIN_S) % self.every_s[name] == 0:
                    watch = self.watches[sum(name.encode()) % len(self.watches)]
                    if name == self.feed:
                        watch.answered(self.tenant, name)
                    elif self.feed in up or not self.feed:
                        watch.saw(self.tenant, name, round(self.now_s * 1e6) - 2_000_000, self.feed)
            if looking and (self.now_s - BEGIN_S) % LOOK_S == 0:
                for watch in self.watches:
                    watch.look()

    def said(self) -> list[tuple[str, str, bool]]:
        """Return service, name and whether it began, of all notices in order."""
        entries = self.broker.range(streams.NOTICES)
        rows = [row for entry in entries for row in streams.from_ipc(entry.payload).to_pylist()]
        return [(row["service"], row["name"], row["ends_at"] is None) for row in rows]


@pytest.fixture
def world(server: Settings) -> World:
    broker = open_streams(server)
    broker.client.flushall()
    return World(broker, every_s={"cart": 15.0, "batch": 600.0, "once": 100_000.0})


def test_after_five_of_its_own_intervals_a_source_is_silent_once_and_once_it_is_back(world: World) -> None:
    world.watch()
    world.go(6000, {"cart", "batch"})
    assert world.said() == []
    world.go(60, {"batch"})
    assert world.said() == [], "four of its intervals"
    world.go(40, {"batch"})
    assert world.said() == [("cart", ALONE, True)]
    world.go(2700, set())
    assert world.said() == [("cart", ALONE, True)], "five intervals of the other are fifty minutes"
    world.go(600, {"cart"})
    assert world.said() == [("cart", ALONE, True), ("cart", ALONE, False), ("batch", ALONE, True)]


def test_the_notice_says_since_when_and_how_often_it_used_to_send(world: World) -> None:
    world.watch()
    world.go(600, {"cart"})
    last_s = world.now_s
    world.go(120, set())
    (row,) = streams.from_ipc(world.broker.range(streams.NOTICES)[0].payload).to_pylist()
    assert (row["starts_at"].timestamp(), row["severity"]) == (last_s, "critical")
    assert "every 15 s" in row["text"]
    assert f"{row['starts_at']:%Y-%m-%d %H:%M:%S} UTC" in row["text"]


def test_what_was_watched_for_less_than_its_limit_is_not_judged(world: World) -> None:
    world.watch()
    world.go(30, {"cart", "once"})
    world.go(4000, set())
    assert world.said() == []


def test_old_points_again_are_no_sign_of_life_and_a_clock_that_runs_ahead_does_not_stop_the_watch(world: World) -> None:
    watch = world.watch()
    world.go(600, {"cart"})
    newest_us = round(world.now_s * 1e6)
    for _ in range(20):
        world.now_s += 10.0
        watch.saw("default", "cart", newest_us - 2_000_000)
        watch.saw("default", "ahead", newest_us + 86_400_000_000)
        watch.look()
    assert world.said() == [("cart", ALONE, True)]


def test_a_source_that_catches_up_with_the_clock_is_not_expected_to_go_on_as_fast(world: World) -> None:
    watch = world.watch()
    event_s = world.now_s - 7200.0
    while event_s < world.now_s:
        world.now_s += 1.0
        event_s += 60.0
        watch.saw("default", "slow", round(event_s * 1e6))
        watch.look()
    world.every_s["slow"] = 70.0
    world.now_s = BEGIN_S + 140.0
    world.go(1400, {"slow"})
    assert world.said() == []
    world.go(400, set())
    assert world.said() == [("slow", ALONE, True)]


def test_the_responder_makes_one_alert_of_begin_and_end(world: World) -> None:
    world.watch()
    world.go(600, {"cart"})
    world.go(120, set())
    world.go(60, {"cart"})
    inputs, offsets = StreamInputs(world.broker), dict[str, str]()
    batch = inputs.read(offsets, AlertRules())
    begun, ended = batch.alerts
    assert (begun.fingerprint, begun.instance) == (ended.fingerprint, ended.instance)
    assert begun.ends_at is None
    assert ended.ends_at is not None
    assert ended.ends_at > begun.starts_at == ended.starts_at
    assert inputs.read(batch.offsets, AlertRules()).alerts == ()


def test_a_restart_neither_repeats_nor_forgets(world: World) -> None:
    world.watch()
    world.go(600, {"cart"})
    world.go(120, set())
    assert world.said() == [("cart", ALONE, True)]
    world.watches.clear()
    world.watch()
    world.go(900, set())
    assert world.said() == [("cart", ALONE, True)]
    world.watches.clear()
    world.watch()
    world.go(60, {"cart"})
    assert world.said() == [("cart", ALONE, True), ("cart", ALONE, False)]


def test_a_source_that_fell_silent_while_nothing_watched_is_said_later_and_one_that_went_on_is_not(world: World) -> None:
    world.watch()
    world.every_s["pay"] = 15.0
    world.go(600, {"cart", "pay"})
    world.watches.clear()
    world.go(3600, set(), looking=False)
    world.watch()
    world.go(50, {"pay"})
    assert world.said() == [], "a process that has just begun has seen nothing yet"
    world.go(60, {"pay"})
    assert world.said() == [("cart", ALONE, True)]


def test_a_watch_that_stood_still_blames_no_source(world: World) -> None:
    world.watch()
    world.go(600, {"cart"})
    world.now_s += 3000.0
    world.go(60, {"cart"})
    assert world.said() == []


def test_of_several_watchers_each_knows_what_the_others_see_and_one_says_it(world: World) -> None:
    for _ in range(3):
        world.watch()
    world.every_s |= {f"s{number}": 15.0 for number in range(8)}
    everything = set(world.every_s) - {"once", "batch"}
    world.go(600, everything)
    world.go(300, everything - {"s3"})
    assert world.said() == [("s3", ALONE, True)]
    world.watches.reverse()
    world.go(60, everything)
    assert world.said() == [("s3", ALONE, True), ("s3", ALONE, False)]


def test_many_at_once_are_one_outage_and_those_that_stay_away_are_named_when_the_others_are_back(world: World) -> None:
    world.watch(WatchRules(alone=5))
    world.every_s |= {f"host-{number:03}": 15.0 for number in range(100)}
    everything = set(world.every_s) - {"once", "batch"}
    world.go(600, everything)
    world.go(800, {"cart"})
    assert world.said() == [("telemetry", TOGETHER, True)]
    world.go(600, set())
    assert world.said()[1:] == [("cart", ALONE, True)], "what falls silent later is no part of it"
    world.go(60, everything - {"host-007", "host-008"})
    assert world.said()[2:] == [
        ("telemetry", TOGETHER, False),
        ("host-007", ALONE, True),
        ("host-008", ALONE, True),
        ("cart", ALONE, False),
    ]


def test_what_stays_silent_is_said_again_and_forgotten_in_the_end(world: World) -> None:
    world.watch(WatchRules(repeated_s=600.0, forgotten_s=1500.0))
    world.go(600, {"cart"})
    world.go(1400, set())
    assert world.said() == [("cart", ALONE, True)] * 3
    world.go(300, set())
    assert world.said() == [*[("cart", ALONE, True)] * 3, ("cart", ALONE, False)]
    assert world.broker.hash_all(SOURCES) == {}


def test_what_came_for_a_moment_only_is_not_kept_for_ever(world: World) -> None:
    watch = world.watch(WatchRules(forgotten_s=300.0))
    watch.saw("default", "once", round(world.now_s * 1e6))
    world.go(20, set())
    assert list(world.broker.hash_all(SOURCES)) == ["default once"]
    world.go(300, set())
    assert world.broker.hash_all(SOURCES) == {}
    assert world.said() == []


def test_a_source_that_has_become_slower_is_not_called_silent_for_ever(world: World) -> None:
    world.watch()
    world.go(600, {"cart"})
    world.every_s["cart"] = 200.0
    world.go(3600, {"cart"})
    calm = len(world.said())
    assert calm <= 6
    world.go(7200, {"cart"})
    assert len(world.said()) == calm


def test_tenants_are_told_apart(world: World) -> None:
    watch = world.watch()
    for _ in range(60):
        world.now_s += 10.0
        watch.saw("acme", "cart", round(world.now_s * 1e6))
        watch.saw("default", "cart", round(world.now_s * 1e6))
    for _ in range(20):
        world.now_s += 10.0
        watch.saw("default", "cart", round(world.now_s * 1e6))
        watch.look()
    assert [entry.tenant for entry in world.broker.range(streams.NOTICES)] == ["acme"]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_killed_when_begin_and_end_take_turns(world: World, seed: int) -> None:
    random, names = Random(seed), [f"s{number}" for number in range(12)]
    world.every_s |= dict.fromkeys(names, 15.0)
    up = set(names)
    for _ in range(3):
        world.watch()
    world.go(300, up)
    for _ in range(60):
        up ^= set(random.sample(names, 2))
        if random.random() < 0.4:
            world.watches.pop(random.randrange(3))
            world.watch()
        world.go(random.choice([20, 60, 120, 200]), up)
    world.go(8000, up)
    for name in names:
        said = [begun for service, _, begun in world.said() if service == name]
        assert said == [number % 2 == 0 for number in range(len(said))], name
        assert (len(said) % 2 == 1) == (name not in up), name
    assert len(world.said()) > 20


FED = "prometheus http://metrics:9090"


def fed(world: World, watchers: int = 1) -> set[str]:
    """Return a feed and ten services that are asked for through it."""
    for _ in range(watchers):
        world.watch()
    world.feed = FED
    world.every_s |= {FED: 15.0, **{f"shop-{number}": 15.0 for number in range(10)}}
    everything = set(world.every_s) - {"once", "batch", "cart"}
    world.go(900, everything)
    assert world.said() == []
    return everything


@pytest.mark.parametrize("watchers", [1, 3])
def test_a_server_that_is_asked_and_stops_is_one_alert_that_lists_what_is_asked_through_it(world: World, watchers: int) -> None:
    everything = fed(world, watchers)
    stopped_s = world.now_s
    world.go(900, everything - {FED})
    assert world.said() == [("telemetry", FEED, True)]
    (row,) = streams.from_ipc(world.broker.range(streams.NOTICES)[0].payload).to_pylist()
    since = f"{row['starts_at']:%Y-%m-%d %H:%M:%S} UTC"
    assert row["text"].startswith(f"source {FED} stopped answering since {since}; 10 services are (shop-0, ")
    assert all(f"shop-{number}" in row["text"] for number in range(10))
    assert (row["subject"], abs(row["starts_at"].timestamp() - stopped_s) <= 15) == (FED, True)
    world.go(600, everything)
    assert world.said() == [("telemetry", FEED, True), ("telemetry", FEED, False)]


def test_what_stays_away_once_its_server_answers_again_is_named_by_itself(world: World) -> None:
    everything = fed(world)
    world.go(900, everything - {FED})
    world.go(60, everything - {"shop-3"})
    assert world.said() == [("telemetry", FEED, True), ("telemetry", FEED, False)]
    world.go(120, everything - {"shop-3"})
    assert world.said()[2:] == [("shop-3", ALONE, True)]


def test_a_service_that_falls_silent_while_its_server_answers_is_named_by_itself(world: World) -> None:
    everything = fed(world)
    world.go(300, everything - {"shop-7"})
    assert world.said() == [("shop-7", ALONE, True)]


def test_a_restart_knows_through_which_server_a_service_is_asked_for(world: World) -> None:
    everything = fed(world)
    world.watches.clear()
    world.watch()
    world.go(600, everything - {FED})
    assert world.said() == [("telemetry", FEED, True)]
