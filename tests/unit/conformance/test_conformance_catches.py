"""The conformance suite can fail: each kind of broken detector is caught by the check that is there for it."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aiops.types import FloatArray, SeriesBatch, State
from tests.conformance import detector_suite
from tests.conformance.detector_suite import bytes_of_state, check_detector, check_fit_is_seeded
from tests.testing.point_batches import regular

WARM_UP = 10


class HonestStream:
    """Running mean and mean absolute deviation of each series; duplicates and late points count like others."""

    alpha = 0.05

    def __init__(self, state: State | None = None) -> None:
        held = {} if state is None else {name: row.tolist() for name, row in state.items()}
        self.series: dict[str, list[float]] = held

    def score(self, batch: SeriesBatch) -> FloatArray:
        return np.array([self.point(*row) for row in rows_of(batch)], dtype=np.float64).reshape(-1)

    def point(self, name: str, value: float) -> float:
        count, mean, deviation = self.series.setdefault(name, [0.0, value, 0.0])
        step = value / 2 - mean / 2
        scale = max(deviation, 1e-9, 0.01 * abs(mean))
        strange = min(2 * abs(step / scale), 100.0)
        weight = max(self.alpha, 1 / (count + 1))
        clipped = math.copysign(min(abs(step), 3 * scale), step) if count >= WARM_UP else step
        self.series[name] = [count + 1, mean + 2 * weight * clipped, deviation + weight * (abs(clipped) - deviation)]
        return 1 - 2 ** (-strange / 6) if count >= WARM_UP else math.nan

    def snapshot(self) -> State:
        return {name: np.array(row) for name, row in self.series.items()}


class Honest:
    lookback = WARM_UP
    streams: Callable[..., Any] = HonestStream

    def score(self, batch: SeriesBatch) -> FloatArray:
        return self.stream().score(batch)

    def stream(self, state: State | None = None) -> Any:
        return type(self).streams(state)

    def state(self) -> State:
        return {"alpha": np.array([HonestStream.alpha])}


def rows_of(batch: SeriesBatch) -> list[tuple[str, float]]:
    names = batch.table.column("service").cast("string").to_pylist()
    return list(zip(names, batch.table.column("value").to_pylist(), strict=True))


def values_of(batch: SeriesBatch) -> FloatArray:
    return np.frombuffer(batch.table.column("value").buffers()[1], np.float64)[: len(batch)]


class LookAhead(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        values = values_of(batch)
        return super().score(batch) * (values / max(values.max(initial=0.0), 1.0) > 0.8)


class Mutating(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        scores = super().score(batch)
        values_of(batch)[:] = 0.0
        return scores


class ReusesItsOutput(Honest):
    buffer = np.empty(100_000)

    def score(self, batch: SeriesBatch) -> FloatArray:
        out = self.buffer[: len(batch)]
        out[:] = super().score(batch)
        return out


class Stateful(Honest):
    def __init__(self) -> None:
        self.held = HonestStream()

    def score(self, batch: SeriesBatch) -> FloatArray:
        return self.held.score(batch)


class Unseeded(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        return np.clip(super().score(batch) + 1e-6 * np.random.default_rng().random(len(batch)), 0, 1)


class WarmUpIsZero(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        return np.nan_to_num(super().score(batch))


class NeedsNoWarmUp(WarmUpIsZero):
    lookback = 0


class NeverWarm(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        return super().score(batch) * np.nan


class SaysNothing(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        return super().score(batch) * 0.0


class SharedSeries(HonestStream):
    def point(self, name: str, value: float) -> float:
        return super().point("all", value)


class MixesSeries(Honest):
    streams = SharedSeries


class TrustsCodes(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        codes: Any = batch.table.column("service")
        return np.clip(super().score(batch) + 0.01 * codes.indices.to_numpy(), 0, 1)


class Unbounded(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        return super().score(batch) * 20


class HalfAsWide(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        return super().score(batch).astype(np.float32)  # type: ignore[return-value]


class StillIsStrange(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        scores = super().score(batch)
        still = values_of(batch) == np.roll(values_of(batch), 2)
        return np.where(still & np.isfinite(scores), 1.0, scores)


class OverflowingStream(HonestStream):
    def point(self, name: str, value: float) -> float:
        count, total, squares = self.series.setdefault(name, [0.0, 0.0, 0.0])
        self.series[name] = [count + 1, total + value, squares + value * value]
        if count < WARM_UP:
            return math.nan
        deviation = math.sqrt(max(0.0, squares / count - (total / count) ** 2)) if squares < math.inf else math.nan
        return 1 - 2 ** (-min(abs(value - total / count) / max(deviation, 0.1), 100.0) / 6)


class Overflowing(Honest):
    streams = OverflowingStream


class RefusesDisorder(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        times = batch.table.column("timestamp").cast("int64").to_numpy()
        if (np.diff(times) < 0).any():
            raise ValueError("timestamps must increase")
        return super().score(batch)


class DiesOfAGap(Honest):
    def score(self, batch: SeriesBatch) -> FloatArray:
        times = batch.table.column("timestamp").cast("int64").to_numpy()
        after = np.maximum.accumulate(np.diff(times, prepend=times[:1])) > 3_600_000_000
        return np.where(after, np.nan, super().score(batch))


class ForgetfulStream(HonestStream):
    def __init__(self, state: State | None = None) -> None:
        super().__init__({name: np.array([row[0], row[1], 1.0]) for name, row in (state or {}).items()})


class Forgetful(Honest):
    streams = ForgetfulStream


class BatchwiseStream(HonestStream):
    def score(self, batch: SeriesBatch) -> FloatArray:
        scores = super().score(batch)
        return scores / max(1.0, np.nanmax(scores, initial=0.0) * 1.5)


class Batchwise(Honest):
    streams = BatchwiseStream


class HoardingStream(HonestStream):
    def score(self, batch: SeriesBatch) -> FloatArray:
        self.series["hoard"] = [*self.series.get("hoard", []), *values_of(batch)]
        return super().score(batch)


class Hoarding(Honest):
    streams = HoardingStream


class SecretlyHoardingStream(HonestStream):
    def score(self, batch: SeriesBatch) -> FloatArray:
        self.secret = [*getattr(self, "secret", []), values_of(batch).copy()]
        return super().score(batch)


class SecretlyHoarding(Honest):
    streams = SecretlyHoardingStream


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (Mutating, detector_suite.check_inputs_are_left_alone),
        (ReusesItsOutput, detector_suite.check_inputs_are_left_alone),
        (Stateful, detector_suite.check_same_twice),
        (Unseeded, detector_suite.check_same_twice),
        (WarmUpIsZero, detector_suite.check_warm_up_is_unknown),
        (NeedsNoWarmUp, detector_suite.check_warm_up_is_unknown),
        (NeverWarm, detector_suite.check_warm_up_is_unknown),
        (SaysNothing, detector_suite.check_warm_up_is_unknown),
        (LookAhead, detector_suite.check_prefixes_score_alike),
        (MixesSeries, detector_suite.check_series_are_independent),
        (TrustsCodes, detector_suite.check_series_are_independent),
        (StillIsStrange, detector_suite.check_constant_and_empty),
        (RefusesDisorder, detector_suite.check_gaps_and_disorder),
        (DiesOfAGap, detector_suite.check_gaps_and_disorder),
        (Overflowing, detector_suite.check_scales),
        (Unbounded, detector_suite.check_same_twice),
        (HalfAsWide, detector_suite.check_same_twice),
        (Forgetful, detector_suite.check_split_equals_whole),
        (Batchwise, detector_suite.check_split_equals_whole),
        (Hoarding, detector_suite.check_memory_is_bounded),
        (SecretlyHoarding, detector_suite.check_memory_is_bounded),
    ],
)
def test_a_broken_detector_is_caught(broken: type[Honest], check: Callable[[Any, int], None]) -> None:
    check(Honest(), 160)
    with pytest.raises((AssertionError, ValueError, OverflowError)):
        check(broken(), 160)


def test_an_honest_detector_passes_all_checks() -> None:
    check_detector(Honest())
    check_fit_is_seeded(Honest)  # type: ignore[arg-type]


def test_a_fit_that_draws_at_random_is_caught() -> None:
    class Drawn(Honest):
        def state(self) -> State:
            return {"weights": np.random.default_rng().random(3)}

    with pytest.raises(AssertionError):
        check_fit_is_seeded(Drawn)  # type: ignore[arg-type]


def test_bytes_tell_states_apart_by_type_shape_and_content() -> None:
    states = [np.zeros(2), np.zeros((2, 1)), np.zeros(2, np.int64), np.array([0.0, -0.0])]
    assert len({repr(bytes_of_state({"a": state})) for state in states}) == 4
    assert len(regular(3).batch()) == 6
