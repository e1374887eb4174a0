"""Asset: the lake without the days beyond the retention setting."""

import dagster as dg

from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.retries import RETRY, judged


@dg.asset(group_name="observe", deps=["telemetry"], kinds={"parquet"}, retry_policy=RETRY)
def lake_retention(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[None]:
    """Whole days older than the newest telemetry by more than the retention setting are deleted; labels and graph stay.

    The small files of the days that stay are merged.
    """
    space = workspace.open()
    days = space.settings.telemetry.retention_days
    with judged():
        expired = space.lake.retain(space.newest_telemetry(), days)
        merged = space.lake.compact()
    context.log.info(f"{expired} day partitions older than {days} days deleted; {merged.files} files merged into {merged.into}")
    return dg.MaterializeResult(metadata={"expired_partitions": expired, "retention_days": days})
