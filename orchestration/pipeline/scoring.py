"""Service vectors from a file, scored by the running service."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from aiops.errors import ConfigurationError, ContractError
from aiops.settings import Settings
from data_contracts.schemas import SERVICE_FEATURES, TIMESTAMP
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
        ContractError: the column service is missing, or there is no feature column.
        Unavailable: the service does not answer.
    """
    batch = _vectors(_read(path))
    token = settings.consumer.scoring_token
    with ScoringClient(
        settings.scoring_url, float(settings.serving.timeout_s), token.get_secret_value() if token else None
    ) as client:
        ask = client.predict if predict else client.score
        answers = [ask(batch.slice(start, BATCH)) for start in range(0, batch.num_rows, BATCH)]
    rows = [row for answer in answers for row in answer.rows.to_pylist()]
    return ScoredFile("incident-predictor" if predict else "isolation-forest", answers[-1].model_version if answers else "", rows)


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ConfigurationError(f"rows: {path} does not exist; give a .parquet, .csv or .json file of service vectors")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path)
    if path.suffix == ".json":
        return pd.read_json(path)
    raise ConfigurationError(f"rows: {path.suffix!r} is not read; give .parquet, .csv or .json")


def _vectors(frame: pd.DataFrame) -> pa.RecordBatch:
    if "service" not in frame:
        raise ContractError(f"rows: column 'service' is missing; the file has {list(frame.columns)}")
    known = [name for name in SERVICE_FEATURES if name in frame]
    if not known:
        raise ContractError(f"rows: no feature column; the file has {list(frame.columns)}, features are {list(SERVICE_FEATURES)}")
    given = frame["event_timestamp"] if "event_timestamp" in frame else pd.Series([datetime.now(UTC)] * len(frame))
    times = pd.to_datetime(given, utc=True).dt.as_unit("us")
    columns: dict[str, Any] = {"service": pa.array(frame["service"].astype(str)), "event_timestamp": pa.array(times, TIMESTAMP)}
    features = {name: pa.array(frame[name].astype("float64"), from_pandas=True) for name in known}
    return pa.RecordBatch.from_pydict({**columns, **features})
