"""Dead letters of points that the engine did not take, with the reason in words."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from aiops.types import PointStatus
from data_contracts.values.moments import moment_of_us
from serving.stream.consumer.gathered_points import EntryRows
from serving.stream.consumer.partition_step import SOURCE

if TYPE_CHECKING:
    from aiops.features.engine_output import SeriesOutput
    from aiops.features.series_names import SeriesNames

_REFUSED: Final[Mapping[PointStatus, tuple[str, str, str]]] = {
    PointStatus.DUPLICATE: ("duplicate", "timestamp", "the series has another value at that time, the first is kept: send one"),
    PointStatus.TOO_LATE: ("too_late", "timestamp", "its tick is closed: send sooner or raise AIOPS_TELEMETRY__LATENESS_S"),
    PointStatus.TOO_MANY_SERIES: ("too_many_series", "metric", "no room left: raise AIOPS_TELEMETRY__MAX_SERIES"),
    PointStatus.COLLISION: (
        "series_collision",
        "metric",
        "its series id is that of another series, which stays: rename a label or the metric of one",
    ),
}


def refused_points(own: EntryRows, output: "SeriesOutput", series: "SeriesNames") -> Iterator[pa.RecordBatch]:
    """Yield the dead letters (`schemas.REJECTED`) of an entry's points, by reason; `series` are the engine's."""
    from data_contracts.telemetry.rejects import Refusal, rejected_points

    now = moment_of_us(own.entry.clock_us)
    status, slot = output.status[own.rows], output.slot[own.rows]
    for kind, (reason, field_name, detail) in _REFUSED.items():
        places = np.flatnonzero(status == kind)
        if places.size:
            holders = sorted({series[number].text for number in slot[places].tolist()})
            text = f"{detail} (it is {', '.join(holders)[:500]})" if kind is PointStatus.COLLISION else detail
            yield rejected_points(own.entry.rows_at(places), Refusal(reason, field_name, text), now, SOURCE)
