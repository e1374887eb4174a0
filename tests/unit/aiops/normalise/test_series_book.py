"""The book of raw series: repeated, changed, clashing and refused definitions; forgetting what is idle; any cut is the same."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import OutdatedState, StateError
from aiops.normalise.definitions import DefinitionFault, read_definitions
from aiops.normalise.normaliser import Normaliser, NormaliserConfig
from aiops.normalise.raw_series import EMITTED, FOLDED, UNKNOWN
from data_contracts.schemas.wire_schemas import SERIES_CATALOGUE
from data_contracts.series.tenant import DEFAULT_TENANT
from tests.testing.raw_rows import (
    LATER,
    MINUTE,
    SECOND,
    START_US,
    Raw,
    Sample,
    classic,
    definition_table,
    definitions,
    raw,
    raw_points,
)

T = START_US
HOUR = 60 * MINUTE
DECLARED, BY_METADATA, BY_NAME = "declared by the sender: x", "from the sender's metadata: x", "by name: x"


def normaliser(max_series: int = 100) -> Normaliser:
    return Normaliser(NormaliserConfig(DEFAULT_TENANT, max_series, 30 * SECOND, 2 * HOUR))


def define(made: Normaliser, series: Sequence[Raw]) -> list[dict[str, object]]:
    """Return the rows of the catalogue that definitions bring."""
    return [row for rows in made.define(definitions(series), T).catalogue for row in rows.to_pylist()]


def status(made: Normaliser, *samples: Sample) -> list[int]:
    return made.points(raw_points(samples), LATER, 0).status.tolist()


def values(made: Normaliser, *samples: Sample) -> list[float]:
    return made.points(raw_points(samples), LATER, 0).points.value.tolist()


def test_new_series_come_into_the_catalogue_with_what_is_made_of_them() -> None:
    rows = define(normaliser(), [raw("load", "value", pod="a"), *classic("rpc_seconds", [0.5])])
    assert [set(row) for row in rows] == [set(SERIES_CATALOGUE.names)] * len(rows)
    assert {str(row["metric"]): row["scored"] for row in rows} == {
        "load": True,
        "rpc_seconds_bucket": False,
        "rpc_seconds_sum": False,
        "rpc_seconds_count": False,
        **{f"rpc_seconds_{ending}": True for ending in ("rate", "mean", "p50", "p99")},
    }
    derived = next(row for row in rows if row["metric"] == "rpc_seconds_p99")
    assert (derived["labels"], derived["why"]) == ("", "made of the histogram rpc_seconds")


def test_a_week_later_the_catalogue_is_given_again_with_what_is_made_of_a_histogram() -> None:
    made = normaliser()
    series = [raw("load", "value"), *classic("rpc_seconds", [0.5, math.inf]), raw("size_bytes", "histogram")]
    first = define(made, series)
    day = 24 * HOUR
    again = [made.define(definitions(series), T + age * day).catalogue for age in (1, 6, 8, 9)]
    assert [sum(rows.num_rows for rows in given) for given in again] == [0, 0, len(first), 0]
    given = [row for rows in again[2] for row in rows.to_pylist()]
    ids = {row["series_id"]: row["metric"] for row in first}
    assert {row["series_id"]: row["metric"] for row in given} == ids
    later = Normaliser.restore(NormaliserConfig(DEFAULT_TENANT, 100, 30 * SECOND, 2 * HOUR), made.snapshot())
    assert later.define(definitions(series), T + 10 * day).catalogue == []


def test_a_definition_that_comes_again_changes_nothing() -> None:
    made = normaliser()
    series = [raw("requests_total", "total"), *classic("rpc_seconds", [0.5, math.inf])]
    define(made, series)
    status(made, Sample(series[0], T, 1.0))
    before = made.snapshot()
    assert define(made, series) == []
    after = made.snapshot()
    assert [
        name for name in before if not np.array_equal(before[name], after[name], equal_nan=before[name].dtype.kind == "f")
    ] == ["raw_announced"]


@pytest.mark.parametrize(
    ("first", "then", "follows"),
    [(BY_NAME, BY_METADATA, True), (DECLARED, DECLARED, True), (DECLARED, BY_NAME, False), (BY_METADATA, BY_NAME, False)],
)
def test_another_role_replaces_one_that_is_not_surer(first: str, then: str, follows: bool) -> None:
    made = normaliser()
    series = replace(raw("jobs", "value"), why=first)
    define(made, [series])
    rows = define(made, [replace(series, role="total", why=then)])
    assert [row["role"] for row in rows] == (["total"] if follows else [])
    assert status(made, Sample(series, T, 5.0), Sample(series, T + MINUTE, 65.0)) == [FOLDED if follows else EMITTED, EMITTED]


def test_a_series_becomes_part_of_a_histogram_and_leaves_it_again() -> None:
    made = normaliser()
    parts = classic("rpc_seconds", [math.inf])
    gauge = Raw(parts[2].key, "value", BY_NAME)
    define(made, [*parts[:2], gauge])
    assert status(made, Sample(gauge, T, 5.0)) == [EMITTED]
    define(made, parts)
    assert status(made, *(Sample(part, T + MINUTE, 0.0) for part in parts)) == [FOLDED] * 3
    assert values(made, *(Sample(part, T + 2 * MINUTE, 6.0) for part in parts))[0] == 0.1
    define(made, [replace(gauge, why=DECLARED)])
    sent = [Sample(part, T + 3 * MINUTE, 12.0) for part in parts]
    assert status(made, *sent) == [FOLDED, FOLDED, EMITTED]
    assert Normaliser.restore(NormaliserConfig(DEFAULT_TENANT, 100, 30 * SECOND), made.snapshot()).snapshot().keys()


def test_roles_that_change_all_the_time_do_not_grow_the_state() -> None:
    made = normaliser()
    parts = [replace(part, why=DECLARED) for part in classic("rpc_seconds", [math.inf])]
    gauge = Raw(parts[2].key, "value", DECLARED)
    for _ in range(1200):
        made.define(definitions([*parts, gauge]), T)
    assert made.snapshot()["member_bound"].size < 1100
    sent = [Sample(part, T, 0.0) for part in parts[:2]]
    assert status(made, *sent) == [FOLDED] * 2


def test_two_series_with_one_id_do_not_mix() -> None:
    made = normaliser()
    first = definitions([raw("load", "value")])
    other = replace(definitions([raw("other", "value")]), key=first.key)
    made.define(first, T)
    assert made.define(other, T).collided.tolist() == [0]
    assert [name and name.text for name in made.described(first.key)[0]] == ["web|load"]


def test_more_series_than_there_is_room_for_are_refused_and_known_ones_never() -> None:
    made = normaliser(3)
    series = [raw("load", "value", pod=str(number)) for number in range(5)]
    assert made.define(definitions(series), T).no_room.tolist() == [3, 4]
    assert made.define(definitions([series[4], series[0]]), T).no_room.tolist() == [0]
    assert status(made, *(Sample(each, T, 1.0) for each in series)) == [EMITTED] * 3 + [UNKNOWN] * 2


def test_idle_series_make_room_and_what_stays_goes_on() -> None:
    made = normaliser(9)
    clock, old = raw("clock", "total"), classic("old_seconds", [math.inf])
    kept, whole = classic("rpc_seconds", [math.inf]), raw("size_bytes", "histogram")
    define(made, [*old, clock, *kept, whole])
    status(made, *(Sample(part, T, 0.0) for part in (*old, clock, *kept)))
    late = T + 3 * HOUR
    status(made, *(Sample(part, late, 6.0) for part in (clock, *kept)))
    fresh = [raw("load", "value", pod=str(number)) for number in range(5)]
    assert made.define(definitions(fresh), T).no_room.tolist() == []
    assert status(made, Sample(old[0], late + MINUTE, 1.0), Sample(fresh[4], late + MINUTE, 1.0)) == [UNKNOWN, EMITTED]
    sent = [Sample(part, late + 2 * MINUTE, 66.0) for part in (clock, *kept)]
    assert values(made, *sent)[:2] == [0.5, 0.5]
    state = made.snapshot()
    restored = Normaliser.restore(NormaliserConfig(DEFAULT_TENANT, 9, 30 * SECOND, 2 * HOUR), state)
    assert all(
        np.array_equal(state[name], array, equal_nan=array.dtype.kind == "f") for name, array in restored.snapshot().items()
    )


def test_idle_series_are_looked_for_once_in_a_while_only() -> None:
    made = normaliser(2)
    define(made, [raw("a", "value"), raw("b", "value")])
    status(made, Sample(raw("a", "value"), T, 1.0), Sample(raw("b", "value"), T, 1.0))
    assert made.define(definitions([raw("c", "value")]), T).no_room.tolist() == [0]
    status(made, Sample(raw("a", "value"), T + 10 * MINUTE, 1.0))
    assert made.define(definitions([raw("c", "value")]), T).no_room.tolist() == [0]


@pytest.mark.parametrize("seed", range(6))
def test_however_definitions_are_cut_the_state_is_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = classic("rpc_seconds", [0.5, math.inf])
    pool = [*parts, *(raw(f"m{number}", "value") for number in range(6)), raw("size_bytes", "histogram")]
    changed = [replace(part, role="value", family=None, bound=None, why=DECLARED) for part in parts]
    changed += [replace(each, role="total", why=DECLARED) for each in pool[4:7]]
    changed += [replace(part, why=DECLARED) for part in parts]
    sent = [(*pool, *changed)[number] for number in rng.integers(0, len(pool) + len(changed), 60)]
    whole, cut = normaliser(9), normaliser(9)
    outcome = whole.define(definitions(sent), T)
    refused, at = [], 0
    while at < len(sent):
        end = at + int(rng.integers(1, 9))
        refused += (cut.define(definitions(sent[at:end]), T).no_room + at).tolist()
        at = end
    assert refused == outcome.no_room.tolist()
    left, right = whole.snapshot(), cut.snapshot()
    assert [name for name in left if not np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f")] == []


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("role", "unheard", "role is none of"),
        ("family_id", None, "family_id is null"),
        ("bound", None, "bound is null"),
        ("series_id", 5, "series_id is not that of the names"),
    ],
)
def test_definitions_that_cannot_be_are_refused(column: str, value: object, rule: str) -> None:
    row = {**classic("rpc_seconds", [1.0])[0].row, column: value}
    table = pa.Table.from_pylist([row], schema=definition_table([]).schema)
    with pytest.raises(DefinitionFault, match=rule):
        read_definitions(table, DEFAULT_TENANT)


def test_a_damaged_state_is_told() -> None:
    made = normaliser()
    define(made, classic("rpc_seconds", [1.0]))
    state, config = made.snapshot(), NormaliserConfig(DEFAULT_TENANT, 100, 30 * SECOND)
    for name in ("raw_seen", "name_metric_ends", "family_keys", "counters"):
        with pytest.raises(StateError, match="remove the checkpoint"):
            Normaliser.restore(config, {key: array for key, array in state.items() if key != name})
    with pytest.raises(StateError, match="do not fit"):
        Normaliser.restore(config, {**state, "name_labels_bytes": np.zeros(0, np.uint8)})
    with pytest.raises(OutdatedState):
        Normaliser.restore(config, {**state, "version": np.array([0])})
