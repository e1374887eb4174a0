"""Compile or load every kernel of the receivers before the first request: else its sender waits, gives up and sends it again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from serving.ingest.receive.otlp_answers import message_field, varint_field
from serving.ingest.receive.point_intake import TenantIntake
from serving.ingest.receive.raw_batch import RawBatch, exemplar_entries, telemetry_entries
from serving.ingest.receive.receivers import BodyDecoder, ReceiverRules
from serving.ingest.receive.remote_write_endpoint import VERSION_1, VERSION_2
from serving.ingest.receive.series_identity import SeriesIdentities
from serving.ingest.receive.series_table import compile_growth

OTLP: Final = "otlp"
_TENANT: Final = "warm-up"
_UNIT: Final = b"\x00\x00\x00\x00\x00\x00\xf0?"
"""1.0, little endian."""
_AT_MS: Final = 1_600_000_000_000


def warm_up(decoders: Mapping[str, BodyDecoder], rules: ReceiverRules) -> int:
    """Take one small body of each format, by its name, in an intake that is thrown away; return the points taken."""
    taken = 0
    for name, body in _bodies().items():
        intake_rules = replace(rules.intake, partitions=1)
        intake = TenantIntake(_TENANT, rules.limits.of(_TENANT), SeriesIdentities(rules.identity), intake_rules)
        for _ in range(2):
            batch = RawBatch()
            receipt = intake.take(decoders[name].decode(body), batch)
            taken += receipt.samples + receipt.histograms
            for place, share in batch.shares.items():
                list(telemetry_entries(place.tenant, share))
                list(exemplar_entries(place.tenant, share, _AT_MS * 1000))
        intake.forget(-10.0)
    compile_growth()
    return taken


def _bodies() -> Mapping[str, bytes]:
    return {VERSION_1: _remote_write_1(), VERSION_2: _remote_write_2(), OTLP: _otlp()}


def _remote_write_1() -> bytes:
    """Return a WriteRequest: a sample, and a native histogram with an exemplar."""
    label = message_field(1, b"__name__") + message_field(2, b"m")
    series = message_field(1, label) + message_field(2, b"\x09" + _UNIT + varint_field(2, _AT_MS))
    return message_field(1, series + message_field(3, b"\x11" + _UNIT) + message_field(4, _native(15)))


def _remote_write_2() -> bytes:
    """Return a Request of the same."""
    symbols = b"".join(message_field(4, text) for text in (b"", b"__name__", b"m"))
    series = message_field(1, b"\x01\x02") + message_field(2, b"\x09" + _UNIT + varint_field(2, _AT_MS))
    exemplar = message_field(4, b"\x11" + _UNIT)
    return symbols + message_field(5, series + message_field(3, _native(15)) + exemplar)


def _native(timestamp_field: int) -> bytes:
    """Return a native histogram of one observation."""
    span = message_field(11, varint_field(2, 1))
    return varint_field(1, 1) + b"\x19" + _UNIT + span + message_field(12, b"\x02") + varint_field(timestamp_field, _AT_MS)


def _otlp() -> bytes:
    """Return an ExportMetricsServiceRequest: a gauge with an exemplar, an explicit and an exponential histogram."""
    at = b"\x19" + (_AT_MS * 10**6).to_bytes(8, "little")
    gauge = message_field(5, message_field(1, at + b"\x21" + _UNIT + message_field(5, b"\x19" + _UNIT)))
    fixed = (1).to_bytes(8, "little")
    counted = at + b"\x21" + fixed + b"\x29" + _UNIT
    explicit = message_field(1, counted + message_field(6, fixed + bytes(8)) + message_field(7, _UNIT))
    buckets = message_field(8, message_field(2, b"\x01"))
    exponential = message_field(1, counted + varint_field(6, 2) + buckets)
    metrics = b"".join(
        message_field(2, message_field(1, name) + data)
        for name, data in (
            (b"g", gauge),
            (b"h", message_field(9, explicit + varint_field(2, 2))),
            (b"e", message_field(10, exponential + varint_field(2, 2))),
        )
    )
    return message_field(1, message_field(2, metrics))
