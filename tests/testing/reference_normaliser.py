"""An independent, slow normaliser in plain Python: the definitions, one value at a time, without kernels, slots or batches."""

import math
from dataclasses import dataclass, field

from aiops.normalise.raw_series import (
    DUPLICATE,
    EMITTED,
    FOLDED,
    NEVER_US,
    NON_FINITE,
    OUT_OF_RANGE,
    REPEATED,
    TOO_LATE,
    UNKNOWN,
)
from data_contracts.series.key import SeriesKey
from data_contracts.series.text import series_text
from tests.testing.raw_rows import SECOND, Raw, Sample

FIRST_US = 300 * SECOND
PENDING = 8


@dataclass
class State:
    """One raw series: its newest points, the time and value of the newest, a whole histogram's buckets."""

    recent: list[tuple[int, object]] = field(default_factory=list)
    seen: int = NEVER_US
    value: float | None = None
    total: float = math.nan
    upto: dict[float, float] = field(default_factory=dict)

    def note(self, time: int, what: object, kept: int = 4) -> None:
        self.recent = [(time, what), *self.recent][:kept]
        self.seen = max(self.seen, time)


@dataclass
class Family:
    """A classic histogram: members with their values at the time before, and what is open."""

    base: str
    newest: int = NEVER_US
    members: dict[int, Raw] = field(default_factory=dict)
    held: dict[int, float] = field(default_factory=dict)
    awaited: set[int] = field(default_factory=set)
    pending: dict[int, dict[int, float]] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)
    arrived: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Interval:
    """What was observed between two times: how often, and the sum of the values."""

    since: int
    until: int
    observed: float = 0.0
    total: float = math.nan


def is_stale(value: float) -> bool:
    return math.isnan(value)


def began(start: int, seen: int, time: int) -> bool:
    return start != NEVER_US and seen < start <= time and (seen != NEVER_US or time - start <= FIRST_US)


def quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """Return a quantile of (upper bound, observations up to it), linear within a bucket."""
    total = buckets[-1][1] if buckets else 0.0
    if not total > 0:
        return math.nan
    rank = share * total
    low = before = 0.0
    for number, (high, upto) in enumerate(buckets):
        if upto >= rank or number == len(buckets) - 1:
            if math.isinf(high):
                return low if number else math.nan
            if number == 0 and high <= 0:
                return high
            return low + (high - low) * ((rank - before) / (upto - before))
        low, before = high, upto
    raise AssertionError("a rank lies in one of the buckets")


