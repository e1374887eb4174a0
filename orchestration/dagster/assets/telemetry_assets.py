"""Assets from a source to features: telemetry, the call graph and labels, series and service features."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from orchestration.dagster.partitions import DAILY, WHOLE_RANGE, day_window, range_window
from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.retries import RETRY, judged
from orchestration.pipeline import features as feature_pipeline
from orchestration.pipeline import ingest as ingest_pipeline
from orchestration.pipeline.quality import check_window
from orchestration.workspace.source_choice import SourceChoice
from orchestration.workspace.workspace import Workspace

CONTRACT = "contract"
ROW_COUNT = "dagster/row_count"
"""The name under which the UI shows rows, and their history."""


class SourceConfig(dg.Config):
    """Where telemetry comes from: "lake" = it is there already (written by the stream's archiver); else a source."""

    source: str = "lake"
    path: str = ""
    options: list[str] = []  # noqa: RUF012  (Dagster's config classes copy defaults)


def contract_results(workspace: Workspace, table: str, days: list[str]) -> Iterator[dg.AssetCheckResult]:
    """Yield one blocking result over all partitions of a run: the days that break the expectations, and why."""
    reports = {day: check_window(workspace, table, *day_window(day)) for day in days}
    failed = {day: report.describe() for day, report in reports.items() if not report.success}
    yield dg.AssetCheckResult(
        asset_key=table,
        check_name=CONTRACT,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "partitions": len(days),
            "failed": dg.MetadataValue.md("\n\n".join(f"{day}: {text}" for day, text in failed.items())),
            "expectations": sum(r.checks for r in reports.values()),
        },
    )


def _check(table: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        CONTRACT, asset=table, blocking=True, description=f"Great Expectations suite built from the schema of {table}"
    )


@dg.asset(group_name="observe", kinds={"parquet"}, retry_policy=RETRY)
def service_graph_and_labels(
    context: dg.AssetExecutionContext, config: SourceConfig, workspace: WorkspaceResource
) -> dg.MaterializeResult[None]:
    """Call graph and incident labels of the source, as tables beside the telemetry."""
    space = workspace.open()
    if config.source != "lake":
        with judged():
            ingest_pipeline.ingest_truth(space, _source(config).open())
    counts = {"edges": space.lake.count("edges"), "incidents": space.lake.count("incidents")}
    context.log.info(f"call edges and labelled incidents in the lake: {counts}")
    return dg.MaterializeResult(metadata=counts)


@dg.multi_asset(  # of one: the plain decorator's backfill_policy is still in beta and warns
    specs=[
        dg.AssetSpec(
            "telemetry",
            group_name="observe",
            kinds={"parquet", "duckdb"},
            description="Accepted points by UTC day; refused rows lie in the rejected table with their reason.",
        )
    ],
    partitions_def=DAILY,
    backfill_policy=WHOLE_RANGE,
    retry_policy=RETRY,
    check_specs=[_check("telemetry")],
)
def telemetry(
    context: dg.AssetExecutionContext, config: SourceConfig, workspace: WorkspaceResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Read the source's points of the days through the contract into the lake, where the stream has not."""
    space, days = workspace.open(), list(context.partition_keys)
    metadata: dict[str, int] = {}
    if config.source != "lake":
        with judged():
            chunks = _source(config).open().batches(*range_window(days))
            done = ingest_pipeline.ingest(space, config.source, chunks, datetime.now(UTC), context.log.info)
        metadata = {name: getattr(done, name) for name in ("read", "stored", "already_there", "rejected")}
    yield dg.MaterializeResult(asset_key="telemetry", metadata={**metadata, ROW_COUNT: _rows(space, "telemetry", days)})
    yield from contract_results(space, "telemetry", days)


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "series_features",
            deps=[telemetry],
            group_name="observe",
            kinds={"parquet"},
            description="Window statistics of every series at every tick.",
        ),
        dg.AssetSpec(
            "service_features",
            deps=[telemetry, service_graph_and_labels],
            group_name="observe",
            kinds={"parquet"},
            description="One vector a service and tick: golden signals, neighbours, limits, calendar.",
        ),
    ],
    partitions_def=DAILY,
    backfill_policy=WHOLE_RANGE,
    check_specs=[_check("series_features"), _check("service_features")],
    retry_policy=RETRY,
)
def features(
    context: dg.AssetExecutionContext, workspace: WorkspaceResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Backfill by the stream's own engine, going on from the state that the day before left."""
    space, days = workspace.open(), list(context.partition_keys)
    with judged():
        built = feature_pipeline.build_features(space, feature_pipeline.Window(*range_window(days)), context.log.info)
    for table in ("series_features", "service_features"):
        yield dg.MaterializeResult(
            asset_key=table, metadata={ROW_COUNT: _rows(space, table, days), "points": built.points, "resumed": built.resumed}
        )
        yield from contract_results(space, table, days)


def _source(config: SourceConfig) -> SourceChoice:
    from pathlib import Path

    return SourceChoice(config.source, Path(config.path) if config.path else None, tuple(config.options))


def _rows(workspace: Workspace, table: str, days: list[str]) -> int:
    start, end = range_window(days)
    return workspace.lake.read(table, start, end, columns=["service"]).num_rows
