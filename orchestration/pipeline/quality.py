"""Great Expectations over one partition of a lake table: what failed, in words."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aiops.errors import ContractError
from orchestration.workspace.workspace import Workspace

if TYPE_CHECKING:
    from data_contracts.expectations import PartitionReport


def refuse_broken(workspace: Workspace, table: str, until: datetime) -> None:
    """Raise where a day of a table up to a time breaks the expectations: nothing may be learned from it.

    Raises:
        ContractError: the message names the days and what is wrong.
    """
    failed = []
    for day in workspace.lake.days(table):
        start = datetime.combine(day, datetime.min.time(), UTC)
        if start <= until:
            report = check_window(workspace, table, start, start + timedelta(days=1))
            failed += [] if report.success else [f"{day}: {report.describe()}"]
    if failed:
        raise ContractError(f"{table}: {'; '.join(failed)}; run `aiops repair`, or materialise these days again in Dagster")


def check_window(workspace: Workspace, table: str, start: datetime, end: datetime) -> "PartitionReport":
    """Return what the suite of `table` says of its rows with start <= time < end."""
    from data_contracts.expectations import check_partition

    return check_partition(table, workspace.lake.read(table, start, end).to_pandas())
