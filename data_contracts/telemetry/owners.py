"""Tables by tenant: what producers do with a table before they send or store it, for a batch is always of one tenant."""

import numpy as np
import pyarrow as pa

from data_contracts.series.tenant import tenant_fault
from data_contracts.values.coerce import AnyArray, is_text, read_codes, whole


def by_tenant(table: pa.Table, owner: str) -> list[tuple[str, pa.Table]]:
    """Return (tenant, rows) in order of first sight; each tenant's rows keep their order, and the table's columns.

    Rows whose tenant is null or empty are the owner's. So are those whose tenant is no name of one: `validate` refuses them.
    """
    if "tenant" not in table.schema.names:
        return [(owner, table)] if table.num_rows else []
    column = whole(table.column("tenant"))
    if column.null_count == len(column) or not _holds_text(column):
        return [(owner, table)] if table.num_rows else []
    cells = read_codes(column, "tenant")
    names = [_owner(raw, owner) for raw in [*cells.values.to_pylist(), None]]  # code -1 reads the last
    distinct = list(dict.fromkeys(names))
    if len(distinct) == 1:
        return [(distinct[0], table)]
    number = np.array([distinct.index(name) for name in names])[cells.codes]
    present, first = np.unique(number, return_index=True)
    order = present[np.argsort(first)].tolist()
    return [(distinct[code], table.filter(pa.array(number == code))) for code in order]


def without_tenant(table: pa.Table) -> pa.Table:
    """Return the table without its column tenant: the entry or the folder that holds it says whose it is."""
    return table.drop_columns(["tenant"]) if "tenant" in table.schema.names else table


def _holds_text(column: AnyArray) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return is_text(kind)


def _owner(raw: bytes | None, owner: str) -> str:
    if not raw:
        return owner
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return owner
    return owner if tenant_fault(name) else name
