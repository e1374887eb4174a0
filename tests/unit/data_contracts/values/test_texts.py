"""One rule for names and texts: what one component takes, the others take."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from data_contracts.telemetry.names import name_fault
from data_contracts.telemetry.validate import validate
from data_contracts.values.texts import stray_character, text_problem
from orchestration.commands.silence_commands import _named
from serving.incidents.intake.received_alerts import cleaned
from serving.ingest.pull.change_payload import changes_of_json
from serving.scoring.requests import vector_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TAKEN = [
    "cart",
    "caf\u00e9-\u2615",
    "a\u00a0b",
    "\U0001f469\u200d\U0001f4bb",
    "\u0628\u0647\u200c\u0631\u0648\u0632",
    "a b",
    "\u65e5\u672c",
]
REFUSED = ["a\nb", "a\tb", "a\x00b", "a\x1fb", "a\x85b", "a\u2028b", "a\x7fb"]


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_telemetry_takes_is_taken_everywhere(name: str) -> None:
    rows = pa.table({"timestamp": [NOON], "service": [name], "metric": ["queue_depth"], "value": [1.0]})
    assert validate(rows, NOON).accepted.num_rows == 1
    assert name_fault(name.encode(), "service") is None
    assert vector_rows.name_fault(name, 200) == ""
    assert _named(name) == name
    assert [event.service for event in changes_of_json(f'{{"service": "{name}"}}'.encode(), NOON).events] == [name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_telemetry_refuses_is_refused_everywhere_and_alone(name: str) -> None:
    rows = pa.table({"timestamp": [NOON] * 2, "service": [name, "cart"], "metric": ["queue_depth"] * 2, "value": [1.0] * 2})
    outcome = validate(rows, NOON)
    assert (outcome.accepted.num_rows, outcome.rejected["reason"].to_pylist()) == (1, ["name"])
    assert vector_rows.name_fault(name, 200)
    assert stray_character(name, single_line=True) == name[1]
    assert cleaned(name, 200) in {"a b", "ab", "a\x7fb"}


@pytest.mark.parametrize("text", [*TAKEN, "one\ntwo\r\n\tthree", "a\u2028b\u2029c\x85d"])
def test_a_free_text_holds_line_breaks_and_joiners(text: str) -> None:
    assert text_problem(text, 1000, single_line=False) is None


@pytest.mark.parametrize(("text", "place"), [("a\x07", "U+0007"), ("\x00", "U+0000"), ("a\x9bm", "U+009B"), ("\ud800", "U+D800")])
def test_a_free_text_holds_no_other_control_characters(text: str, place: str) -> None:
    assert text_problem(text, 1000, single_line=False) == f"holds {place}; control characters are not kept: remove it"
