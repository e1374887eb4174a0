"""Randomness of the telemetry, in blocks of a fixed grid: a block depends on the seed and its number only.

So any block can be drawn without those before it, and the way in which blocks are put together changes no value.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray, IntArray

BLOCK_STEPS: Final = 512
"""Steps of a block, for any step length."""

_MEMORY_S: Final = 300.0
_KNOT_S: Final = 7200.0
_MOST_GAP_STEPS: Final = 256


@dataclass(frozen=True, slots=True)
class Grid:
    """Shape of what is drawn: (metrics, services) series at steps of `step_s` seconds."""

    seed: int
    metrics: int
    services: int
    step_s: int

    def white(self, block: int) -> FloatArray:
        """Return (metrics, services, BLOCK_STEPS) standard normals; block -1 precedes the first one."""
        rng = generator(self.seed, Stream.NOISE, block)
        return rng.standard_normal((self.metrics, self.services, BLOCK_STEPS))

    def wander(self, seconds: FloatArray) -> FloatArray:
        """Return slow unit noise, (metrics, services, len(seconds)): smooth between normals at knots two hours apart."""
        place = seconds / _KNOT_S
        first = math.floor(place[0])
        knots = np.stack([self._knot(number) for number in range(first, math.floor(place[-1]) + 2)], axis=-1)
        left = np.floor(place).astype(np.int64) - first
        part = place - np.floor(place)
        weight = part * part * (3.0 - 2.0 * part)
        near: FloatArray = np.take(knots, left, axis=-1)
        far: FloatArray = np.take(knots, left + 1, axis=-1)
        return near + weight * (far - near)

    def _knot(self, number: int) -> FloatArray:
        return generator(self.seed, Stream.WANDER, number).standard_normal((self.metrics, self.services))

    def present(self, block: int, gap_share: float) -> npt.NDArray[np.bool_]:
        """Return (metrics, services, BLOCK_STEPS): False in gaps. `gap_share` of the points are missing on average.

        A series' gaps last 3 to 30 minutes (its own length, at most 256 steps) and may follow each other.
        """
        lengths = self._gap_steps()
        begins = np.concatenate([self._gap_begins(number, gap_share, lengths) for number in (block - 1, block)], axis=-1)
        total: IntArray = np.cumsum(begins, axis=-1, dtype=np.int64)
        ends = np.arange(BLOCK_STEPS, 2 * BLOCK_STEPS)
        before = np.take_along_axis(total, ends - lengths[..., None], axis=-1)
        present: npt.NDArray[np.bool_] = total[..., BLOCK_STEPS:] == before
        return present

    def _gap_steps(self) -> IntArray:
        minutes = generator(self.seed, Stream.GAPS).uniform(3, 30, (self.metrics, self.services))
        return np.clip(np.round(minutes * 60 / self.step_s), 1, _MOST_GAP_STEPS).astype(np.int64)

    def _gap_begins(self, block: int, gap_share: float, lengths: IntArray) -> npt.NDArray[np.bool_]:
        rng = generator(self.seed, Stream.GAPS, 2 + block)
        chance = 1.0 - (1.0 - gap_share) ** (1.0 / lengths)
        return rng.random((self.metrics, self.services, BLOCK_STEPS), dtype=np.float32) < chance[..., None].astype(np.float32)


def autocorrelated(before: FloatArray, white: FloatArray, step_s: int) -> FloatArray:
    """Return unit noise with a memory of five minutes from two successive blocks of white noise; shape of `white`.

    An exponential kernel over the last 2**k steps by doubling: y += r**m * shift(y, m) for m = 1, 2, 4, … (k passes).
    """
    decay = math.exp(-step_s / _MEMORY_S)
    passes = min(8, max(1, math.ceil(math.log2(4 * _MEMORY_S / step_s + 2))))
    halo = 2**passes
    smooth = np.concatenate([before[..., -halo:], white], axis=-1)
    for exponent in range(passes):
        lag = 2**exponent
        smooth[..., lag:] = smooth[..., lag:] + decay**lag * smooth[..., :-lag]
    taps = decay ** (2.0 * np.arange(halo))
    smooth *= 1.0 / math.sqrt(float(taps.sum()))
    return smooth[..., halo:]
