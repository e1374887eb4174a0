"""Service vectors from a file, scored by the running service."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from aiops.errors import ConfigurationError, ContractError, Unavailable, legible
from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, TIMESTAMP
from serving.ingest.pull.csv_blocks import CsvBlocks, Dialect
from serving.ingest.pull.time_columns import AUTO, UNREADABLE, read_epochs, recognised_form
from serving.scoring.answers.scoring import PREDICT, SCORE
from serving.stream.consumer.scoring_client import ScoringClient

BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """The answers, one record a row in the order of the file."""

    model: str
    model_version: str
    rows: list[dict[str, Any]]


def score_file(settings: Settings, path: Path, predict: bool) -> ScoredFile:
    """Send the rows of a .parquet, .csv or .json file to the service in Arrow batches.

    Raises:
        ConfigurationError: no such file, or an ending that is not read.
        ContractError: the file cannot be read, the column service is missing, or no column is a feature.
        Unavailable: the service does not answer.
    """
    batch = _vectors(_read(path))
    token = settings.consumer.scoring_token
    with ScoringClient(
        settings.scoring_url, float(settings.serving.timeout_s), token.get_secret_value() if token else None
    ) as client:
        ask = client.predict if predict else client.score
        try:
            answers = [ask(batch.slice(start, BATCH)) for start in range(0, batch.num_rows, BATCH)]
        except Unavailable as error:
            raise Unavailable(f"{error}; is the service up (`aiops up`) and its model promoted (`aiops models`)?") from error
    rows = [row for answer in answers for row in answer.rows.to_pylist()]
    return ScoredFile((PREDICT if predict else SCORE).model, answers[-1].model_version if answers else "", rows)


def _read(path: Path) -> pa.Table:
    """Return the rows of a file; a cell of CSV is text, and a name is never read as a number."""
    if not path.is_file():
        raise ConfigurationError(f"rows: {path} does not exist; give a .parquet, .csv or .json file of service vectors")
    readers: dict[str, Callable[[Path], pa.Table]] = {
        ".parquet": pyarrow.parquet.read_table,
        ".pq": pyarrow.parquet.read_table,
        ".csv": _csv,
        ".json": lambda json: pa.Table.from_pandas(pd.read_json(json, dtype=False, convert_dates=False), preserve_index=False),
    }
    if path.suffix not in readers:
        raise ConfigurationError(f"rows: {path.suffix!r} is not read; give .parquet, .csv or .json")
    try:
        return readers[path.suffix](path)
    except (ValueError, OSError, pa.ArrowException) as error:  # pyarrow's and pandas' parse errors are ValueErrors
        raise ContractError(
            f"rows: {path} cannot be read as {path.suffix[1:]}: {legible(error)}; give a readable file"
        ) from error


def _csv(path: Path) -> pa.Table:
    file = CsvBlocks(path, Dialect())
    tables = list(file.blocks(file.names))
    if file.unreadable():
        raise ValueError("a row has not as many cells as the header")
    texts = pa.schema([(name, pa.string()) for name in file.names])
    return pa.concat_tables(tables).cast(texts) if tables else texts.empty_table()


def _vectors(rows: pa.Table) -> pa.RecordBatch:
    names = rows.column_names
    if "service" not in names:
        raise ContractError(f"rows: column 'service' is missing; the file has {names}")
    known = [name for name in SERVICE_FEATURES if name in names]
    if not known:
        raise ContractError(f"rows: no feature column; the file has {names}, features are {list(SERVICE_FEATURES)}")
    service = rows["service"].combine_chunks()
    if pa.types.is_floating(service.type):
        raise ContractError("rows: service is a column of floating numbers; names are text: write it as text")
    columns: dict[str, Any] = {"service": service.cast(pa.string()), "event_timestamp": _times(rows)}
    return pa.RecordBatch.from_pydict(columns | {name: _numbers(rows, name) for name in known})


def _numbers(rows: pa.Table, name: str) -> "pa.Array[Any]":
    cells = rows[name].combine_chunks()
    if pa.types.is_string(cells.type):
        cells = pa.array([text or None for text in cells.to_pylist()], pa.string())
    try:
        return cast("pa.Array[Any]", cells.cast(pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ContractError(f"rows: {name}: {legible(error)}; features must be numbers") from error


def _times(rows: pa.Table) -> "pa.Array[Any]":
    if "event_timestamp" not in rows.column_names:
        return pa.array([datetime.now(UTC)] * rows.num_rows, TIMESTAMP)
    cells = rows["event_timestamp"].combine_chunks()
    try:
        at = read_epochs(cells, recognised_form(cells, AUTO, "rows: event_timestamp"))
    except ValueError as error:
        raise ContractError(f"rows: {error}; event_timestamp must be ISO 8601 times") from error
    wrong = np.flatnonzero((at == UNREADABLE) & np.asarray(cells.is_valid()))
    if wrong.size:
        raise ContractError(f"rows: event_timestamp {cells[int(wrong[0])].as_py()!r} is no time; write ISO 8601 times")
    return pa.array(at, pa.int64(), mask=at == UNREADABLE).cast(TIMESTAMP)
