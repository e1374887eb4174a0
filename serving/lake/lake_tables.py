"""The tables of the lake: schema, the column of time that partitions them, and whether retention applies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from aiops.errors import ConfigurationError, ContractError
from data_contracts.schemas import telemetry_schemas, truth_schemas
from data_contracts.schemas.character_schema import SERIES_CHARACTER
from data_contracts.schemas.learning_schema import DRIFT_CHECKS, VERDICTS
from data_contracts.schemas.season_schema import SEASONAL_BANDS
from data_contracts.schemas.telemetry_schemas import CODED_NAME
from data_contracts.schemas.wire_schemas import EXEMPLARS, LOGS, SERIES_CATALOGUE, SIGNAL_TEXTS, SPANS


@dataclass(frozen=True, slots=True)
class LakeTable:
    """One table; `partitioned` by UTC day of `time`; `expires`: whole days are deleted by retention.

    `identity`: text or integer columns that name a row, together with `time` unless it is `movable`; empty = rows have none.
    Of two rows of one identity the greater counts, compared by the columns `latest` in their order; with `first_word` the least.
    `movable`: a later word may move a row to another day, so that reading opens every day; for small tables.
    `signal`: kept for the days of the setting for logs, spans and exemplars, not for those of telemetry.
    `merged`: files may be merged, for its writers only ever add rows to a key.
    """

    schema: pa.Schema
    time: str
    partitioned: bool = True
    expires: bool = True
    identity: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()
    first_word: bool = False
    movable: bool = False
    merged: bool = False
    signal: bool = False

    @property
    def compared(self) -> tuple[str, ...]:
        """Return the columns that decide which of several rows counts."""
        return tuple(dict.fromkeys((*self.identity, self.time, *self.latest))) if self.identity else ()


def _labels(schema: pa.Schema, time: str, *identity: str) -> LakeTable:
    """Return a small table of what people or other systems say; it stays for good, and the word known last counts."""
    rest = sorted((name for name in schema.names if name not in identity), key=lambda name: name != "known_at")
    return LakeTable(schema, time, expires=False, identity=identity, latest=tuple(rest), movable=True)


def _once(schema: pa.Schema, time: str, *identity: str, latest: tuple[str, ...] = ()) -> LakeTable:
    """Return a table whose rows are kept once an identity and time."""
    return LakeTable(schema, time, identity=identity, latest=latest, merged=True)


def _features(schema: pa.Schema, *of: str) -> LakeTable:
    """Return a table of features: one row an entity and tick, the one known first, for models were asked with it."""
    return LakeTable(schema, "event_timestamp", identity=of, latest=("available_at",), first_word=True, merged=True)


def _signal(schema: pa.Schema, *identity: str) -> LakeTable:
    """Return a table of logs, spans or exemplars: what a sender repeats is kept once; of two words the first counts."""
    return LakeTable(schema, "timestamp", identity=identity, latest=("available_at",), first_word=True, merged=True, signal=True)


SERIES_IDENTITY: Final = ("series_id",)
"""What names a series in the telemetry table."""

LAKE_TABLES: Final[Mapping[str, LakeTable]] = {
    "telemetry": _once(telemetry_schemas.LAKE_TELEMETRY, "timestamp", *SERIES_IDENTITY, latest=("available_at", "value")),
    "rejected": _once(telemetry_schemas.REJECTED, "rejected_at", "reject_id"),
    "redriven": _once(telemetry_schemas.REDRIVEN, "rejected_at", "reject_id", latest=("redriven_at",)),
    "incidents": _labels(telemetry_schemas.INCIDENTS, "starts_at", "incident_id", "service"),
    "deployments": _labels(truth_schemas.DEPLOYMENTS, "deployed_at", "deployment_id"),
    "drift_truth": _labels(truth_schemas.DRIFT_TRUTH, "starts_at", "service", "kind"),
    "verdicts": LakeTable(VERDICTS, "given_at", expires=False),
    "drift_checks": LakeTable(DRIFT_CHECKS, "checked_at"),
    "changes": _once(telemetry_schemas.CHANGES, "at", "change_id", latest=("service", "kind", "what", "source")),
    "edges": LakeTable(telemetry_schemas.EDGES, "valid_from", partitioned=False, expires=False),
    "series_features": _features(telemetry_schemas.SERIES_FEATURES_TABLE, *SERIES_IDENTITY),
    "service_features": _features(telemetry_schemas.SERVICE_FEATURES_TABLE, "service"),
    "seasonal_bands": LakeTable(SEASONAL_BANDS, "event_timestamp"),
    "detections": _once(telemetry_schemas.DETECTIONS, "timestamp", "detection_id", "revision"),
    "predictions": LakeTable(telemetry_schemas.PREDICTIONS, "timestamp"),
    "series_character": LakeTable(SERIES_CHARACTER, "measured_at", partitioned=False, expires=False),
    "served": LakeTable(telemetry_schemas.SERVED, "served_at"),
    "series": LakeTable(
        SERIES_CATALOGUE,
        "first_seen_at",
        expires=False,
        identity=SERIES_IDENTITY,
        latest=("first_seen_at",),
        first_word=True,
        movable=True,
        merged=True,
    ),
    "signal_texts": _once(SIGNAL_TEXTS, "known_at", "service", "metric", latest=("pattern", "example")),
    "logs": _signal(LOGS, "log_id"),
    "spans": _signal(SPANS, "trace_id", "span_id"),
    "exemplars": _signal(EXEMPLARS, *SERIES_IDENTITY, "trace_id"),
}
"""Labels, verdicts and the graph stay, and of the catalogue of series what is alive (`series_pruning`); everything else is kept
for the days of the retention settings.

