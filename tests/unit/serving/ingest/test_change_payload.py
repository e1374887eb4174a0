"""Change events as they are sent: our own rows, GitHub's events, files; each mistake with its number and field."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from aiops.errors import ContractError, FileError, SourceError
from serving.ingest.pull.change_payload import changes_of_file, changes_of_json
from serving.ingest.pull.csv_blocks import Dialect

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
    read = changes_of_json(json.dumps(rows).encode(), NOON, "ops")
    several = read.events
    assert read.refused == ()
    assert changes_of_json("\n".join(json.dumps(row) for row in rows).encode(), NOON, "ops").events == several
    assert changes_of_json(json.dumps(rows[0]).encode(), NOON, "ops").events == several[:1]
    assert [(event.service, event.kind, event.what, event.source) for event in several] == [
        ("cart", "deployment", "", "ops"),
        ("pay", "config", "pool 8 to 4", "ops"),
    ]
    assert [event.at for event in several] == [datetime(2026, 3, 1, 11, tzinfo=UTC), NOON]


def test_an_event_of_github_is_a_deployment() -> None:
    (change,) = changes_of_json(json.dumps(GITHUB).encode(), NOON).events
    assert (change.change_id, change.service, change.kind, change.source) == ("github-42", "cart", "deployment", "github")
    assert change.what == "v1.7.2, production"
    assert change.at == datetime(2026, 3, 1, 11, 58, 30, tzinfo=UTC)
    monorepo = GITHUB | {"deployment": GITHUB["deployment"] | {"payload": {"service": "pay"}}}  # type: ignore[operator]
    assert changes_of_json(json.dumps(monorepo).encode(), NOON).events[0].service == "pay"


@pytest.mark.parametrize("payload", [b"{", b"\xff", b""])
def test_a_payload_that_is_no_json_is_refused_as_a_whole(payload: bytes) -> None:
    with pytest.raises(ContractError, match="changes: no JSON"):
        changes_of_json(payload, NOON)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (1, "'1' is no object"),
        ({"kind": "config"}, "service is missing"),
        ({"service": "a", "at": "soon"}, "at 'soon' is no ISO 8601 time"),
        ({"service": {"name": "a"}}, "service .* is a dict; texts are text"),
        ({"service": "a" * 201}, "at most 200 are kept: shorten it"),
        ({"deployment": {"id": 1}}, "service is missing"),
        ({"service": "a\nb"}, r"holds U\+000A; a name is one line: remove it"),
        ({"service": "a", "what": "x\x07"}, r"holds U\+0007; control characters are not kept: remove it"),
    ],
)
def test_a_wrong_change_is_named_and_costs_its_neighbours_nothing(wrong: object, says: str) -> None:
    read = changes_of_json(json.dumps([{"service": "before"}, wrong, {"service": "after"}]).encode(), NOON)
    assert [event.service for event in read.events] == ["before", "after"]
    (refused,) = read.refused
    assert refused.number == 2
    assert re.search(says, refused.reason)


def test_files(tmp_path: Path) -> None:
    csv = tmp_path / "releases.csv"
    csv.write_text("at,service,kind,what,change_id\n2026-03-01T11:00:00Z,cart,,v2,\n2026-03-01 11:30:00,pay,scaling,3 to 5,c-9\n")
    cart, pay = changes_of_file(csv, NOON).events
    assert (cart.kind, cart.what, cart.source) == ("deployment", "v2", "releases")
    assert (pay.kind, pay.change_id, pay.at) == ("scaling", "c-9", datetime(2026, 3, 1, 11, 30, tzinfo=UTC))
    lines = tmp_path / "releases.jsonl"
    lines.write_text(json.dumps(GITHUB))
    assert changes_of_file(lines, NOON).events[0].change_id == "github-42"
    with pytest.raises(SourceError, match=r"absent\.csv"):
        changes_of_file(tmp_path / "absent.csv", NOON)


def test_texts_as_people_write_them(tmp_path: Path) -> None:
    """Emoji with a joiner, a no-break space before a colon, two lines, Persian with its non-joiner: one rule takes them all."""
    texts = [
        "ship \U0001f469\u200d\U0001f4bb",
        "D\u00e9ploiement\u00a0: v2",
        "one\n\n* two",
        "\u0628\u0647\u200c\u0631\u0648\u0632",
        "a\u2028b\u0085c",
    ]
    rows = [{"service": "caf\u00e9-\u2615", "at": "2026-03-01T11:00:00Z", "what": text} for text in texts]
    assert [event.what for event in changes_of_json(json.dumps(rows, ensure_ascii=False).encode(), NOON).events] == texts
    lines = tmp_path / "releases.jsonl"
    lines.write_bytes("\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    assert [event.what for event in changes_of_file(lines, NOON).events] == texts
    described = GITHUB | {"deployment": GITHUB["deployment"] | {"description": "fix\n\n* \U0001f469\u200d\U0001f4bb"}}  # type: ignore[operator]
    (change,) = changes_of_json(json.dumps(described).encode(), NOON).events
    assert change.what == "v1.7.2, production, fix\n\n* \U0001f469\u200d\U0001f4bb"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    text = json.dumps([{"service": "caf\u00e9", "at": "2026-03-01T11:00:00Z"}], ensure_ascii=False)
    assert [event.service for event in changes_of_json(text.encode(encoding), NOON).events] == ["caf\u00e9"]
    path = tmp_path / "c.json"
    path.write_bytes(text.encode(encoding))
    unmarked = encoding if encoding.endswith(("le", "be")) else None
    assert [event.service for event in changes_of_file(path, NOON, Dialect(encoding=unmarked)).events] == ["caf\u00e9"]


def test_a_file_in_another_encoding_is_refused_with_the_option_to_give(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes('[{"service": "caf\u00e9"}]'.encode("cp1252"))
    with pytest.raises(FileError, match=r"line 1 is not UTF-8: .* say the file's encoding, for example encoding=cp1252"):
        changes_of_file(path, NOON)
    assert changes_of_file(path, NOON, Dialect(encoding="cp1252")).events[0].service == "caf\u00e9"


def test_identifiers_are_text_in_csv_json_and_parquet(tmp_path: Path) -> None:
    cells = {"service": "0042", "what": "1.10", "change_id": "0005747"}
    csv = tmp_path / "c.csv"
    csv.write_text("service,what,change_id\n0042,1.10,0005747\nNA,72225e2,null\n")
    numbers, words = changes_of_file(csv, NOON).events
    assert {name: getattr(numbers, name) for name in cells} == cells
    assert (words.service, words.what, words.change_id) == ("NA", "72225e2", "null")
    (change,) = changes_of_json(b'{"service": 42, "what": 1.10, "change_id": 12345678901234567890}', NOON).events
    assert (change.service, change.what, change.change_id) == ("42", "1.10", "12345678901234567890")
    typed = tmp_path / "c.pq"
    pyarrow.parquet.write_table(pa.table({"service": [42], "change_id": [2**60 + 1]}), typed)
    (change,) = changes_of_file(typed, NOON).events
    assert (change.service, change.change_id) == ("42", str(2**60 + 1))
    pyarrow.parquet.write_table(pa.table({"service": [42.0]}), typed)
    with pytest.raises(FileError, match=r"service '42\.0' is a float; texts are text: write the column as text"):
        changes_of_file(typed, NOON)


def test_times_are_recognised_in_every_form() -> None:
    forms = ["2026-03-01T11:00:00Z", 1772362800, "1772362800", 1772362800000, "20260301110000", "2026-03-01 11:00:00 UTC"]
    read = changes_of_json(json.dumps([{"service": "a", "at": form} for form in forms]).encode(), NOON)
    assert {event.at for event in read.events} == {datetime(2026, 3, 1, 11, tzinfo=UTC)}
    assert read.refused == ()
    assert (
        changes_of_json(b'{"service": "a", "at": "03/01/2026"}', NOON).refused[0].reason.startswith("at '03/01/2026' is no ISO")
    )
