"""Great Expectations suites built from the Arrow schemas: what one partition of the lake must look like.

The only module that imports great_expectations (inside functions: it costs seconds). Nothing is stored, sent or shown:
the context lives in memory, without data docs, analytics or progress bars.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from data_contracts.schemas.metrics import spec_of
from data_contracts.schemas.telemetry_schemas import INCIDENTS, LAKE_TELEMETRY, SERIES_FEATURES_TABLE, SERVICE_FEATURES_TABLE

if TYPE_CHECKING:
    import pandas as pd

_LOW, _HIGH = "lowest_valid", "highest_valid"
_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class TableRules:
    """What a table's schema cannot say: its key, column pairs (later, earlier) in time order, and ranges by column suffix."""

    schema: pa.Schema
    key: tuple[str, ...]
    ordered: tuple[tuple[str, str], ...] = ()
    ranges: tuple[tuple[str, float, float], ...] = ()


RULES: Final[Mapping[str, TableRules]] = {
    "telemetry": TableRules(LAKE_TELEMETRY, ("timestamp", "series_id", "available_at")),
    "series_features": TableRules(
        SERIES_FEATURES_TABLE,
        ("series_id", "event_timestamp", "available_at"),
        ordered=(("available_at", "event_timestamp"),),
        ranges=(("gap_count_5m", 0, math.inf), ("gap_count_1h", 0, math.inf), ("std_5m", 0, math.inf), ("std_1h", 0, math.inf)),
    ),
    "service_features": TableRules(
        SERVICE_FEATURES_TABLE,
        ("service", "event_timestamp", "available_at"),
        ordered=(("available_at", "event_timestamp"),),
        ranges=(
            ("abnormal_share", 0, 1),
            ("minutes_since_incident", 0, math.inf),
            ("minutes_to_limit", 0, math.inf),
            ("hour", 0, 24),
            ("weekday", 0, 6),
        ),
    ),
    "incidents": TableRules(
        INCIDENTS,
        ("incident_id",),
        ordered=(("starts_at", "onset_at"), ("ends_at", "starts_at"), ("known_at", "starts_at")),
    ),
}
"""Tables that have expectations. A correction that became available later may repeat a point; the same row twice may not."""


@dataclass(frozen=True, slots=True)
class FailedExpectation:
    """One expectation that a partition does not meet; `unexpected_share` is 0..1 of the rows, NaN where rows do not apply."""

    name: str
    column: str
    unexpected_count: int
    unexpected_share: float
    examples: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """Outcome of all checks of one partition."""

    table: str
    rows: int
    success: bool
    checks: int
    failed: tuple[FailedExpectation, ...]

    def describe(self) -> str:
        """Return the outcome in words, one line a failed check."""
        if self.success:
            return f"{self.table}: {self.rows} rows meet all {self.checks} expectations"
        lines = [f"{self.table}: {len(self.failed)} of {self.checks} expectations are not met ({self.rows} rows)"]
        return "\n".join([*lines, *(f"- {failure.text}" for failure in self.failed)])


def check_partition(table_name: str, frame: "pd.DataFrame") -> PartitionReport:
    """Check one partition (columns as `Lake.read(...).to_pandas()` gives them) against the expectations of its table.

    Raises:
        ValueError: the table has no expectations.
    """
    rules = RULES.get(table_name)
    if rules is None:
        raise ValueError(f"table {table_name!r} has no expectations; tables that do: {', '.join(RULES)}")
    with_bounds = _with_bounds(frame) if table_name == "telemetry" else frame
    shape = _validated(frame, [_columns(rules)])
    content = _validated(with_bounds, list(_content(rules, frozenset(with_bounds.columns)))) if len(frame) else []
    results = [*shape, *content]
    failed = tuple(_failure(result, len(frame)) for result in results if not result.success)
    return PartitionReport(table_name, len(frame), not failed, len(results), failed)


def _with_bounds(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the frame with the valid range of each row's metric, for metrics of the catalogue (others: unbounded)."""
    if not {"metric", "value"} <= set(frame.columns):
        return frame
    specs = {name: spec_of(str(name)) for name in frame["metric"].unique()}
    lows = frame["metric"].map({name: spec.low for name, spec in specs.items()}).astype("float64")
    highs = frame["metric"].map({name: spec.high for name, spec in specs.items()}).astype("float64")
    return frame.assign(**{_LOW: lows, _HIGH: highs})


def _columns(rules: TableRules) -> Any:
    gxe = _gallery()

    return gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(rules.schema.names))


