"""Series and times of refused points in words, as their sender knows them."""

import numpy as np

from data_contracts.series.text import metric_text
from data_contracts.values.moments import moment_of_us
from serving.ingest.receive.wire.decoded import DecodedBody, SeriesFault


def series_words(body: DecodedBody, row: int) -> str:
    """Return a series with its labels, at most 300 characters."""
    series = body.describe(np.array([row]))[0]
    if isinstance(series, SeriesFault):
        return series.series[:200]
    return metric_text(series.metric, (*series.resource, *series.labels))[:300]


def moment_words(time_us: int) -> str:
    """Return a time; one that no calendar has in microseconds."""
    try:
        return moment_of_us(time_us).isoformat()
    except (ValueError, OverflowError):
        return f"{time_us} µs"
