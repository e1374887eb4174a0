"""Series and their points as the API answers them. Texts below fields are their descriptions in /docs.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One series."""

    series_id: str
    """its id: a whole number of 64 bits, as text"""
    name: str
    """its one text form: service|metric{label="value"}"""
    service: str
    """name of the service"""
    metric: str
    """name of the metric, without labels"""
    labels: Mapping[str, str]
    """its labels"""
    kind: str
    """gauge, counter or histogram"""
    role: str
    """what its raw values are: value, total, delta, bucket, …"""
    unit: str | None
    """as the sender names it; null = by metric"""
    why: str
    """how the role is known"""
    scored: bool
    """whether its points are kept and scored under this id; false = only what is made of them is"""
    first_seen_at: datetime | None
    """when it was first defined; null = a source delivers it undefined"""
    last_at: datetime | None
    """its last point; null = none in the 24 h before the newest point of all"""
    points_per_minute: float
    """over the last hour before the newest point of all"""


@dataclass(frozen=True, slots=True)
class SeriesPage:
    """Some series, in order of service, metric and labels."""

    items: tuple[SeriesLine, ...]
    """the series"""
    next_cursor: str
    """pass it to get the next page; empty = there are no more"""
    total: int
    """series on all pages together"""


@dataclass(frozen=True, slots=True)
class PointColumns:
    """Points in columns of one length, ascending by time: as they are, or in buckets of one width."""

    raw: bool
    """true = the points themselves; false = buckets"""
    step_s: float | None
    """seconds that a bucket is wide; null = no buckets"""
    time_s: list[float]
    """seconds since 1970: of the point, or at which the bucket begins"""
    min: list[float | None]
    """the lowest value; null = the bucket has no points"""
    mean: list[float | None]
    """the mean value"""
    max: list[float | None]
    """the highest value"""
    count: list[int]
    """points"""


@dataclass(frozen=True, slots=True)
class BandColumns:
    """What was expected, in columns of one length, ascending by time; made before the values that it judges."""

    model: str
    """what made the newest band of the range; empty = there is none"""
    status: str
    """established, or why nothing is expected"""
    time_s: list[float]
    """seconds since 1970; empty = no band covers any of the range"""
    expected: list[float | None]
    """the expected value; null = no band covers this time"""
    lower: list[float | None]
    """the lower bound"""
    upper: list[float | None]
    """the upper bound"""


@dataclass(frozen=True, slots=True)
class DetectionMark:
    """What was found at a time, in its newest word."""

    detection_id: str
    """its id, as `aiops verdict` takes it"""
    at: datetime
    """time of the point"""
    of_series: bool
    """whether it is of this series; false = of another one of its service"""
    metric: str
    """the worst metric, without labels"""
    value: float
    """the value seen"""
    score: float | None
    """0 to 1; null = unknown"""
    tier: int
    """that decided: 1 = recent past, 2 = seasonal band, 3 = the service as a whole"""
    reason: str
    """why, in words"""


@dataclass(frozen=True, slots=True)
class SeriesPoints:
    """A series over a range, beside what was expected and found."""

    series: SeriesLine
    """the series"""
    since: datetime
    """begin of the range"""
    until: datetime
    """end of the range, itself not in it"""
    points: PointColumns
    """its points"""
    offset_s: int
    """seconds by which the range that it is compared with lies before; 0 = with none"""
    compared: PointColumns | None
    """points of that range, moved forward by the offset; null = none was asked for"""
    band: BandColumns
    """the seasonal band"""
    detections: tuple[DetectionMark, ...]
    """anomalies of the series and its service, the oldest first; of more than 500 the newest"""
