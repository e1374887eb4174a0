"""What turns lines or spans of a tenant into series by minute, as the stage sees it; made when the first of them comes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from aiops.types import State

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class MinuteSeries(Protocol):
    """Series of one tenant and kind of signal. Pure: time comes with the rows."""

    @property
    def counts(self) -> "DataclassInstance":
        """Return where rows went so far, a number a field: totals that only grow."""

    def observe(self, rows: pa.Table) -> None:
        """Take in rows as received.

        Raises:
            ContractError: they are none of its kind.
        """

    def closed(self, up_to_us: int) -> pa.Table:
        """Return the series (`aiops.signals.minute_series`) of minutes that end by a time, each once."""

    def texts(self) -> pa.Table:
        """Return what series are about as far as it is new since the last call (`wire_schemas.SIGNAL_TEXTS`)."""

    def state(self) -> State:
        """Return the whole state as arrays."""


class RequestSeries(Protocol):
    """Series of what requests do, made of lines and spans of one tenant together. Pure."""

    @property
    def counts(self) -> "DataclassInstance":
        """Return where rows went so far, a number a field: totals that only grow."""

    def observe(self, kind: bytes, rows: pa.Table, series: MinuteSeries) -> None:
        """Take in rows of a kind that `series` has taken in."""

    def closed(self, up_to_us: int, series: Mapping[bytes, MinuteSeries]) -> pa.Table:
        """Return the series of minutes that end by a time, each once; `series` by kind, as they are then."""

    def texts(self) -> pa.Table:
        """Return what series are about as far as it is new since the last call (`wire_schemas.SIGNAL_TEXTS`)."""

    def state(self) -> State:
        """Return the whole state as arrays."""


@dataclass(frozen=True, slots=True)
class RequestMaker:
    """How series of requests begin, and go on from a state."""

    new: Callable[[], RequestSeries]
    restore: Callable[[State], RequestSeries]


@dataclass(frozen=True, slots=True)
class SeriesMaker:
    """How series of one kind of signal begin, and go on from a state; `rows` is what its rows are called in counts."""

    rows: str
    new: Callable[[], MinuteSeries]
    restore: Callable[[State], MinuteSeries]


@dataclass(frozen=True, slots=True)
class Makers:
    """By kind of entry, and of requests; None = there are none."""

    of_kind: Mapping[bytes, SeriesMaker]
    of_requests: RequestMaker | None = None
