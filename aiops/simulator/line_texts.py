"""Texts of log lines, a template's all at once: what it says with parameters filled in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.simulator.gray_faults import Mask
from aiops.simulator.id_texts import IdArray, hexadecimal
from aiops.simulator.line_bank import LineTemplate, Parameter
from aiops.types import IntArray

ODD: Final[dict[Parameter, str]] = {
    "user": "0",
    "id": "null",
    "count": "-1",
    "bytes": "-1",
    "ms": "0",
    "host": "localhost:0",
    "sku": "SKU-0",
    "amount": "0.00",
    "currency": "XXX",
    "shard": "none",
}
"""Values of a wrong parameter."""
_CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF", "SEK")
_HOSTS: Final = tuple(f"10.4.{subnet}.{host}:8080" for subnet in (1, 2, 7) for host in (11, 23, 42, 57))
_ID_DIGITS: Final = 12

Texts = Any


@dataclass(frozen=True, slots=True, eq=False)
class TextRows:
    """Requests (n,) that a line is written for, by row; `ms` (n,) where it states a time; `odd` (n,) has wrong parameters."""

    rows: IntArray
    ms: IntArray | None = None
    odd: Mask | None = None


class LineTexts:
    """Fills templates in for the requests of a service: user and record are those of the trace, all else is drawn."""

    def __init__(self, rng: np.random.Generator, user: IntArray, record: IdArray) -> None:
        self._rng = rng
        self._users: Texts = pa.array(user).cast(pa.string())
        self._records: Texts = pc.utf8_slice_codeunits(hexadecimal(record), 0, _ID_DIGITS)
        self._drawn: dict[Parameter, Callable[[int], Texts]] = {
            "count": lambda count: self._whole(1, 500, count),
            "bytes": lambda count: self._whole(200, 60_000, count),
            "ms": lambda count: self._whole(1, 400, count),
            "host": lambda count: self._chosen(_HOSTS, count),
            "sku": lambda count: pc.binary_join_element_wise("SKU-", self._whole(1000, 9999, count), ""),
            "amount": lambda count: pa.array(self._rng.integers(100, 50_000, count) / 100.0).cast(pa.string()),
            "currency": lambda count: self._chosen(_CURRENCIES, count),
            "shard": lambda count: self._whole(0, 8, count),
        }

    def made(self, template: LineTemplate, which: TextRows) -> Texts:
        """Return the text (n,) of each of the requests."""
        parts: list[Texts] = [pa.repeat(template.pieces[0], which.rows.size)]
        for parameter, piece in zip(template.parameters, template.pieces[1:], strict=True):
            parts += [self._values(parameter, which), piece]
        return pc.binary_join_element_wise(*parts, "")

    def _values(self, parameter: Parameter, which: TextRows) -> Texts:
        values = self._right_values(parameter, which)
        if which.odd is None or not which.odd.any():
            return values
        return pc.if_else(pa.array(which.odd), ODD[parameter], values)

    def _right_values(self, parameter: Parameter, which: TextRows) -> Texts:
        if parameter == "user":
            return self._users.take(pa.array(which.rows))
        if parameter == "id":
            return self._records.take(pa.array(which.rows))
        if parameter == "ms" and which.ms is not None:
            return pa.array(which.ms).cast(pa.string())
        return self._drawn[parameter](which.rows.size)

    def _whole(self, low: int, high: int, count: int) -> Texts:
        return pa.array(self._rng.integers(low, high, count)).cast(pa.string())

    def _chosen(self, texts: tuple[str, ...], count: int) -> Texts:
        places: Texts = pa.array(self._rng.integers(len(texts), size=count))
        return pa.array(texts).take(places)
