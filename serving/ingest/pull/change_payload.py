"""Change events as people and machines send them: rows with our names, GitHub's events; JSON, JSON lines, CSV, Parquet.

GitHub's form (also of `deployment_status` events): https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiops.errors import ContractError, FileError, legible
from aiops.incidents.root_cause import ChangeEvent
from data_contracts.telemetry.names import name_fault
from data_contracts.values.texts import text_problem
from data_contracts.values.time_forms import read_moment
from serving.ingest.pull.csv_blocks import Dialect
from serving.ingest.pull.file_bytes import whole_text
from serving.ingest.pull.table_file import PLAIN, RefusedRow, RowError, open_table, text_of

_MOST: Final = {"service": 200, "kind": 100, "what": 1000, "source": 200, "change_id": 200}
"""Characters of each text at most."""
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_JSON_ENDINGS: Final = (".json", ".jsonl", ".ndjson")
_TIMES: Final = ("at", "deployed_at", "timestamp", "created_at")


@dataclass(frozen=True, slots=True)
class ChangesRead:
    """Changes that were read, and why others were not: a wrong one never costs its neighbours."""

    events: tuple[ChangeEvent, ...]
    refused: tuple[RefusedRow, ...] = ()


def changes_of_json(payload: bytes, received_at: datetime, source: str = "") -> ChangesRead:
    """Return the changes of a JSON object, an array of them, or one object a line; UTF-8, or UTF-16 or 32 with or without a mark.

    Each has `service` and, optionally, at (ISO 8601 or epoch, else received_at), kind (deployment), what, source, change_id;
    or is an event of GitHub with `deployment` and `repository`: the service is `deployment.payload.service`, else the repository.

    Raises:
        ContractError: the payload is no JSON.
    """
    return _read(_rows(_decoded(payload)), received_at, source)


def changes_of_file(path: Path, received_at: datetime, dialect: Dialect = PLAIN) -> ChangesRead:
    """Return the changes of a CSV, Parquet or JSON file; columns as in `changes_of_json`, empty cells count as absent.

    Raises:
        FileError: the file cannot be read, or no row of it can be taken.
    """
    if path.name.lower().removesuffix(".gz").endswith(_JSON_ENDINGS):
        try:
            read = _read(_rows(whole_text(path, dialect.encoding)), received_at, path.stem)
        except (ContractError, OSError) as error:
            raise FileError(f"{path}: {legible(error)}") from error
    else:
        file = open_table(path, (), dialect)
        read = _read(file.rows(), received_at, path.stem)
        cut = tuple(RefusedRow(0, f"{line[:60]!r} has not as many cells as the header") for line in file.cut_rows())
        read = replace(read, refused=read.refused + cut)
    if read.refused and not read.events:
        raise FileError(f"{path}: no change can be taken; change {read.refused[0].number}: {read.refused[0].reason}")
    return read


def _read(rows: Iterable[object], received_at: datetime, source: str) -> ChangesRead:
    events: list[ChangeEvent] = []
    refused: list[RefusedRow] = []
    for number, row in enumerate(rows, 1):
        try:
            if not isinstance(row, Mapping):
                raise RowError(f"{str(row)[:100]!r} is no object; write for example {{'service': 'cart'}}")
            if row:
                events.append(_change(row, received_at, source))
        except RowError as error:
            refused.append(RefusedRow(number, str(error)))
    return ChangesRead(tuple(events), tuple(refused))


def _decoded(payload: bytes) -> str:
    try:
        return payload.decode(json.detect_encoding(payload)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ContractError(f"changes: no JSON ({error}); send it in UTF-8") from error


def _rows(text: str) -> list[Any]:
    """Return the objects of a JSON text; only a line feed parts lines, numbers keep their digits as text."""
    try:
        try:
            value = _loads(text)
        except json.JSONDecodeError:
            value = [_loads(line) for line in text.split("\n") if line.strip()]
            if not value:
                raise
    except (ValueError, RecursionError) as error:
        fix = "send an object, an array of objects or one object a line"
        raise ContractError(f"changes: no JSON ({legible(error)}); {fix}") from error
    return value if isinstance(value, list) else [value]


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_int=str)


def _change(row: Mapping[str, Any], received_at: datetime, source: str) -> ChangeEvent:
    fields = _of_github(row) if isinstance(row.get("deployment"), dict) else row
    texts = {name: _text(fields, name) for name in _MOST}
    at = next((_moment(name, fields[name]) for name in _TIMES if fields.get(name) is not None), received_at)
    if not texts["service"]:
        raise RowError("service is missing; name the service that was changed")
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


def _text(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return ""
    text = text_of(row, name)
    problem = text_problem(text, _MOST[name], single_line=name != "what")
    if problem is not None:
        raise RowError(f"{name} {text[:60]!r} {problem}")
    fault = name_fault(text.encode(), "service") if name == "service" and text else None
    if fault is not None:
        raise RowError(fault.text)
    return text


def _moment(name: str, value: object) -> datetime:
    moment = read_moment(value)
    if moment is None:
        raise RowError(f"{name} {str(value)[:60]!r} is no ISO 8601 time; write for example 2026-01-31T12:00:00Z")
    if not _FIRST <= moment < _LAST:
        raise RowError(f"{name} {str(value)[:60]!r} does not lie in the years 1970 to 2199; correct it")
    return moment