Of two values of one point that became available at the same moment, the greater counts: whichever came first.
"""


def spec_of(table: str) -> LakeTable:
    """Return what is known of a table.

    Raises:
        ConfigurationError: it is unknown.
    """
    spec = LAKE_TABLES.get(table)
    if spec is None:
        raise ConfigurationError(f"table {table!r} is unknown; tables of the lake: {', '.join(LAKE_TABLES)}")
    return spec


def conformed(name: str, table: LakeTable, rows: pa.Table | pa.RecordBatch, coded: bool = False) -> pa.Table:
    """Return `rows` in the table's column order and types. Only lossless casts: text encodings, time units, integer widths.

    `coded`: texts that are dictionary-coded stay so, which saves writing them out.

    Raises:
        ContractError: columns are missing or unknown, a type does not fit, or a required cell is null.
    """
    given, required = set(rows.schema.names), set(table.schema.names)
    if given != required or len(rows.schema.names) != len(given):
        missing, unknown = ", ".join(sorted(required - given)) or "none", ", ".join(sorted(given - required)) or "none"
        raise ContractError(
            f"table {name!r}: columns missing: {missing}; unknown or twice: {unknown}; "
            f"rows must have exactly the columns of its schema: add or drop them"
        )
    fields = [_coded(field, rows.schema.field(field.name)) if coded else field for field in table.schema]
    columns = [_cell_column(name, field, rows.column(field.name)) for field in fields]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields).with_metadata(table.schema.metadata))


def _coded(field: "pa.Field[Any]", given: "pa.Field[Any]") -> "pa.Field[Any]":
    stays = pa.types.is_string(field.type) and given.type.equals(CODED_NAME)
    return field.with_type(CODED_NAME) if stays else field


def _cell_column(name: str, field: "pa.Field[Any]", column: Any) -> Any:
    try:
        cast = column if column.type.equals(field.type) else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ContractError(
            f"table {name!r}: column {field.name!r} has type {column.type}; it must be {field.type} ({reason}): cast it"
        ) from error
    if not field.nullable and cast.null_count:
        rule = "it must have none: fill or drop them"
        raise ContractError(f"table {name!r}: column {field.name!r} has {cast.null_count} nulls in {len(cast)} rows; {rule}")
    return cast


def evolved(name: str, table: LakeTable, columns: list[str], stored: pa.Table) -> pa.Table:
    """Return stored rows with the given columns of today's schema; optional columns that older files lack are null.

    Raises:
        ContractError: older files lack a required column, or hold one of another type.
    """
    arrays = []
    for field in (table.schema.field(column) for column in columns):
        if field.name in stored.schema.names:
            arrays.append(_cell_column(name, field, stored.column(field.name)))
        elif field.nullable:
            arrays.append(pa.nulls(stored.num_rows, field.type))
        else:
            raise ContractError(
                f"table {name!r}: stored files lack column {field.name!r}, which the schema requires: write them anew"
            )
    fields: list[Any] = [table.schema.field(column) for column in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)).replace_schema_metadata(table.schema.metadata)
