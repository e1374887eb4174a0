"""What the Arrow schemas of all tables are built of: columns with their meaning, tables with a version."""

import pyarrow as pa


def column(name: str, kind: pa.DataType, nullable: bool = False, **metadata: str) -> "pa.Field[pa.DataType]":
    """Return a column; `metadata` tells its unit, range or meaning."""
    return pa.field(name, kind, nullable=nullable, metadata=metadata or None)


def table(name: str, version: int, *columns: "pa.Field[pa.DataType]") -> pa.Schema:
    """Return the schema of a table, which carries its name and version."""
    return pa.schema(list(columns), metadata={"name": name, "version": str(version)})
