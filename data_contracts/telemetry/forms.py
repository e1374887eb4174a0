"""Whose a row is, and what kind of metric: rows of other tenants and rows that are not normalised yet are no points.

A counter or histogram without a temporality counts as cumulative, as in Prometheus. Only gauges and deltas of counters can be
scored as they come; a row that says it is cumulative is refused whatever its kind.
"""

from collections.abc import Callable, Mapping

import numpy as np

from data_contracts.schemas.telemetry_schemas import KINDS, TEMPORALITIES
from data_contracts.series.tenant import tenant_fault
from data_contracts.telemetry.names import shown
from data_contracts.values import kernels
from data_contracts.values.coerce import AnyArray, Codes, nulls, read_codes
from data_contracts.values.kernels import Uint8s

_RATES = "send the rate, the mean or the quantiles instead (PromQL: rate, histogram_quantile), or deltas"


def rows_by_owner(columns: Mapping[str, AnyArray], tenant: str, reason: Uint8s) -> None:
    """Set FOREIGN_TENANT, or NAME for no name of a tenant, in place on accepted rows that another tenant than `tenant` owns.

    Raises:
        SchemaError: the column does not hold text.
    """
    codes = _given(columns, "tenant")
    if codes is None:
        return
    verdicts = [_owner_verdict(raw, tenant) for raw in codes.values.to_pylist()]
    _refuse(codes, verdicts, reason)


def _owner_verdict(raw: bytes | None, tenant: str) -> int:
    if not raw or raw == tenant.encode():
        return kernels.ACCEPTED
    return kernels.NAME if _tenant_fault(raw) else kernels.FOREIGN_TENANT


def _tenant_fault(raw: bytes) -> str | None:
    try:
        return tenant_fault(raw.decode())
    except UnicodeDecodeError:
        return f"tenant {shown(raw)} is not valid UTF-8; names are UTF-8 text: re-encode it at the source"


def tenant_words(columns: Mapping[str, AnyArray], tenant: str, row: int) -> str:
    """Return why a row is not the tenant's, in words with the fix."""
    raw = _raw(columns, "tenant", row)
    rule = "whose batch this is: split the rows by tenant and send each its own"
    return _tenant_fault(raw) or f"tenant {raw.decode()!r} is not {tenant!r}, {rule}"


def rows_by_form(columns: Mapping[str, AnyArray], reason: Uint8s) -> None:
    """Set KIND or NOT_NORMALISED in place on accepted rows whose kind or temporality does not allow to score them.

    Raises:
        SchemaError: a column does not hold text.
    """
    kinds, temporalities = _given(columns, "kind"), _given(columns, "temporality")
    _given(columns, "unit")
    for codes, known in ((kinds, KINDS), (temporalities, TEMPORALITIES)):
        if codes is not None:
            _refuse(codes, [kernels.KIND if _unknown(raw, known) else 0 for raw in codes.values.to_pylist()], reason)
    if temporalities is not None:
        _refuse(temporalities, _verdicts(temporalities, lambda raw: raw == b"cumulative"), reason)
    if kinds is not None:
        _refuse(kinds, _verdicts(kinds, lambda raw: raw == b"histogram"), reason)
        delta = np.zeros(len(reason), np.bool_)
        if temporalities is not None:
            delta = np.array([*(raw == b"delta" for raw in temporalities.values.to_pylist()), False])[temporalities.codes]
        counter = np.array([*(raw == b"counter" for raw in kinds.values.to_pylist()), False])[kinds.codes]
        reason[counter & ~delta & (reason == kernels.ACCEPTED)] = kernels.NOT_NORMALISED


def kind_words(columns: Mapping[str, AnyArray], row: int, series: str) -> tuple[str, str]:
    """Return (field, why) of a row that its kind or temporality refuses."""
    for field, known in (("kind", KINDS), ("temporality", TEMPORALITIES)):
        raw = _raw(columns, field, row)
        if raw and _unknown(raw, known):
            return field, f"{field} {shown(raw.decode(errors='replace'))} of {series} is none of {', '.join(known)}: correct it"
    kind, temporality = ((_raw(columns, field, row) or b"").decode() for field in ("kind", "temporality"))
    form = f"kind {kind or 'gauge'}, temporality {temporality or 'not given, so cumulative'}"
    return "kind", f"{series} is not normalised ({form}); nothing cumulative is scored: {_RATES}"


def _unknown(raw: bytes | None, known: tuple[str, ...]) -> bool:
    return bool(raw) and raw not in {name.encode() for name in known}


def _verdicts(codes: Codes, refused: Callable[[bytes | None], bool]) -> list[int]:
    return [kernels.NOT_NORMALISED if refused(raw) else kernels.ACCEPTED for raw in codes.values.to_pylist()]


def _refuse(codes: Codes, verdicts: list[int], reason: Uint8s) -> None:
    if any(verdicts):
        of_row = np.array([*verdicts, kernels.ACCEPTED], np.uint8)[codes.codes]  # code -1 (null) reads the last
        reason[:] = np.where(reason == kernels.ACCEPTED, of_row, reason)


def _given(columns: Mapping[str, AnyArray], name: str) -> Codes | None:
    """Return the cells of an optional column, None where it says nothing."""
    column = columns.get(name)
    if column is None:
        return None
    codes = read_codes(column, name)
    return codes if nulls(column).min(initial=1) == 0 else None


def _raw(columns: Mapping[str, AnyArray], name: str, row: int) -> bytes:
    column = columns.get(name)
    if column is None:
        return b""
    cell = read_codes(column.slice(row, 1), name)
    return b"" if cell.codes[0] < 0 else bytes(cell.values[int(cell.codes[0])].as_py() or b"")