class ReferenceNormaliser:
    """Points by (series as text, time us, value), and what became of each raw value."""

    def __init__(self, lateness_s: int = 30) -> None:
        self.wait_us = lateness_s * SECOND
        self.series: dict[int, Raw] = {}
        self.states: dict[int, State] = {}
        self.families: dict[int, Family] = {}
        self.points: list[tuple[str, int, float]] = []
        self.status: list[int] = []
        self.clock = NEVER_US

    def define(self, series: list[Raw]) -> None:
        for raw in series:
            key = raw.key.series_id
            if key in self.series:
                continue
            self.series[key], self.states[key] = raw, State()
            if raw.role.startswith("bucket"):
                suffix = {"bucket": "_bucket", "bucket_sum": "_sum", "bucket_count": "_count"}[raw.role]
                labels = tuple(pair for pair in raw.key.labels if pair[0] != "le")
                base = SeriesKey(raw.key.tenant, raw.key.service, raw.key.metric.removesuffix(suffix), labels)
                family = self.families.setdefault(raw.family or 0, Family(series_text(base)))
                family.members[key] = raw
                family.awaited.add(key)

    def send(self, sample: Sample) -> None:
        self._advance(sample.clock_us)
        self.status.append(self._take(sample))

    def close(self, until_us: int) -> None:
        for family in self.families.values():
            self._close_over(family, until_us, NEVER_US)

    def _take(self, sample: Sample) -> int:
        raw = self.series.get(sample.series.key.series_id)
        if raw is None:
            return UNKNOWN
        if math.isinf(sample.value):
            return NON_FINITE
        state = self.states[raw.key.series_id]
        if raw.role == "value":
            return self._value(raw, state, sample)
        if raw.role in {"total", "delta"}:
            return self._change(raw, state, sample)
        if raw.role == "histogram":
            return self._whole(raw, state, sample)
        if sample.value < 0 and raw.role != "bucket_sum":
            return OUT_OF_RANGE
        return self._part(raw, state, sample)

    def _advance(self, clock: int) -> None:
        if clock > self.clock:
            self.clock = clock
            for family in self.families.values():
                self._close_over(family, NEVER_US, clock - self.wait_us)

    def _say(self, name: str, time: int, value: float) -> int:
        if not math.isfinite(value):
            return NON_FINITE
        self.points.append((name, time, value))
        return EMITTED

    def _value(self, raw: Raw, state: State, sample: Sample) -> int:
        what = (sample.time_us, repr(sample.value))
        if what in state.recent:
            return REPEATED
        state.note(*what)
        return FOLDED if is_stale(sample.value) else self._say(series_text(raw.key), sample.time_us, sample.value)

    def _change(self, raw: Raw, state: State, sample: Sample) -> int:
        time, value, start = sample.time_us, sample.value, sample.start_us
        what = (time, repr(value))
        said = start != NEVER_US and start < time
        if time <= state.seen:
            if what in state.recent:
                return REPEATED
            if time == state.seen:
                return DUPLICATE
            if raw.role == "total" or not said:
                return TOO_LATE
        if is_stale(value):
            state.note(*what)
            state.value = None
            return FOLDED
        if value < 0:
            return OUT_OF_RANGE
        rate = self._rate(raw, state, sample)
        if time > state.seen:
            state.value = value
        state.note(*what)
        return FOLDED if rate is None else self._say(series_text(raw.key), time, rate)

    def _rate(self, raw: Raw, state: State, sample: Sample) -> float | None:
        time, value, start = sample.time_us, sample.value, sample.start_us
        if raw.role == "delta":
            since = start if start != NEVER_US and start < time else state.seen
            return None if since == state.seen and state.value is None else value / ((time - since) / 1e6)
        if began(start, state.seen, time):
            return value / ((time - start) / 1e6) if start < time else None
        if state.value is None:
            return None
        increase = value - state.value if value >= state.value else value
        return increase / ((time - state.seen) / 1e6)

    def _whole(self, raw: Raw, state: State, sample: Sample) -> int:
        """Take a whole histogram whose bounds never change."""
        time, count = sample.time_us, float(sum(sample.counts))
        what = (time, (repr(sample.value), count))
        if time <= state.seen:
            return REPEATED if what in state.recent else DUPLICATE if time == state.seen else TOO_LATE
        if is_stale(sample.value):
            state.note(*what)
            state.value = None
            return FOLDED
        upto = {bound: float(sum(sample.counts[: i + 1])) for i, bound in enumerate(sample.upper)}
        anew = began(sample.start_us, state.seen, time)
        since = sample.start_us if anew else state.seen
        fell = state.value is not None and (count < state.value or any(upto[bound] < state.upto[bound] for bound in upto))
        if since < time and (anew or state.value is not None):
            zero = anew or fell
            buckets, most = [], 0.0
            for bound, reached in upto.items():
                most = max(most, reached - (0.0 if zero else state.upto[bound]))
                buckets.append((bound, most))
            observed = count - (0.0 if zero or state.value is None else state.value)
            total = sample.value - (0.0 if zero else state.total)
            self._distribution(series_text(raw.key), Interval(since, time, observed, total), buckets)
        state.value, state.total, state.upto = count, sample.value, upto
        state.note(*what)
        return FOLDED

    def _part(self, raw: Raw, state: State, sample: Sample) -> int:
        family, key, time = self.families[raw.family or 0], raw.key.series_id, sample.time_us
        what = (time, repr(sample.value))
        if what in state.recent:
            return REPEATED
        if time <= family.newest:
            return self._late(family, state, sample)
        if time not in family.pending:
            if len(family.pending) == PENDING:
                if time < min(family.pending):
                    return TOO_LATE
                self._evaluate(family)
            family.pending[time], family.starts[time], family.arrived[time] = {}, NEVER_US, self.clock
        if key in family.pending[time]:
            return DUPLICATE
        family.pending[time][key] = sample.value
        family.starts[time] = max(family.starts[time], sample.start_us)
        family.awaited.add(key)
        state.note(*what, kept=16)
        self._close_over(family, NEVER_US, NEVER_US)
        return FOLDED

    def _late(self, family: Family, state: State, sample: Sample) -> int:
        key = sample.series.key.series_id
        if sample.time_us < family.newest:
            return TOO_LATE
        if key in family.held:
            return DUPLICATE
        if state.seen >= sample.time_us or is_stale(sample.value):
            return TOO_LATE
        family.held[key] = sample.value
        family.awaited.add(key)
        state.note(sample.time_us, repr(sample.value), kept=16)
        return FOLDED

    def _close_over(self, family: Family, until: int, arrived: int) -> None:
        while family.pending:
            time = min(family.pending)
            if len(family.pending[time]) < len(family.awaited) and time > until and family.arrived[time] > arrived:
                return
            self._evaluate(family)

    def _evaluate(self, family: Family) -> None:
        time = min(family.pending)
        values, start = family.pending.pop(time), family.starts.pop(time)
        anew = began(start, family.newest, time)
        since = start if anew else family.newest
        fell = any(
            values[key] < family.held[key]
            for key in values.keys() & family.held.keys()
            if family.members[key].role != "bucket_sum" and not is_stale(values[key])
        )
        if since not in {NEVER_US, time}:
            self._increases(family, Interval(since, time), values, anew or fell)
        for key in family.members:
            value = values.get(key, math.nan)
            if is_stale(value):
                family.held.pop(key, None)
                if not any(key in later for later in family.pending.values()):
                    family.awaited.discard(key)
            else:
                family.held[key] = value
        family.newest = time

    def _increases(self, family: Family, span: Interval, values: dict[int, float], zero: bool) -> None:
        known: dict[object, float] = {}
        for key, value in values.items():
            raw = family.members[key]
            if not is_stale(value) and (zero or key in family.held):
                known[raw.bound if raw.role == "bucket" else raw.role] = value - (0.0 if zero else family.held[key])
        bounds = sorted(bound for bound in known if isinstance(bound, float))
        buckets, most = [], -math.inf
        for bound in bounds:
            most = max(most, known[bound])
            buckets.append((bound, most))
        count = known.get("bucket_count", buckets[-1][1] if buckets and math.isinf(bounds[-1]) else None)
        if count is None:
            return
        if buckets and not math.isinf(bounds[-1]):
            buckets.append((math.inf, max(count, most)))
        self._distribution(family.base, Interval(span.since, span.until, count, known.get("bucket_sum", math.nan)), buckets)

    def _distribution(self, base: str, seen: Interval, buckets: list[tuple[float, float]]) -> None:
        values = {"rate": seen.observed / ((seen.until - seen.since) / 1e6)}
        if seen.observed > 0:
            values |= {"mean": seen.total / seen.observed, "p50": quantile(buckets, 0.5), "p99": quantile(buckets, 0.99)}
        name, brace, labels = base.partition("{")
        for ending, value in values.items():
            if math.isfinite(value):
                self.points.append((f"{name}_{ending}{brace}{labels}", seen.until, value))
