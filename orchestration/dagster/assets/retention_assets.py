"""Asset: the lake without the days beyond the retention setting."""

import dagster as dg

from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.retries import RETRY, judged


@dg.asset(group_name="observe", deps=["telemetry"], kinds={"parquet"}, retry_policy=RETRY)
def lake_retention(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
    """Whole days older than the newest telemetry by more than the retention setting are deleted; labels and graph stay.

    Logs, spans and exemplars have a setting of their own, and go by the newest of them.

    Series of which nothing is left leave the catalogue. The small files of the days that stay are merged.
    """
    space = workspace.open()
    days, signal_days = space.settings.telemetry.retention_days, space.settings.telemetry.signals_retention_days
    with judged():
        newest, newest_signal = space.lake.newest("telemetry"), space.newest_signal()
        if newest_signal is None:  # there is neither, which is an error
            newest = space.newest_telemetry()
        expired = space.lake.retain(newest, days) if newest is not None else 0
        expired += space.lake.retain(newest_signal, signal_days, signals=True) if newest_signal is not None else 0
        pruned = space.lake.prune_series(newest, days) if newest is not None else 0
        merged = space.lake.compact()
    context.log.info(
        f"{expired} day partitions older than {days} days (logs and spans: {signal_days}) deleted; "
        f"{pruned} series that have no rows any more left the catalogue; {merged.files} files merged into {merged.into}"
    )
    kept = {"pruned_series": pruned, "retention_days": days, "signals_retention_days": signal_days}
    return dg.MaterializeResult(metadata={"expired_partitions": expired, **kept})
