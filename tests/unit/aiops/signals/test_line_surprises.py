"""What a minute's count hides: lines that come all at once, and values that a place in a line never had."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from aiops.signals.line_values import MOST_PLACES, values_in
from aiops.signals.log_minutes import LogMinutes, LogMinutesConfig
from aiops.signals.parameter_values import ParameterConfig
from aiops.signals.template_minutes import TemplateMinutesConfig
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import ScriptedIncident, SimulationConfig
from data_contracts.schemas.wire_schemas import LOGS
from tests.unit.aiops.signals.test_template_minutes import MINUTE_US, NOON, NOON_US, values

WARM = 8
CONFIG = LogMinutesConfig(
    templates=TemplateMinutesConfig(warm_up_minutes=WARM), parameters=ParameterConfig(quiet_minutes=5, adopted_minutes=4)
)
BURST, NEW_VALUES = "log.burst_ratio", "log.new_value_ratio"
EVEN = tuple(range(60))
AT_ONCE = (31,) * 30 + (32,) * 30


def records(minute: int, lines: list[tuple[int, str]], service: str = "cart") -> pa.Table:
    """Return records of a minute: second, and text."""
    rows: list[dict[str, Any]] = []
    for second, body in lines:
        row: dict[str, Any] = {field.name: None if field.nullable else "" for field in LOGS}
        when = NOON + timedelta(minutes=minute, seconds=second)
        rows.append(
            row | {"timestamp": when, "available_at": when, "log_id": 1, "service": service, "severity_number": 9, "body": body}
        )
    return pa.Table.from_pylist(rows, schema=LOGS)


def minute_of(seconds: tuple[int, ...] = EVEN, currency: str = "EUR", odd: int = 0) -> list[tuple[int, str]]:
    """Return 60 lines of one pattern at these seconds, the first `odd` of them in another currency."""
    return [
        (second, f"computed total amount={number * 37}.50 currency={currency if number < odd else 'EUR'} for user {number}")
        for number, second in enumerate(seconds)
    ]


def after(minutes: LogMinutes, minute: int, lines: list[tuple[int, str]]) -> pa.Table:
    minutes.observe(records(minute, lines))
    return minutes.closed(NOON_US + (minute + 1) * MINUTE_US)


def warmed(lines: list[tuple[int, str]] | None = None, config: LogMinutesConfig = CONFIG) -> LogMinutes:
    minutes = LogMinutes(config)
    for minute in range(WARM):
        series = after(minutes, minute, lines or minute_of())
        assert values(series, BURST) == values(series, NEW_VALUES) == [], "nothing is said before the service is warm"
    return minutes


def text_of(minutes: LogMinutes, metric: str) -> tuple[str, str] | None:
    said = [(row["pattern"], row["example"]) for row in minutes.texts().to_pylist() if row["metric"] == metric]
    return said[-1] if said else None


def test_lines_that_come_all_at_once_are_a_burst_that_the_count_does_not_show() -> None:
    minutes = warmed()
    even = after(minutes, WARM, minute_of())
    burst = after(minutes, WARM + 1, minute_of(AT_ONCE))
    assert values(even, "log.records_per_second") == values(burst, "log.records_per_second")
    assert values(even, "log.new_templates") == values(burst, "log.new_templates") == [0.0]
    assert values(even, BURST)[0] < 0.5
    assert values(burst, BURST)[0] > 3.0
    assert values(burst, NEW_VALUES) == [0.0]
    assert text_of(minutes, BURST) == (
        "computed total amount: <*> currency: <*> for user <*>",
        "computed total amount=0.50 currency=EUR for user 0",
    )


@pytest.mark.parametrize("seconds", [AT_ONCE, (0, 0, 0, 30, 31), (5,), tuple(range(0, 60, 2)) + (40,) * 8])
def test_what_is_uneven_in_every_minute_is_no_burst(seconds: tuple[int, ...]) -> None:
    minutes = warmed(minute_of(seconds))
    for minute in range(WARM, WARM + 4):
        assert values(after(minutes, minute, minute_of(seconds)), BURST)[0] < 1.0


def test_bursts_that_go_on_are_learnt() -> None:
    minutes = warmed()
    ratios = [values(after(minutes, minute, minute_of(AT_ONCE)), BURST)[0] for minute in range(WARM, WARM + 40)]
    assert ratios[0] > 3.0
    assert ratios[4] > 1.0, "not at once"
    assert ratios[-1] < 1.5


def test_a_few_lines_are_no_burst_however_near_they_are() -> None:
    minutes = warmed()
    assert values(after(minutes, WARM, minute_of((7, 7))), BURST)[0] < 1.0


def test_a_value_that_never_came_at_its_place_is_seen_with_its_line() -> None:
    minutes = warmed()
    assert values(after(minutes, WARM, minute_of()), NEW_VALUES) == [0.0]
    odd = after(minutes, WARM + 1, minute_of(currency="XXX", odd=16))
    assert values(odd, NEW_VALUES) == [(16 - 4) / 60]
    assert values(odd, "log.new_templates") == [0.0]
    assert text_of(minutes, NEW_VALUES) == (
        "computed total amount: <*> currency: <*> for user <*>",
        "computed total amount=0.50 currency=XXX for user 0",
    )


def test_a_new_value_is_strange_until_it_is_adopted() -> None:
    minutes = warmed()
    ratios = [
        values(after(minutes, minute, minute_of(currency="XXX", odd=16)), NEW_VALUES)[0] for minute in range(WARM, WARM + 6)
    ]
    assert ratios == [0.2, 0.2, 0.2, 0.2, 0.0, 0.0]


def test_a_single_line_with_a_new_value_says_nothing() -> None:
    minutes = warmed()
    assert values(after(minutes, WARM, minute_of(currency="SEK", odd=1)), NEW_VALUES) == [0.0]


def test_places_with_many_values_are_free() -> None:
    """Users and amounts are others in each minute, and none of them is new."""
    minutes = warmed()
    others = [(second, body.replace("user ", "user 90")) for second, body in minute_of()]
    assert values(after(minutes, WARM, others), NEW_VALUES) == [0.0]


def test_what_counts_counts_on() -> None:
    minutes = LogMinutes(CONFIG)
    for minute in range(WARM + 20):
        revision = 41 + minute // 7
        series = after(minutes, minute, [(second, f"resolved policy revision {revision}") for second in EVEN])
    assert values(series, NEW_VALUES) == [0.0]
    assert values(after(minutes, WARM + 20, [(second, "resolved policy revision 9000") for second in EVEN]), NEW_VALUES)[0] > 0.8


def test_a_place_where_something_new_comes_now_and_then_says_less_and_less() -> None:
    minutes, strange = LogMinutes(CONFIG), []
    for minute in range(160):
        region = "abcdefgh"[minute // 20] * 3
        series = after(minutes, minute, [(second, f"served region={region}") for second in EVEN])
        strange += [minute for value in values(series, NEW_VALUES) if value > 0]
    assert {minute // 20 for minute in strange} == {1, 2}, "after 5 and 10 quiet minutes; then 20 are needed, and there are 19"


def test_a_restart_forgets_nothing_of_it() -> None:
    minutes = warmed()
    half = minute_of(AT_ONCE, currency="XXX", odd=40)
    minutes.observe(records(WARM, half[:30]))
    again = LogMinutes.restore(CONFIG, minutes.state())
    for either in (minutes, again):
        either.observe(records(WARM, half[30:]))
    end_us = NOON_US + (WARM + 1) * MINUTE_US
    series = again.closed(end_us)
    assert series.equals(minutes.closed(end_us))
    assert values(series, BURST)[0] > 3.0
    assert values(series, NEW_VALUES)[0] > 0.5
    assert text_of(again, NEW_VALUES) == text_of(minutes, NEW_VALUES)
    assert again.state().keys() == minutes.state().keys()


def test_no_more_places_are_held_than_there_may_be() -> None:
    config = replace(CONFIG, parameters=ParameterConfig(quiet_minutes=2, most_places=3))
    minutes = LogMinutes(config)
    for minute in range(4):
        after(minutes, minute, [(1, f"word{'abcdefgh'[number]} zone=x{number % 2} state=up") for number in range(8)])
    assert len(minutes.state()["surprises.values.places"]) == 3


def test_values_are_read_where_the_masks_of_templates_take_them() -> None:
    lines = pa.array(
        ["GET /cart/17 took=23ms", None, "", "id 123e4567-e89b-12d3-a456-426614174000: ", "1 " * 40, "a" * 12 + " 7"]
    )
    read = values_in(lines)
    rows = read.row.tolist()
    assert [rows.count(row) for row in range(6)] == [2, 0, 0, 2, 15, 2]
    assert read.place.max() < MOST_PLACES
    assert [value for value in read.value.tolist() if value >= 0] == [17, *[1] * 15, 7]


@pytest.mark.parametrize(
    "clock",
    [
        "16:42:09.579",
        "16:42",
        "2023-01-29",
        "2023-01-29T16:42:09,579Z",
        "2023/01/29",
        "29/01/2023",
        "29/Jan/2023:16:42:09",
        "29-Jan-2023",
    ],
)
@pytest.mark.parametrize("text", ["{} 7 took 3 ms", "at={} 7 took 3 ms", "[{}] 7 took 3 ms", "from: {}, 7 took 3 ms"])
def test_the_clock_is_no_value(text: str, clock: str) -> None:
    assert values_in(pa.array([text.format(clock)])).value.tolist() == [7, 3]


@pytest.mark.parametrize(
    ("text", "count"), [("10.0.0.1:8080 7", 6), ("took 3:4 7", 3), ("2023-1 7", 3), ("12/34 7", 3), ("1 - 2 7", 3)]
)
def test_what_looks_like_a_clock_and_is_none_has_values(text: str, count: int) -> None:
    assert len(values_in(pa.array([text])).value) == count


@pytest.mark.parametrize("faulty", [False, True])
def test_a_wrong_parameter_of_the_simulator_is_seen_in_values_alone(faulty: bool) -> None:
    """No metric shows it, and its lines are of known patterns; a simulation in which it does not happen has no new value."""
    start_min = 100.0
    fault = (ScriptedIncident("wrong_parameter", start_min, "checkout", duration_min=15.0),) if faulty else ()
    simulation = simulate(
        SimulationConfig(
            seed=5,
            services=4,
            hours=2,
            incidents_per_day=0,
            gray_per_day=0,
            deployments_per_day=0,
            decoys_per_day=0,
            traces_per_min=30.0,
            scripted=fault,
        )
    )
    minutes, strange = LogMinutes(), set()
    lines = pa.concat_tables([rows.logs for rows in simulation.requests()]).sort_by("timestamp")
    minutes.observe(lines)
    start_us = int(simulation.config.start.timestamp()) * 1_000_000
    for minute in range(120):
        for row in minutes.closed(start_us + (minute + 1) * MINUTE_US).to_pylist():
            if row["metric"] == NEW_VALUES and row["value"] > 0:
                strange.add((row["service"], minute))
    assert {service for service, _ in strange} == ({"checkout"} if faulty else set())
    assert all(start_min <= minute < start_min + 16 for _, minute in strange)
    assert bool(strange) == faulty