def _content(rules: TableRules, present: frozenset[str]) -> Iterable[Any]:
    """Yield the expectations on cells, of columns that are present: absent ones fail the check of columns."""
    gxe = _gallery()

    for field in rules.schema:
        if field.name in present:
            yield gxe.ExpectColumnValuesToBeOfType(column=field.name, type_=_pandas_type(field.type))
            if not field.nullable:
                yield gxe.ExpectColumnValuesToNotBeNull(column=field.name)
    if set(rules.key) <= present:
        yield (
            gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rules.key))
            if len(rules.key) > 1
            else (gxe.ExpectColumnValuesToBeUnique(column=rules.key[0]))
        )
    bounds = (("value", _LOW), (_HIGH, "value")) if _LOW in present else ()
    for later, earlier in (*rules.ordered, *bounds):
        if {later, earlier} <= present:
            yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=later, column_B=earlier, or_equal=True, ignore_row_if="either_value_is_missing"
            )
    for suffix, low, high in rules.ranges:
        for name in sorted(name for name in present if name.endswith(suffix)):
            yield gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=None if math.isinf(high) else high)


def _gallery() -> Any:
    from great_expectations import expectations

    return expectations


def _pandas_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "Timestamp"
    return "str" if pa.types.is_string(kind) else np.dtype(kind.to_pandas_dtype()).name


def _validated(frame: "pd.DataFrame", expectations: list[Any]) -> list[Any]:
    import great_expectations as gx
    from great_expectations.data_context.types import base

    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    context = gx.get_context(project_config=config, mode="ephemeral")
    definition = (
        context.data_sources.add_pandas("lake").add_dataframe_asset("partition").add_batch_definition_whole_dataframe("all")
    )
    suite = gx.ExpectationSuite(name="contract", expectations=expectations)
    outcome = definition.get_batch(batch_parameters={"dataframe": frame}).validate(suite, result_format="SUMMARY")
    return list(outcome.results)


def _failure(result: Any, rows: int) -> FailedExpectation:
    config, details = result.expectation_config, result.result or {}
    arguments = config.kwargs
    pair = "/".join(arguments[name] for name in ("column_A", "column_B") if name in arguments)
    column = arguments.get("column") or pair or ", ".join(arguments.get("column_list", ()))
    count = int(details.get("unexpected_count") or 0)
    share = count / rows if rows and "unexpected_count" in details else math.nan
    examples = tuple(str(cell)[:200] for cell in details.get("partial_unexpected_list", ())[:_EXAMPLES])
    text = _words(config.type, arguments, details)
    raised = _exceptions(result.exception_info or {})
    if raised:
        text += f": this could not be computed ({raised[0][:200]})"
    if count:
        text += f": {count} rows ({share:.2%}) are not, e.g. {', '.join(examples)}"
    return FailedExpectation(config.type, column, count, share, examples, text)


def _exceptions(info: Mapping[str, Any]) -> list[str]:
    """Return the messages of exceptions; they stand at the top or below the id of the metric that failed."""
    nested = [cell for cell in info.values() if isinstance(cell, dict)]
    return [str(cell.get("exception_message")) for cell in (info, *nested) if cell.get("raised_exception")]


def _words(kind: str, arguments: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    column = arguments.get("column")
    if kind == "expect_table_columns_to_match_ordered_list":
        expected, observed = ", ".join(arguments["column_list"]), ", ".join(details.get("observed_value", ()))
        return f"columns must be {expected} in this order; found {observed}"
    if kind == "expect_column_values_to_be_of_type":
        return f"{column} must have type {arguments['type_']}; found {details.get('observed_value', 'cells of another type')}"
    if kind == "expect_column_values_to_be_between":
        high = arguments.get("max_value")
        return f"{column} must lie in {arguments.get('min_value')} to {'any' if high is None else high}"
    if kind == "expect_column_pair_values_a_to_be_greater_than_b":
        return _pair_words(arguments["column_A"], arguments["column_B"])
    if kind == "expect_column_values_to_not_be_null":
        return f"{column} must not be null"
    return f"{column or ', '.join(arguments.get('column_list', ()))} must be unique"


def _pair_words(greater: str, smaller: str) -> str:
    if smaller == _LOW:
        return "value must be at or above the lowest valid value of its metric"
    if greater == _HIGH:
        return "value must be at or below the highest valid value of its metric"
    return f"{greater} must not be before {smaller}"
