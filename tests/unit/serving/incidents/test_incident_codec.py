"""Whatever an incident, a report or a rule holds, its document gives it back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import StateError
from aiops.incidents.alert import Severity
from aiops.incidents.correlation.suppression import MaintenanceWindow, Matcher
from aiops.incidents.incident import AlertEntry, Incident, IncidentState, TimelineEvent
from aiops.incidents.root_cause import CauseEvidence, RootCause, RootCauseReport
from data_contracts.values.moments import moment_of_us
from serving.incidents.store.codec import canonical, text_of, text_of_numbers, value_of

TEXT = st.text(max_size=12)
TIMES = st.integers(0, 10**16).map(moment_of_us)
FLOATS = st.floats()
ENTRIES = st.builds(AlertEntry, TEXT, TEXT, TEXT, st.sampled_from(Severity), TIMES, TIMES, st.integers(1, 10**9), st.booleans())
EVENTS = st.builds(TimelineEvent, TIMES, TEXT, TEXT)
INCIDENTS = st.builds(
    Incident,
    TEXT,
    st.sampled_from(IncidentState),
    st.sampled_from(Severity),
    TIMES,
    TIMES,
    TEXT,
    st.lists(TEXT, max_size=3).map(tuple),
    st.lists(ENTRIES, max_size=3).map(tuple),
    st.integers(0, 10**9),
    st.lists(EVENTS, max_size=3).map(tuple),
    st.none() | TIMES,
    TEXT,
    st.booleans(),
)
EVIDENCE = st.builds(CauseEvidence, TEXT, TEXT, FLOATS, FLOATS, FLOATS, FLOATS, TIMES, TEXT)
CAUSES = st.builds(RootCause, TEXT, FLOATS, TEXT, FLOATS, st.none() | TIMES, evidence=st.lists(EVIDENCE, max_size=2).map(tuple))
REPORTS = st.builds(RootCauseReport, TIMES, TIMES, TIMES, TEXT, st.lists(CAUSES, max_size=2).map(tuple), st.booleans(), TEXT)


@settings(max_examples=50)
@given(INCIDENTS)
def test_incidents_come_back(incident: Incident) -> None:
    assert value_of(Incident, text_of(incident)) == incident


@settings(max_examples=50)
@given(REPORTS)
def test_reports_come_back_with_numbers_that_json_has_not(report: RootCauseReport) -> None:
    assert repr(value_of(RootCauseReport, text_of_numbers(report))) == repr(report)


def test_a_rule_comes_back() -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    rule = MaintenanceWindow("weekly", (Matcher("a", "!~", "b.*"),), began, began + timedelta(hours=1), timedelta(days=7))
    assert value_of(MaintenanceWindow, text_of(rule)) == rule


def test_equal_values_have_the_same_canonical_text() -> None:
    assert canonical({"b": (1, float("nan")), "a": None}) == canonical({"a": None, "b": [1, float("nan")]})
    assert canonical({"a": 1}) != canonical({"a": "1"})


def test_a_damaged_document_is_reported() -> None:
    with pytest.raises(StateError, match="kind=Incident cannot be read"):
        value_of(Incident, '{"incident_id": 1}')
