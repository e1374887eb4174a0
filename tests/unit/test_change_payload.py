"""Change events as they are sent: our own rows, GitHub's events, files; each mistake with its number and field."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aiops.errors import ContractError, SourceError
from serving.change_payload import changes_of_file, changes_of_json

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GITHUB = {
    "action": "created",
    "deployment": {
        "id": 42,
        "ref": "v1.7.2",
        "environment": "production",
        "description": None,
        "created_at": "2026-03-01T11:58:30Z",
        "payload": {},
    },
    "repository": {"name": "cart"},
}


def test_one_several_and_lines_are_the_same() -> None:
    rows = [{"service": "cart", "at": "2026-03-01T11:00:00Z"}, {"service": "pay", "kind": "config", "what": "pool 8 to 4"}]
    several = changes_of_json(json.dumps(rows).encode(), NOON, "ops")
    assert changes_of_json("\n".join(json.dumps(row) for row in rows).encode(), NOON, "ops") == several
    assert changes_of_json(json.dumps(rows[0]).encode(), NOON, "ops") == several[:1]
    assert [(one.service, one.kind, one.what, one.source) for one in several] == [
        ("cart", "deployment", "", "ops"),
        ("pay", "config", "pool 8 to 4", "ops"),
    ]
    assert [one.at for one in several] == [datetime(2026, 3, 1, 11, tzinfo=UTC), NOON]


def test_an_event_of_github_is_a_deployment() -> None:
    (change,) = changes_of_json(json.dumps(GITHUB).encode(), NOON)
    assert (change.change_id, change.service, change.kind, change.source) == ("github-42", "cart", "deployment", "github")
    assert change.what == "v1.7.2, production"
    assert change.at == datetime(2026, 3, 1, 11, 58, 30, tzinfo=UTC)
    monorepo = GITHUB | {"deployment": GITHUB["deployment"] | {"payload": {"service": "pay"}}}  # type: ignore[operator]
    assert changes_of_json(json.dumps(monorepo).encode(), NOON)[0].service == "pay"


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"{", "changes: no JSON"),
        (b"\xff", "changes: no JSON"),
        (b"[1]", "change 1: '1' is no object"),
        (b'[{"service": "a"}, {"kind": "config"}]', "change 2: service is missing"),
        (b'{"service": "a", "at": "soon"}', "change 1: at 'soon' is no ISO 8601 time"),
        (b'{"service": {"name": "a"}}', "change 1: service .* is no plain text"),
        (json.dumps({"service": "a" * 201}).encode(), "at most 200 characters"),
        (json.dumps({"deployment": {"id": 1}}).encode(), "service is missing"),
    ],
)
def test_a_wrong_change_is_named(payload: bytes, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        changes_of_json(payload, NOON)


def test_files(tmp_path: Path) -> None:
    csv = tmp_path / "releases.csv"
    csv.write_text("at,service,kind,what,change_id\n2026-03-01T11:00:00Z,cart,,v2,\n2026-03-01 11:30:00,pay,scaling,3 to 5,c-9\n")
    cart, pay = changes_of_file(csv, NOON)
    assert (cart.kind, cart.what, cart.source) == ("deployment", "v2", "releases")
    assert (pay.kind, pay.change_id, pay.at) == ("scaling", "c-9", datetime(2026, 3, 1, 11, 30, tzinfo=UTC))
    lines = tmp_path / "releases.jsonl"
    lines.write_text(json.dumps(GITHUB))
    assert changes_of_file(lines, NOON)[0].change_id == "github-42"
    with pytest.raises(SourceError, match=r"absent\.csv"):
        changes_of_file(tmp_path / "absent.csv", NOON)
