"""What a body holds, as columns: the same for remote write 1.0 and 2.0 and for OTLP metrics.

A *series* here is what a body writes once: a TimeSeries of remote write, a data point of OTLP. Its points, histograms and
exemplars name it by its row. The arrays belong to the result: nothing in them changes with the next body. No column has more rows
than the body has bytes; the columns of real bodies take about as much memory as these.

What is known of a series by its hash needs no text: `DecodedBody.describe` reads names and labels of the rows that are asked for.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from aiops.errors import ContractError

Int8s = npt.NDArray[np.int8]
Int64s = npt.NDArray[np.int64]
Uint64s = npt.NDArray[np.uint64]
Float64s = npt.NDArray[np.float64]
Body = bytes | memoryview
"""What a decoder is given: bytes that nobody changes while the result is held."""
Pairs = tuple[tuple[str, str], ...]
"""(name, value) of each label or attribute, ascending by name, no name twice."""

PROTOBUF_IN_LOOP_BYTES: Final = 1 << 20
"""A body in protobuf up to so large is read within a millisecond or two: sooner than a thread would be ready to."""
STALE_NAN_BITS: Final = 0x7FF0000000000002
"""The NaN that marks the end of a series in remote write; OTLP's flag "no recorded value" becomes the same NaN."""


class SeriesKind(IntEnum):
    """What the sender declares a series to be. 0 to 7 are the numbers of remote write; 8 and 9 exist in OTLP only."""

    UNKNOWN = 0
    COUNTER = 1
    """Running total: also OTLP's cumulative monotonic sum, and sum and count of its summaries."""
    GAUGE = 2
    """Value as it is: also OTLP's cumulative sum that may fall."""
    HISTOGRAM = 3
    """Cumulative; of remote write also a part of a classic histogram where points, not histograms, belong to it."""
    GAUGE_HISTOGRAM = 4
    SUMMARY = 5
    """Quantiles; in remote write also their sum and count."""
    INFO = 6
    STATE_SET = 7
    DELTA = 8
    """Amount since the point before: OTLP's delta sum, monotonic or not."""
    HISTOGRAM_DELTA = 9
    """What was observed since the histogram before."""


class Rule(IntEnum):
    """Rules that a part of a body can break while the rest of it is kept; `RULES` says them in words."""

    LABEL_REFERENCES_IN_PAIRS = 1
    SYMBOL_EXISTS = 2
    NAME_PRESENT = 3
    LABEL_NAME_NOT_EMPTY = 4
    LABEL_NAMES_DISTINCT = 5
    TEXT_IS_UTF8 = 7
    SCHEMA_KNOWN = 8
    SPANS_MATCH_BUCKETS = 9
    COUNTS_NOT_NEGATIVE = 10
    BOUNDS_ASCEND = 11
    TEMPORALITY_STATED = 12
    VALUE_PRESENT = 13


RULES: Final = {
    Rule.LABEL_REFERENCES_IN_PAIRS: "labels_refs come in pairs: a name and a value",
    Rule.SYMBOL_EXISTS: "a reference is below the number of symbols",
    Rule.NAME_PRESENT: "a series has a metric name (label __name__)",
    Rule.LABEL_NAME_NOT_EMPTY: "a label's name is not empty",
    Rule.LABEL_NAMES_DISTINCT: "a label's name occurs once in a series",
    Rule.TEXT_IS_UTF8: "names and values are UTF-8",
    Rule.SCHEMA_KNOWN: "the schema of a native histogram is -4 to 8 or -53, the scale of an exponential one -10 to 20",
    Rule.SPANS_MATCH_BUCKETS: "there are as many counts as spans or bounds describe",
    Rule.COUNTS_NOT_NEGATIVE: "counts of a histogram are not negative",
    Rule.BOUNDS_ASCEND: "bounds of a histogram ascend",
    Rule.TEMPORALITY_STATED: "a sum or histogram states its temporality: delta or cumulative",
    Rule.VALUE_PRESENT: "a data point has a value",
}


