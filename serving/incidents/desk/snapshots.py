"""The correlator's state as bytes (MessagePack), and its configuration from the settings."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from aiops.errors import StateError
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.correlator import Correlator
from aiops.settings.responder_settings import ResponderSettings

PairWords = dict[tuple[str, str], tuple[int, int]]


def packed(correlator: Correlator) -> bytes:
    """Return the state of a correlator. O(open incidents and their alerts)."""
    return msgspec.msgpack.encode(correlator.snapshot())


def unpacked(snapshot: bytes) -> dict[str, Any]:
    """Return the state that was `packed`, for `Correlator.restore`.

    Raises:
        StateError: the bytes are damaged.
    """
    try:
        return msgspec.msgpack.decode(snapshot, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise StateError(f"correlation snapshot: damaged ({error}); restore the database from a backup") from error


def pair_words(rows: Iterable[Sequence[Any]]) -> PairWords:
    """Return what people said of pairs of services, from rows (one, other, times together, times apart).

    >>> pair_words([["web", "cart", 2, 0], ["a", "b", 0, 0]])
    {('cart', 'web'): (2, 0)}
    """
    words = {(min(first, second), max(first, second)): (int(yes), int(no)) for first, second, yes, no in rows}
    return {pair: said for pair, said in words.items() if any(said) and pair[0] != pair[1]}


def correlation_config(settings: ResponderSettings) -> CorrelationConfig:
    """Return how alerts are correlated; what a setting does not say keeps its proportion to what it does."""
    default = CorrelationConfig()
    return CorrelationConfig(
        settle_s=settings.settle_s,
        page_settle_s=settings.page_settle_s,
        window_s=settings.window_s,
        least_window_s=min(default.least_window_s, settings.window_s),
        quiet_s=settings.quiet_s,
        storm_per_min=settings.storm_per_min,
        pages_per_hour=settings.pages_per_hour,
        kept_for_critical=min(default.kept_for_critical, settings.pages_per_hour // 3),
    )
