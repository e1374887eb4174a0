"""The identity of a series: `SeriesKey`, its canonical bytes, and the 64-bit `series_id` that stands for it everywhere.

Canonical bytes are tenant, service, metric and then each label's key and value, labels ascending by key; every text is
preceded by its length in bytes (4 bytes, little endian), so that no two keys share their bytes. The id is XXH64 (seed 0) of
them, as a signed number: Arrow, DuckDB and numpy hold it as int64. It is stored for good and must never change.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from data_contracts.series.hash_kernels import Int64s

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """Which series: whose (`tenant`), of what (`service`), which quantity (`metric`), and its labels, ascending by key."""

    tenant: str
    service: str
    metric: str
    labels: Labels = ()

    @classmethod
    def of(cls, tenant: str, service: str, metric: str, labels: Mapping[str, str] | None = None) -> "SeriesKey":
        """Return the key with its labels in order; an empty value means that the label is absent, as in Prometheus."""
        present = {key: value for key, value in (labels or {}).items() if value}
        return cls(tenant, service, metric, tuple(sorted(present.items())))

    @property
    def series_id(self) -> int:
        """Return the stable 64-bit id, signed."""
        return int(series_ids([self])[0])


def canonical_bytes(key: SeriesKey) -> bytes:
    """Return what the id is computed from; equal for equal keys only.

    >>> canonical_bytes(SeriesKey("t", "s", "m")).hex()
    '01000000740100000073010000006d'
    """
    texts = [key.tenant, key.service, key.metric]
    for label in key.labels:
        texts += label
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def series_ids(keys: Sequence[SeriesKey]) -> "Int64s":
    """Return (n,) int64 ids of keys. O(bytes). The kernels are loaded with the first call."""
    from data_contracts.series.hash_kernels import hash_spans

    pieces = [canonical_bytes(key) for key in keys]
    ends = np.cumsum([0, *(len(piece) for piece in pieces)], dtype=np.int64)
    return hash_spans(np.frombuffer(b"".join(pieces), np.uint8), ends).view(np.int64)


def labels_text(labels: Iterable[tuple[str, str]]) -> str:
    """Return labels as they are stored: a compact JSON object, keys ascending; empty text where there are none.

    >>> labels_text((("code", "500"), ("zone", 'a"b')))
    '{"code":"500","zone":"a\\\\"b"}'
    """
    present = dict(sorted(labels))
    return json.dumps(present, ensure_ascii=False, separators=(",", ":")) if present else ""


def labels_of(text: str) -> Labels:
    """Return the labels that `labels_text` wrote.

    >>> labels_of('{"code":"500"}'), labels_of("")
    ((('code', '500'),), ())
    """
    return tuple(sorted(json.loads(text).items())) if text else ()