class MalformedBody(ContractError):
    """A body is not what its content type says; nothing of it is kept.

    `field` names where, e.g. "timeseries.labels, byte 17"; `rule` says what is expected there.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """(s,) series in order of the body; the points of row i are first[i] … first[i] + count[i] - 1."""

    hash: Uint64s
    """Of all that `describe` says but help, under the seed of the decoder; the order of labels and attributes changes nothing.
    Two descriptions have one hash by chance only (2^-64 a pair); one description can have several. Of a row in `faults` it says
    nothing."""
    kind: Int8s
    """SeriesKind."""
    first: Int64s
    count: Int64s

    def __len__(self) -> int:
        return len(self.hash)


@dataclass(frozen=True, slots=True)
class PointColumns:
    """(n,) numbers, in order of the body."""

    series: Int64s
    """Row of the series."""
    value: Float64s
    """As sent, bit for bit: other NaNs than STALE_NAN_BITS and infinities are in it."""
    time_us: Int64s
    """Since 1970; times beyond int64 microseconds are cut to its ends."""
    start_us: Int64s
    """When the running total began; 0 = not stated."""

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, slots=True)
class HistogramColumns:
    """(h,) whole histograms, in order of the body; the buckets of row i are bounds[i] … bounds[i + 1] - 1 of upper and counts."""

    series: Int64s
    time_us: Int64s
    start_us: Int64s
    """0 = not stated."""
    count: Float64s
    """The stale NaN where the series ended; such a row has no buckets."""
    sum: Float64s
    """NaN = not stated."""
    bounds: Int64s
    """(h + 1,)."""
    upper: Float64s
    """(b,) upper bounds, strictly ascending within a histogram; the last may be infinite. A bucket reaches down to the bound
    before; the first one to 0 if its bound is positive, else without end. Gaps between populated buckets are buckets of 0."""
    counts: Float64s
    """(b,) observations in each bucket alone."""

    def __len__(self) -> int:
        return len(self.count)


@dataclass(frozen=True, slots=True)
class ExemplarColumns:
    """(e,) exemplars, in order of the body."""

    series: Int64s
    value: Float64s
    time_us: Int64s
    """0 = not stated."""
    trace_id: tuple[str, ...]
    """As sent by label trace_id (remote write), 32 hexadecimal digits (OTLP); empty = not stated."""
    span_id: tuple[str, ...]
    """Empty = not stated."""

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, slots=True)
class FaultColumns:
    """(f,) points, histograms or whole series that are left out because they break a rule."""

    rule: Int8s
    """Rule."""
    series: Int64s
    """Row of the series it belongs to; `describe` names it as far as it can be read."""
    points: Int64s
    """How many points left out."""
    histograms: Int64s
    """How many histograms left out."""

    def __len__(self) -> int:
        return len(self.rule)


@dataclass(frozen=True, slots=True)
class MetricMetadata:
    """What remote write 1.0 says about a family of metrics, in requests of their own."""

    family: str
    kind: SeriesKind
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class SeriesDescription:
    """What a series is, as sent."""

    metric: str
    """Remote write: the label __name__. OTLP: the metric's name; of a summary's parts with _sum or _count behind it."""
    labels: Pairs
    """Remote write: all others. OTLP: attributes of the data point, and `quantile` of a summary's quantile."""
    kind: SeriesKind
    unit: str = ""
    help: str = ""
    resource: Pairs = ()
    """OTLP: attributes of the resource. Values that are no strings are written as JSON writes them."""
    scope: str = ""
    scope_version: str = ""


@dataclass(frozen=True, slots=True)
class SeriesFault:
    """A series that breaks a rule in itself: all that belongs to it is to be refused."""

    rule: Rule
    series: str
    """As much of it as can be read, for people."""


Description = SeriesDescription | SeriesFault


class Describer(Protocol):
    """Reads names and labels out of the bytes of one body."""

    def describe(self, rows: Int64s) -> list[Description]:
        """Return what the given series are, in that order."""
        ...


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """All that a body holds."""

    series: SeriesColumns
    points: PointColumns
    histograms: HistogramColumns
    exemplars: ExemplarColumns
    faults: FaultColumns
    metadata: tuple[MetricMetadata, ...]
    describer: Describer

    def describe(self, rows: Int64s) -> list[Description]:
        """Return what the given series are: text is decoded here and checked (UTF-8, order, names once and not empty).

        A row in `faults` is described as far as it can be read. O(bytes of the series).
        """
        return self.describer.describe(rows)
