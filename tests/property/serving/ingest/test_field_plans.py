"""Plans of objects: what is taken by a plan is what is taken by looking at every name, whatever the object and the order."""

from copy import deepcopy
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from aiops.normalise.service_labels import ServiceRules
from serving.ingest.receive.signals.attribute_texts import MOST_DEPTH, Json
from serving.ingest.receive.signals.lines import field_names
from serving.ingest.receive.signals.lines.field_names import first_taken, plan_of, taken
from serving.ingest.receive.signals.lines.log_line import plain_json

LABELS = ServiceRules().labels
EVERY: list[tuple[str, ...]] = [
    field_names.TIME,
    field_names.LEVEL,
    field_names.SEVERITY_NUMBER,
    field_names.MESSAGE,
    field_names.TRACE_ID,
    field_names.SPAN_ID,
    field_names.EVENT,
    field_names.SCOPE,
    (*LABELS, *field_names.SERVICE),
    *field_names.RESOURCE.values(),
]
PARTS = sorted({part for names in EVERY for name in names for part in (name, *name.split("."))} | {"other", ""})
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=3))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(PARTS), inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(PARTS), VALUES, max_size=8)


def planned(fields: dict[str, Json]) -> list[tuple[str, ...]]:
    plan = plan_of(fields, LABELS)
    by_attribute = dict(plan.resource)
    single = (plan.time, plan.level, plan.severity_number, plan.message, plan.trace_id, plan.span_id, plan.event, plan.scope)
    return [*single, plan.service, *(by_attribute.get(attribute, ()) for attribute in field_names.RESOURCE)]


@given(OBJECTS, st.permutations(range(len(EVERY))))
@example({"log": {"level": ""}, "level": "info"}, list(range(len(EVERY))))
@example({"resource": {"attributes": {"service": {"name": "cart"}}}, "service": {"name": None}}, list(range(len(EVERY))))
def test_a_plan_takes_what_all_names_take(fields: dict[str, Json], order: list[int]) -> None:
    by_plan, by_names = deepcopy(fields), deepcopy(fields)
    names = planned(by_plan)
    for place in order:
        assert first_taken(by_plan, names[place]) == taken(by_names, EVERY[place])
        assert by_plan == by_names


def test_an_object_with_very_many_names_has_a_plan_of_its_own() -> None:
    fields: dict[str, Json] = {f"n{number}": number for number in range(1000)} | {"msg": "hello"}
    assert plan_of(fields, LABELS).message == ("msg",)
    few: dict[str, Json] = {"msg": "hello", "log": 1}
    assert plan_of(fields, LABELS) is not plan_of(fields, LABELS)
    assert plan_of(few, LABELS) is plan_of(dict(few), LABELS)


def stored(value: Any, depth: int = 0) -> Any:
    """Return a value as it is stored, by the rule alone."""
    if isinstance(value, dict):
        return {name: stored(item, depth + 1) for name, item in value.items()} if depth < MOST_DEPTH else "…"
    if isinstance(value, list):
        return [stored(item, depth + 1) for item in value] if depth < MOST_DEPTH else "…"
    return str(value) if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


@given(OBJECTS)
def test_flat_objects_are_stored_by_the_same_rule_as_others(fields: dict[str, Json]) -> None:
    expected = stored(fields)
    got = plain_json(deepcopy(fields))
    assert got == expected
    assert [type(value) for value in got.values()] == [type(value) for value in expected.values()]  # type: ignore[union-attr]
