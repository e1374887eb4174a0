"""Bodies of Prometheus remote write, versions 2.0 and 1.0, before compression.

Source: Prometheus Remote-Write Specification 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2.Request).
"""

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from data_contracts.series.finding_metrics import FINDING_METRICS
from serving.stream.consumer.export.export_labels import Label
from serving.stream.consumer.export.exported_series import Sample

_NAME: Final = "__name__"
_GAUGE: Final = 2  # io.prometheus.write.v2.Metadata.MetricType


class Reading(NamedTuple):
    """A value and its time."""

    timestamp_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class WrittenSeries:
    """One series of a request: labels ascending by name, readings ascending by time."""

    labels: tuple[Label, ...]
    meaning: str
    readings: tuple[Reading, ...]


class SeriesSamples(NamedTuple):
    """Samples of one watched series, ascending by time."""

    labels: tuple[Label, ...]
    samples: Sequence[Sample]


def written_series(watched: Iterable[SeriesSamples]) -> list[WrittenSeries]:
    """Return what is written of samples: finite numbers, one series a watched series and metric of ours."""
    return [written for labels, samples in watched for written in _of_series(labels, samples)]


def _of_series(labels: Sequence[Label], samples: Sequence[Sample]) -> Iterator[WrittenSeries]:
    for place, (metric, meaning) in enumerate(FINDING_METRICS.items()):
        pairs = ((sample.timestamp_ms, sample.figures[place]) for sample in samples)
        readings = tuple(Reading(time_ms, value) for time_ms, value in pairs if math.isfinite(value))
        if readings:
            yield WrittenSeries(tuple(sorted((Label(_NAME, metric), *labels))), meaning, readings)


def request_2(series: Sequence[WrittenSeries]) -> bytes:
    """Return a request of version 2.0: symbols, then series that refer to them."""
    symbols: dict[str, int] = {"": 0}
    parts: list[bytes] = []
    for written in series:
        texts = [text for label in written.labels for text in label]
        references = b"".join(_varint(symbols.setdefault(text, len(symbols))) for text in texts)
        metadata = b"\x08" + _varint(_GAUGE) + b"\x18" + _varint(symbols.setdefault(written.meaning, len(symbols)))
        parts.append(_field(5, _field(1, references) + _readings(written) + _field(5, metadata)))
    return b"".join(_field(4, symbol.encode()) for symbol in symbols) + b"".join(parts)


def request_1(series: Sequence[WrittenSeries]) -> bytes:
    """Return a request of version 1.0: series with their labels as text."""
    return b"".join(_field(1, _labels(written) + _readings(written)) for written in series)


def _labels(written: WrittenSeries) -> bytes:
    pairs = (_field(1, label.name.encode()) + _field(2, label.value.encode()) for label in written.labels)
    return b"".join(_field(1, pair) for pair in pairs)


def _readings(written: WrittenSeries) -> bytes:
    """Return the readings: field 2 of a series in both versions."""
    texts = (b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(time_ms) for time_ms, value in written.readings)
    return b"".join(_field(2, text) for text in texts)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return a protobuf varint; a negative number as its two's complement of 64 bits."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
