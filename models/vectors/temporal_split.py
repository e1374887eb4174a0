"""Temporal split into training, calibration and test rows, with an embargo between them."""

from dataclasses import dataclass

import numpy as np

from aiops.errors import TrainingImpossible
from aiops.types import FloatArray, IntArray
from data_contracts.values.moments import moment_of_us
from models.vectors.service_rows import US_PER_MIN, BoolArray


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """Shares of the positive rows before the first and the second boundary, and the gap after each boundary."""

    train_share: float = 0.6
    calibration_share: float = 0.2
    embargo_min: float = 120.0


@dataclass(frozen=True, slots=True)
class TemporalSplit:
    """Masks of rows; every training row is older than every calibration row, every one of these older than every test row."""

    train: BoolArray
    calibration: BoolArray
    test: BoolArray
    calibration_start_us: int
    test_start_us: int


def temporal_split(time_us: IntArray, label: FloatArray, config: SplitConfig) -> TemporalSplit:
    """Return the split of rows by time; `label` (n,) in {0, 1}, NaN rows belong to no part.

    Boundaries lie where the shares of the positive rows have passed, so that each part sees incidents; rows within the embargo
    after a boundary are dropped, so that no label of an older part looks into a newer one (embargo >= longest horizon).

    Raises:
        TrainingImpossible: there is no positive row, or a part is left without a positive or a negative row.
    """
    known = np.isfinite(label)
    positive_times = np.sort(time_us[known & (label > 0)])
    if not positive_times.size:
        raise TrainingImpossible(
            f"none of {int(known.sum())} labelled rows precedes an incident; give a history with labelled incidents"
        )
    first = int(positive_times[min(int(config.train_share * positive_times.size), positive_times.size - 1)])
    share = config.train_share + config.calibration_share
    second = int(positive_times[min(int(share * positive_times.size), positive_times.size - 1)])
    gap_us = int(config.embargo_min * US_PER_MIN)
    split = TemporalSplit(
        known & (time_us < first),
        known & (time_us >= first + gap_us) & (time_us < second),
        known & (time_us >= second + gap_us),
        first + gap_us,
        second + gap_us,
    )
    for name, part in (("training", split.train), ("calibration", split.calibration)):
        positives = int((label[part] > 0).sum())
        if not positives or positives == int(part.sum()):
            raise TrainingImpossible(
                f"the {name} part (boundaries {moment_of_us(first):%Y-%m-%d %H:%M} and {moment_of_us(second):%Y-%m-%d %H:%M}) "
                f"has {positives} positive of {int(part.sum())} rows; give a longer history "
                f"or a shorter embargo than {config.embargo_min:g} min"
            )
    return split
