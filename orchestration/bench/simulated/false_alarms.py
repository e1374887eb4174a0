"""False alarms that are named as such and true ones that are lost by it, by how long one waits; beside "the alert has ended"."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.types import FloatArray
from orchestration.bench.simulated.rca_cases import WAITS_MIN, SimulatedCase


@dataclass(frozen=True, slots=True)
class WaitFigures:
    """Alarms so many minutes after their first alert, of which `false_alarms` are false.

    `false_named` = share of those that are called false, `true_lost` = share of the others that are, `short_lost` = the same of
    true incidents that end by themselves within minutes; `ece`, `top1` = of the first cause, as everywhere. `ended_named`,
    `ended_lost`: the first two shares where an alarm is called false as soon as its alert has ended.
    """

    wait_min: int
    alarms: int
    false_alarms: int
    false_named: float
    true_lost: float
    short_lost: float
    ece: float
    top1: float
    ended_named: float
    ended_lost: float


@dataclass(frozen=True, slots=True, eq=False)
class NamedAlarms:
    """Alarms (n,): minutes waited, false in truth, called false, still alerting."""

    waited_min: npt.NDArray[np.int64]
    is_false: npt.NDArray[np.bool_]
    called: npt.NDArray[np.bool_]
    alerts: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, cases: Sequence[SimulatedCase], called: Sequence[bool]) -> "NamedAlarms":
        """Return alarms and whether each is called false."""
        return cls(
            np.array([case.waited_min for case in cases], dtype=np.int64),
            np.array([case.kind == "none" for case in cases], dtype=np.bool_),
            np.array(called, dtype=np.bool_),
            np.array([case.alert_on for case in cases], dtype=np.bool_),
        )


@dataclass(frozen=True, slots=True)
class FirstCause:
    """How the first cause does so long after the first alert."""

    ece: float
    top1: float


def wait_figures(alarms: NamedAlarms, short: NamedAlarms, first: Sequence[FirstCause]) -> tuple[WaitFigures, ...]:
    """Return the figures of each of `WAITS_MIN`; `short`: alarms of worlds whose incidents are short."""
    rows = []
    for wait_min, cause in zip(WAITS_MIN, first, strict=True):
        now, now_short = alarms.waited_min == wait_min, short.waited_min == wait_min
        is_false, is_true = now & alarms.is_false, now & ~alarms.is_false
        rows.append(
            WaitFigures(
                wait_min,
                int(now.sum()),
                int(is_false.sum()),
                share_of(alarms.called[is_false]),
                share_of(alarms.called[is_true]),
                share_of(short.called[now_short & ~short.is_false]),
                cause.ece,
                cause.top1,
                share_of(~alarms.alerts[is_false]),
                share_of(~alarms.alerts[is_true]),
            )
        )
    return tuple(rows)


def share_of(values: FloatArray | npt.NDArray[np.bool_]) -> float:
    """Return the mean; NaN of nothing."""
    return round(float(values.mean()), 4) if values.size else float("nan")
