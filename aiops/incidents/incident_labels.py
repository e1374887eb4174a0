"""Incident labels of several origins: a source's truth and people's verdicts may describe the same incident."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.incidents.feedback.verdict_labels import KIND
from aiops.types import IntArray

SAME_US: Final = 15 * 60_000_000
"""Labels of one service that are no farther apart are about one incident: its alerts come late and last longer."""


def each_once(incidents: pa.Table) -> pa.Table:
    """Return labels (schema `INCIDENTS`) that describe each incident once; O(verdicts x labels).

    A verdict's label gives way to one that a source gave of the same service and time; verdicts' labels that overlap become one
    that spans both. Labels of sources stay as they are.
    """
    said = pc.equal(incidents["kind"], pa.scalar(KIND))
    given, verdicts = incidents.filter(pc.invert(said)), incidents.filter(said)
    if not verdicts.num_rows:
        return incidents
    kept = [row for row in _joined(verdicts) if not _is_given(row, given)]
    return pa.concat_tables([given, pa.Table.from_pylist(kept, schema=incidents.schema)])


def _joined(verdicts: pa.Table) -> list[dict[str, object]]:
    joined: list[dict[str, object]] = []
    for row in verdicts.sort_by([("service", "ascending"), ("onset_at", "ascending"), ("incident_id", "ascending")]).to_pylist():
        before = joined[-1] if joined else None
        if before is None or before["service"] != row["service"] or row["onset_at"] > before["ends_at"]:
            joined.append(row)
            continue
        for name in ("onset_at", "starts_at", "known_at"):
            before[name] = min(before[name], row[name])
        before["ends_at"] = max(before["ends_at"], row["ends_at"])
    return joined


def _is_given(row: dict[str, object], given: pa.Table) -> bool:
    own = given.filter(pc.equal(given["service"], pa.scalar(str(row["service"]))))
    span = pa.table({name: pa.array([row[name]], given.schema.field(name).type) for name in ("onset_at", "ends_at")})
    begins, ends = _us(own, "onset_at"), _us(own, "ends_at")
    overlaps = (begins <= _us(span, "ends_at")[0] + SAME_US) & (ends >= _us(span, "onset_at")[0] - SAME_US)
    return bool(overlaps.any())


def _us(table: pa.Table, name: str) -> IntArray:
    return np.asarray(table[name].cast(pa.int64()).to_numpy(), dtype=np.int64)
