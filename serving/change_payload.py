"""Change events as people and machines send them: rows with our names, GitHub's events; JSON, JSON lines, CSV, Parquet.

GitHub's form (also of `deployment_status` events): https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from aiops.errors import ContractError, SourceError, legible
from aiops.root_cause import ChangeEvent

_MOST: Final = {"service": 200, "kind": 100, "what": 1000, "source": 200, "change_id": 200}
"""Characters of each text at most."""
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_TIMES: Final = ("at", "deployed_at", "timestamp", "created_at")


def changes_of_json(payload: bytes, received_at: datetime, source: str = "") -> tuple[ChangeEvent, ...]:
    """Return the changes of a JSON object, an array of them, or one object a line.

    Each has `service` and, optionally, at (ISO 8601; received_at where it is absent), kind (deployment), what, source, change_id;
    or is an event of GitHub with `deployment` and `repository`: the service is `deployment.payload.service`, else the repository.

    Raises:
        ContractError: no JSON, or a change lacks or breaks a field; the message counts from 1 and names the field.
    """
    return tuple(_change(number, row, received_at, source) for number, row in enumerate(_rows(payload), 1))


def changes_of_file(path: Path, received_at: datetime) -> tuple[ChangeEvent, ...]:
    """Return the changes of a CSV, Parquet or JSON file; columns as in `changes_of_json`, empty cells count as absent.

    Raises:
        SourceError: the file cannot be read.
        ContractError: a change lacks or breaks a field.
    """
    try:
        if path.suffix in {".json", ".jsonl", ".ndjson"}:
            return changes_of_json(path.read_bytes(), received_at, path.stem)
        table = pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"{path}: cannot be read as {path.suffix or 'CSV'}: {legible(error)}; give CSV, Parquet or JSON"
        ) from error
    rows = ({name: cell for name, cell in row.items() if cell not in (None, "")} for row in table.to_pylist())
    return tuple(_change(number, row, received_at, path.stem) for number, row in enumerate(rows, 1))


def _rows(payload: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        text = payload.decode()
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ContractError(f"changes: no JSON ({error}); send an object, an array of objects or one object a line") from error
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ContractError(f"change {number}: {str(row)[:100]!r} is no object; write for example {{'service': 'cart'}}")
        yield row


def _change(number: int, row: Mapping[str, Any], received_at: datetime, source: str) -> ChangeEvent:
    told = _of_github(row) if isinstance(row.get("deployment"), dict) else row
    texts = {name: _text(number, told, name) for name in _MOST}
    at = next((_moment(number, name, told[name]) for name in _TIMES if told.get(name) is not None), received_at)
    if not texts["service"]:
        raise ContractError(f"change {number}: service is missing; name the service that was changed")
    event = ChangeEvent.of(at, texts["service"], texts["kind"] or "deployment", texts["what"], texts["source"] or source)
    return replace(event, change_id=texts["change_id"]) if texts["change_id"] else event


def _of_github(row: Mapping[str, Any]) -> Mapping[str, Any]:
    deployment, repository, extra = row["deployment"], row.get("repository"), row["deployment"].get("payload")
    named = extra.get("service") if isinstance(extra, dict) else None
    parts = [str(deployment[name]) for name in ("ref", "environment", "description") if deployment.get(name)]
    return {
        "service": named or (repository.get("name") if isinstance(repository, dict) else None),
        "at": deployment.get("created_at"),
        "kind": "deployment",
        "what": ", ".join(parts)[: _MOST["what"]],
        "source": "github",
        "change_id": None if deployment.get("id") is None else f"github-{deployment['id']}",
    }


def _text(number: int, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    text = "" if value is None else str(value).strip() if isinstance(value, str | int | float) else None
    if text is None or len(text) > _MOST[name] or not text.isprintable():
        raise ContractError(
            f"change {number}: {name} {str(value)[:60]!r} is no plain text of at most {_MOST[name]} characters; shorten it"
        )
    return text


def _moment(number: int, name: str, value: object) -> datetime:
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ContractError(
            f"change {number}: {name} {str(value)[:60]!r} is no ISO 8601 time; write for example 2026-01-31T12:00:00Z"
        ) from error
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    if not _FIRST <= moment < _LAST:
        raise ContractError(f"change {number}: {name} {str(value)[:60]!r} does not lie in the years 1970 to 2199; correct it")
    return moment
