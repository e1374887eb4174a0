"""Service vectors from a file, scored by the running service."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from aiops.errors import ConfigurationError, ContractError, Unavailable, legible
from aiops.settings import Settings
from data_contracts.schemas import SERVICE_FEATURES, TIMESTAMP
from serving.bento.scoring import PREDICT, SCORE
from serving.scoring_client import ScoringClient

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


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ConfigurationError(f"rows: {path} does not exist; give a .parquet, .csv or .json file of service vectors")
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": pd.read_parquet,
        ".csv": pd.read_csv,
        ".json": pd.read_json,
    }
    if path.suffix not in readers:
        raise ConfigurationError(f"rows: {path.suffix!r} is not read; give .parquet, .csv or .json")
    try:
        return readers[path.suffix](path)
    except (ValueError, OSError) as error:  # pyarrow's and pandas' parse errors are ValueErrors
        raise ContractError(
            f"rows: {path} cannot be read as {path.suffix[1:]}: {legible(error)}; give a readable file"
        ) from error


def _vectors(frame: pd.DataFrame) -> pa.RecordBatch:
    if "service" not in frame:
        raise ContractError(f"rows: column 'service' is missing; the file has {list(frame.columns)}")
    known = [name for name in SERVICE_FEATURES if name in frame]
    if not known:
        raise ContractError(f"rows: no feature column; the file has {list(frame.columns)}, features are {list(SERVICE_FEATURES)}")
    given = frame["event_timestamp"] if "event_timestamp" in frame else pd.Series([datetime.now(UTC)] * len(frame))
    try:
        times = pd.to_datetime(given, utc=True).dt.as_unit("us")
        features = {name: pa.array(frame[name].astype("float64"), from_pandas=True) for name in known}
    except (ValueError, TypeError) as error:
        raise ContractError(f"rows: {error}; features must be numbers, event_timestamp ISO 8601 times") from error
    columns: dict[str, Any] = {"service": pa.array(frame["service"].astype(str)), "event_timestamp": pa.array(times, TIMESTAMP)}
    return pa.RecordBatch.from_pydict({**columns, **features})
