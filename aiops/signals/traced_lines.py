"""Log lines that belong to spans, with the shape of each: what requests are made of beside spans."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.schemas.telemetry_schemas import TIMESTAMP

_TYPES: Final[dict[str, pa.DataType]] = {
    "timestamp": TIMESTAMP,
    "trace_id": pa.string(),
    "span_id": pa.string(),
    "shape": pa.uint64(),
}
TRACED_LINES: Final = pa.schema(_TYPES)
"""Lines of spans; shapes as a miner gives them (`TemplateMiner`)."""


def traced_lines(rows: pa.Table, shapes: "npt.NDArray[np.uint64]") -> pa.Table:
    """Return rows of `LOGS` (n,) with their shapes (n,) as `TRACED_LINES`: those of a span whose stream has templates."""
    if "trace_id" not in rows.column_names:
        return TRACED_LINES.empty_table()
    columns: dict[str, Any] = {name: rows[name] for name in TRACED_LINES.names if name != "shape"}
    lines = pa.table({**columns, "shape": pa.array(shapes)}).cast(TRACED_LINES)
    mined: Any = pc.greater(lines["shape"], pa.scalar(0, pa.uint64()))
    return lines.filter(pc.and_(mined, pc.and_(lines["trace_id"].is_valid(), lines["span_id"].is_valid())))
