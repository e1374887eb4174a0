"""Bodies of remote write 1.0, 2.0 and OTLP whose values and times are filled in again and again, compressed or not.

A body is written once; the places of values and times are kept, in the compressed body too (`fixed_snappy`), so that a request
costs the bench next to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from orchestration.bench.load.fixed_snappy import packed
from orchestration.bench.load.wire_series import SentSeries, Target

Protocol = Literal["remote_write_1", "remote_write_2", "otlp"]
Places = npt.NDArray[np.int64]
_VARINT_BYTES: Final = 6
"""Of milliseconds since 1970, from 2004 to 2109."""


@dataclass(slots=True)
class _Bytes:
    """A growing message; offsets of values (8 bytes each) and of times in it, in order."""

    body: bytearray = field(default_factory=bytearray)
    values: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def text(self, number: int, text: str) -> None:
        """Add a field of text."""
        encoded = text.encode()
        self.body += varint(number << 3 | 2) + varint(len(encoded)) + encoded

    def number(self, number: int, value: int) -> None:
        """Add a field of a small number."""
        self.body += varint(number << 3) + varint(value)

    def message(self, number: int, inner: "_Bytes") -> None:
        """Add a field that is a message."""
        self.body += varint(number << 3 | 2) + varint(len(inner.body))
        start = len(self.body)
        self.body += inner.body
        self.values += [start + place for place in inner.values]
        self.times += [start + place for place in inner.times]

    def value(self, number: int) -> None:
        """Add a double that is filled in later."""
        self.body += varint(number << 3 | 1)
        self.values.append(len(self.body))
        self.body += bytes(8)

    def fixed_time(self, number: int) -> None:
        """Add a fixed64 time that is filled in later."""
        self.body += varint(number << 3 | 1)
        self.times.append(len(self.body))
        self.body += bytes(8)

    def varint_time(self, number: int) -> None:
        """Add milliseconds as a varint that are filled in later."""
        self.body += varint(number << 3)
        self.times.append(len(self.body))
        self.body += bytes(_VARINT_BYTES)


@dataclass(frozen=True, slots=True)
class Template:
    """A body ready to be filled in: `values` (n, 8) and `times` (n, width) are places in `body`; `counts` (n,): counters."""

    protocol: Protocol
    body: npt.NDArray[np.uint8]
    values: Places
    times: Places
    counts: npt.NDArray[np.bool_]

    def fill(self, values: npt.NDArray[np.float64], time_ms: int) -> bytes:
        """Return the body with a value a sample and one time for all of them."""
        self.body[self.values] = values.view(np.uint8).reshape(-1, 8)
        self.body[self.times] = np.frombuffer(_time_bytes(self.protocol, time_ms), np.uint8)
        return self.body.tobytes()


def template_of(protocol: Protocol, sent: Sequence[Target]) -> Template:
    """Return a request of one sample a series of `sent`; remote write is compressed by snappy, OTLP is not."""
    written = {"remote_write_1": _remote_write_1, "remote_write_2": _remote_write_2, "otlp": _otlp}[protocol](sent)
    counts = np.array([series.counts for target in sent for series in target.series])
    width = len(_time_bytes(protocol, 0))
    values = np.array(written.values)[:, None] + np.arange(8)
    times = np.array(written.times)[:, None] + np.arange(width)
    plain = np.frombuffer(bytes(written.body), np.uint8).copy()
    if protocol == "otlp":
        return Template(protocol, plain, values, times, counts)
    return _compressed(Template(protocol, plain, values, times, counts))


def varint(value: int) -> bytes:
    """Return a number in protobuf's variable length.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _time_bytes(protocol: Protocol, time_ms: int) -> bytes:
    if protocol == "otlp":
        return (time_ms * 1_000_000).to_bytes(8, "little")
    encoded = bytearray((time_ms >> 7 * place & 127) | 128 for place in range(_VARINT_BYTES))
    encoded[-1] &= 127
    return bytes(encoded)


def _remote_write_1(sent: Sequence[Target]) -> _Bytes:
    request = _Bytes()
    for target in sent:
        for series in target.series:
            row = _Bytes()
            for name, text in series.labels:
                label = _Bytes()
                label.text(1, name)
                label.text(2, text)
                row.message(1, label)
            row.message(2, _sample())
            request.message(1, row)
    return request


def _remote_write_2(sent: Sequence[Target]) -> _Bytes:
    request = _Bytes()
    symbols: dict[str, int] = {"": 0}
    rows: list[_Bytes] = []
    for target in sent:
        for series in target.series:
            row, references, metadata = _Bytes(), _Bytes(), _Bytes()
            for text in (text for label in series.labels for text in label):
                references.body += varint(symbols.setdefault(text, len(symbols)))
            row.message(1, references)
            row.message(2, _sample())
            metadata.number(1, 1 if series.counts else 2)
            row.message(5, metadata)
            rows.append(row)
    for text in symbols:
        request.text(4, text)
    for row in rows:
        request.message(5, row)
    return request


def _sample() -> _Bytes:
    sample = _Bytes()
    sample.value(1)
    sample.varint_time(2)
    return sample


def _otlp(sent: Sequence[Target]) -> _Bytes:
    request = _Bytes()
    for target in sent:
        resource, resource_metrics, scope_metrics, scope = _Bytes(), _Bytes(), _Bytes(), _Bytes()
        for name, text in (("service.name", target.service), ("service.instance.id", target.instance)):
            resource.message(1, _attribute(name, text))
        scope.text(1, "bench")
        scope_metrics.message(1, scope)
        for series in target.series:
            scope_metrics.message(2, _otlp_metric(series))
        resource_metrics.message(1, resource)
        resource_metrics.message(2, scope_metrics)
        request.message(1, resource_metrics)
    return request


def _otlp_metric(series: SentSeries) -> _Bytes:
    metric, points, point = _Bytes(), _Bytes(), _Bytes()
    point.fixed_time(3)
    point.value(4)
    point.message(7, _attribute("namespace", "shop"))
    points.message(1, point)
    metric.text(1, series.metric)
    if series.counts:
        points.number(2, 2)  # cumulative
        points.number(3, 1)  # monotonic
    metric.message(7 if series.counts else 5, points)
    return metric


def _attribute(name: str, text: str) -> _Bytes:
    attribute, value = _Bytes(), _Bytes()
    value.text(1, text)
    attribute.text(1, name)
    attribute.message(2, value)
    return attribute


def _compressed(plain: Template) -> Template:
    """Return the template with snappy around it."""
    variable = np.zeros(len(plain.body), np.bool_)
    variable[plain.values] = True
    variable[plain.times] = True
    small = packed(plain.body.tobytes(), variable)
    body = np.frombuffer(small.body, np.uint8).copy()
    return Template(plain.protocol, body, small.places[plain.values], small.places[plain.times], plain.counts)
