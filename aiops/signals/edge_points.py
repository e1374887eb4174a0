"""What a minute of spans says, as points of series."""

from collections.abc import Mapping
from typing import Final

from aiops.signals.edge_cells import Lengths, Measured
from aiops.signals.minute_series import MINUTE_S, MinutePoint

SERVER: Final = "span.server"
CALL: Final = "span.call"
RATE: Final = "requests_per_second"
ERROR_RATIO: Final = "error_ratio"
CALLEE: Final = "callee"
"""The label of a call's series that names whom its service calls."""
CALL_RATE: Final = f"{CALL}.{RATE}"


def server_points(minute: int, name: tuple[str, ...], measured: Measured, p99_spans: int) -> list[MinutePoint]:
    """Return the points of a service, or of an operation of it: `name` = service, and operation if any."""
    service, label = name[0], ("operation", name[1]) if len(name) > 1 else ()
    lengths = {"latency": measured.lengths["server"]} if "server" in measured.lengths else {}
    return _points(MinutePoint(minute, service, SERVER, 0.0, label), measured, lengths, p99_spans)


def call_points(minute: int, name: tuple[str, ...], measured: Measured, p99_spans: int) -> list[MinutePoint]:
    """Return the points of calls: `name` = caller and callee."""
    lengths = {f"{measure}_latency": values for measure, values in measured.lengths.items()}
    return _points(MinutePoint(minute, name[0], CALL, 0.0, (CALLEE, name[1])), measured, lengths, p99_spans)


def _points(of: MinutePoint, measured: Measured, lengths: Mapping[str, Lengths], p99_spans: int) -> list[MinutePoint]:
    values = {RATE: measured.calls / MINUTE_S}
    if measured.calls > 0:
        values[ERROR_RATIO] = measured.errors / measured.calls
    for measure, length in lengths.items():
        values |= {f"{measure}_mean_s": length.mean_s, f"{measure}_p50_s": length.p50_s}
        if measured.sampled >= p99_spans:
            values[f"{measure}_p99_s"] = length.p99_s
    return [MinutePoint(of.minute, of.service, f"{of.metric}.{name}", value, of.label) for name, value in values.items()]
