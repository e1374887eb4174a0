"""What a body of remote write says, read by classes that protobuf made of the messages' descriptions."""

from typing import Any

from tests.testing.wire_messages import REMOTE_WRITE_1, REMOTE_WRITE_2


def parsed(package: str, body: bytes) -> Any:
    """Return the request of a body before compression; `v1` or `v2`."""
    request: Any = REMOTE_WRITE_1["WriteRequest"]() if package == "v1" else REMOTE_WRITE_2["Request"]()
    request.ParseFromString(body)
    return request


def readings_of(package: str, body: bytes) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    """Return (time in ms, value) by the labels of each series of a body before compression."""
    request = parsed(package, body)
    return {
        _labels(package, request, series): [(sample.timestamp, sample.value) for sample in series.samples]
        for series in request.timeseries
    }


def _labels(package: str, request: Any, series: Any) -> tuple[tuple[str, str], ...]:
    if package == "v1":
        return tuple((label.name, label.value) for label in series.labels)
    texts = [request.symbols[reference] for reference in series.labels_refs]
    return tuple(zip(texts[::2], texts[1::2], strict=True))
