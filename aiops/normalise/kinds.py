"""What the raw values of a series are: said by the sender, by its metadata, or known by rules on names, in this order.

Rules on names hold where nothing else is known: remote write 1.0 without metadata. They are those of the Prometheus naming
conventions; a counter that does not follow them (a name without `_total`) is taken for a gauge until metadata says more.
"""

from typing import Final, NamedTuple

DECLARED: Final = "declared by the sender"
METADATA: Final = "from the sender's metadata"
BY_NAME: Final = "by name"
_RANK: Final = (BY_NAME, METADATA, DECLARED)
"""Beginnings of `SeriesRole.why`, the surest last."""

_PARTS: Final = (("_bucket", "bucket"), ("_sum", "bucket_sum"), ("_count", "bucket_count"))
_SUFFIXES: Final = ("_total", "_bucket", "_sum", "_count", "_created", "_info")
_ROLE_BY_TYPE: Final = {
    "counter": "total",
    "delta": "delta",
    "gauge": "value",
    "updowncounter": "value",
    "info": "value",
    "stateset": "value",
    "gaugehistogram": "value",
}
_FAMILIES: Final = ("histogram", "summary")


class SeriesRole(NamedTuple):
    """Role (one of `wire_schemas.ROLES`), why in words, and the name of the classic histogram it is a part of, "" = of none."""

    role: str
    why: str
    base: str = ""


class SampleShape(NamedTuple):
    """What a series' samples look like: whole histograms (`delta`: each since the one before); a label `le` beside it."""

    has_le: bool = False
    whole: bool = False
    delta: bool = False


def role_of(metric: str, declared: str = "", metadata: str = "", shape: SampleShape | None = None) -> SeriesRole:
    """Return what the values of `metric` are.

    `declared`: the type that came with the series (remote write 2.0; for OTLP: gauge, counter = a monotonic cumulative sum,
    delta = a monotonic delta sum, updowncounter = any sum that is not monotonic, histogram, summary); `metadata`: the type that a
    metadata request gave for one of `metadata_names`. Names of OpenMetrics in any case; "", unknown, untyped = not known.

    >>> role_of("http_requests_total")
    SeriesRole(role='total', why='by name: it ends in _total', base='')
    >>> role_of("rpc_seconds_bucket", shape=SampleShape(has_le=True)).base
    'rpc_seconds'
    >>> role_of("jobs_total", declared="gauge")
    SeriesRole(role='value', why='declared by the sender: gauge', base='')
    """
    shape = shape or SampleShape()
    if shape.whole:
        return SeriesRole("histogram_delta" if shape.delta else "histogram", f"{DECLARED}: whole histograms")
    for source, said in ((DECLARED, declared.lower()), (METADATA, metadata.lower())):
        if said in _ROLE_BY_TYPE:
            return SeriesRole(_ROLE_BY_TYPE[said], f"{source}: {said}")
        if said in _FAMILIES:
            part = _part_of(metric, shape, said)
            return part._replace(why=f"{source}: {said}") if part else SeriesRole("value", f"{source}: value of a {said}")
    part = _part_of(metric, shape, "histogram")
    if part:
        return part
    if metric.endswith("_total"):
        return SeriesRole("total", f"{BY_NAME}: it ends in _total")
    return SeriesRole("value", f"{BY_NAME}: no rule on names makes it a total")


def metadata_names(metric: str) -> list[str]:
    """Return the names under which metadata may speak of a series' metric, the most likely first.

    >>> metadata_names("rpc_seconds_bucket")
    ['rpc_seconds_bucket', 'rpc_seconds']
    """
    return [metric, *(metric.removesuffix(suffix) for suffix in _SUFFIXES if metric.endswith(suffix) and metric != suffix)]


def certainty_of(why: str) -> int:
    """Return how sure a role is by its `why`: 2 declared, 1 from metadata, 0 by name. A less sure one never replaces a surer."""
    return max(rank for rank, beginning in enumerate(_RANK) if rank == 0 or why.startswith(beginning))


def _part_of(metric: str, shape: SampleShape, family: str) -> SeriesRole | None:
    for suffix, role in _PARTS:
        if metric.endswith(suffix) and metric != suffix and (role != "bucket" or (shape.has_le and family == "histogram")):
            return SeriesRole(role, f"{BY_NAME}: it ends in {suffix}", metric.removesuffix(suffix))
    return None
