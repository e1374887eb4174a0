"""Parts of expressions: some are named exactly where the whole does not hold, and each of them fails by itself."""

from hypothesis import given
from hypothesis import strategies as st

from aiops.automation.condition_parts import failed_parts
from aiops.automation.expressions import condition
from aiops.automation.fact_names import Facts, Scope

ATOMS = {
    "incident.storm": "incident.storm",
    "cause.decided": "cause.decided",
    "change.exists": "change.exists",
    "incident.id": "incident.id == 'a && (b'",
}
EXPRESSIONS = st.recursive(
    st.sampled_from(list(ATOMS.values())),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" && ".join),
        st.tuples(inner, inner).map(" || ".join),
        inner.map("({})".format),
        inner.map("!({})".format),
    ),
    max_leaves=8,
)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "incident.storm": st.booleans(),
        "cause.decided": st.booleans(),
        "change.exists": st.booleans(),
        "incident.id": st.sampled_from(["a && (b", "c"]),
    },
)


@given(EXPRESSIONS, FACTS)
def test_parts_are_named_where_the_whole_does_not_hold(text: str, facts: Facts) -> None:
    parts = failed_parts(text, Scope.MATCH, facts)
    assert bool(parts) != condition(text, Scope.MATCH).answer(facts).holds
    assert all(not condition(part.text, Scope.MATCH).answer(facts).holds for part in parts)
