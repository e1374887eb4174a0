"""Text → runbook → canonical text: the same runbook and version, whatever its texts hold; unknown names are always refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.automation.fact_names import FACTS_OF, Scope
from aiops.automation.runbook import Runbook
from aiops.automation.runbook_text import FaultyRunbook, canonical_text, read_runbook, version_of
from tests.testing.runbook_texts import ROLL_BACK

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
PLAIN_TEXTS = TEXTS.map(lambda text: text.replace("{", "").replace("}", ""))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**14), 10**14), st.floats(-1e6, 1e6), PLAIN_TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
SECONDS = st.floats(0.0, 86400.0)
RUNBOOKS = st.builds(
    lambda title, parameters, timeout, settle, share: Runbook.model_validate(
        {
            "runbook": "a",
            "title": title,
            "match": "cause.decided",
            "do": [{"action": "a.b", "with": parameters, "timeout": timeout}],
            "verify": {"settle": settle},
            "limits": {"replica_share": share},
        }
    ),
    TEXTS,
    st.dictionaries(TEXTS, JSON, max_size=3),
    SECONDS,
    SECONDS,
    st.floats(0.0, 1.0),
)


@given(RUNBOOKS)
def test_a_canonical_text_says_the_same(runbook: Runbook) -> None:
    again = read_runbook(canonical_text(runbook), "a.yaml")
    assert again.version == version_of(runbook)
    assert again.runbook == runbook


@given(st.from_regex(r"(cause|change|incident|service)\.[a-z_]{1,12}", fullmatch=True))
def test_names_that_are_not_declared_are_refused(name: str) -> None:
    known = {fact.name for fact in FACTS_OF[Scope.MATCH]}
    text = ROLL_BACK.replace("cause.decided", f"{name} == {name}")
    if name in known:
        read_runbook(text, "a.yaml")
        return
    with pytest.raises(FaultyRunbook) as refused:
        read_runbook(text, "a.yaml")
    assert {(fault.line, fault.column) for fault in refused.value.faults} == {(5, 3), (5, 3 + len(name) + 4)}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(FaultyRunbook) as refused:  # none of these says what a runbook must say
        read_runbook(text, "a.yaml")
    assert refused.value.faults
