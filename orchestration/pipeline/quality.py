"""Great Expectations over one partition of a lake table: what failed, in words."""

from datetime import datetime
from typing import TYPE_CHECKING

from orchestration.workspace import Workspace

if TYPE_CHECKING:
    from data_contracts.expectations import PartitionReport


def check_window(workspace: Workspace, table: str, start: datetime, end: datetime) -> "PartitionReport":
    """Return what the suite of `table` says of its rows with start <= time < end."""
    from data_contracts.expectations import check_partition

    return check_partition(table, workspace.lake.read(table, start, end).to_pandas())
