"""Alarm levels of a service: how far its series must be beyond their bounds for it to be no chance, learned from its own ticks.

A service of some hundred series has one beyond its bounds in almost every minute, one of eight seldom. What is judged is the
excess of a tick: over all series with a score of 0.5 or more, 1 at the bound and 1 more each time |z| doubles, weighed by how
seldom the series is there (`straying.weighed_excess`). Their sum says whether many stray at once, the greatest whether one is
far out that seldom is; each has a level of its own, for where many stray a little the sum is large in every tick.
Those of a service that are 1 or more have an exponential tail where |z| has a power law (peaks over a threshold: Coles, An
Introduction to Statistical Modeling of Extreme Values, 2001, chapter 4), so

    P(excess >= x) = p exp(-(x - 1) / b),  p = share of ticks with excess >= 1,  b = mean of what they have above 1.

The level is the x whose chance is that of FALSE_PER_DAY ticks a day for the sum, of ALONE_PER_DAY for the greatest, and 1 at
least. p and b are running averages of about a day. They begin as what one hour of a service with that many series would show if
each were beyond its bound as often as those of a small healthy service are. What a tick adds to b ends at the level, and of ticks
of one alarm only the first counts, and those after ALARM_US: an incident is no habit, what stays is one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.detection.levels import NO_ALARM_Z
from aiops.detection.worst_point import OUTSIDE_LIMITS
from aiops.errors import OutdatedState, StateError
from aiops.features.engine_snapshot import FIX
from aiops.features.name_table import NameTable
from aiops.features.robust import Z_OF_HALF
from aiops.features.series_state import HOUR_US
from aiops.features.straying import DAY_US, FALSE_PER_DAY, GOLDEN_SERIES
from aiops.jit import kernel
from aiops.types import FloatArray, IntArray

ALARM_US: Final = 1_200_000_000
"""An alarm that lasts this long (20 min, as a level shift does) is learned from its ticks, too."""
APART_US: Final = 180_000_000
"""Ticks further apart are of two alarms."""
NEVER_US: Final = -(2**62)
TOGETHER, ALONE = range(2)
KINDS: Final = 2
ALONE_PER_DAY: Final = 1.0
"""Ticks of false alarm by one series alone that are accepted beside those of all together, a service and day."""
_VERSION: Final = 3
"""Version of the state; excesses of the first were not weighed, the second had one level."""
LEAST_WEIGHT: Final = 1e-3
"""A series that weighs less than this is taken to weigh as much: it asks for more than any score is."""
MOST_DOUBLINGS: Final = 60.0
_SAME: Final = 1e-9
"""Relative difference below which a bound is the alarm's, not that of the metric's range."""
LEVEL: Final = np.dtype(
    [
        ("ticks", np.float64),  # ticks learned from, those of about a day
        ("beyond", np.float64),  # of them, those with an excess of 1 or more
        ("excess", np.float64),  # what these have above 1, summed
        ("alarm_from", np.int64),  # first and last tick of the newest alarm, us
        ("alarm_to", np.int64),
    ],
    align=True,
)


class LevelRows(NamedTuple):
    """Rows of services of closed ticks, (n,) each, in order of time; `service`: number of the service."""

    service: IntArray
    tick_us: IntArray
    excess: FloatArray  # of all series
    farthest: FloatArray  # the greatest of one
    judged: FloatArray  # how many have a known score


@kernel
def level_of(record: Any, judged: float, per_day: float, step_us: int) -> float:
    """Return the level of a service of `judged` series that so many ticks a day may be above."""
    accepted = per_day * step_us / DAY_US
    chance = 1.0 - np.exp(-accepted * judged / GOLDEN_SERIES)
    hour = HOUR_US / step_us
    prior = chance * hour
    share = (record.beyond + prior) / (record.ticks + hour)
    weight = max(prior, 1.0)
    mean = (record.excess + weight) / (record.beyond + weight)
    return float(1.0 if share <= accepted else 1.0 + mean * np.log(share / accepted))


@kernel
def learn(record: Any, tick_us: int, excess: float, level: float, step_us: int) -> None:
    """Take in a tick that was judged by `level`."""
    apart_us = max(APART_US, step_us)
    if excess >= level:
        if tick_us - record.alarm_to > apart_us:
            record.alarm_from = tick_us
        record.alarm_to = tick_us
    if excess >= 1.0 and tick_us - record.alarm_to <= apart_us and 0 < tick_us - record.alarm_from < ALARM_US:
        return
    most = DAY_US / step_us
    keep = 1.0 - 1.0 / most if record.ticks >= most else 1.0
    record.ticks = keep * record.ticks + 1.0
    record.beyond *= keep
    record.excess *= keep
    if excess >= 1.0:
        record.beyond += 1.0
        record.excess += min(excess, level) - 1.0


@kernel
def judge_rows(records: npt.NDArray[Any], rows: LevelRows, step_us: int, out: FloatArray) -> None:
    """Write the levels (n, 2) that every row is judged by, and learn from it; of a service without judged series: 1."""
    for row in range(rows.service.size):
        out[row] = 1.0
        if rows.judged[row] > 0.0:
            for kind in (TOGETHER, ALONE):
                record = records[rows.service[row], kind]
                excess = rows.excess[row] if kind == TOGETHER else rows.farthest[row]
                per_day = FALSE_PER_DAY if kind == TOGETHER else ALONE_PER_DAY
                out[row, kind] = level_of(record, rows.judged[row], per_day, step_us)
                learn(record, rows.tick_us[row], excess, out[row, kind], step_us)


class ServiceLevels:
    """Levels of all services of a tenant. Memory: 80 B a service, and its name. Not thread-safe."""

    def __init__(self, step_us: int) -> None:
        self._step_us = step_us
        self._names = NameTable()
        self._records = _unknown(16)

    def levels(self, service_names: Sequence[str], rows: LevelRows) -> FloatArray:
        """Return the levels (n, 2) that each row is judged by, of all series TOGETHER and of one ALONE, by what came before it.

        Services are numbers in the names.
        """
        numbers = self._names.of(service_names)
        if len(self._names) > len(self._records):
            self._records = np.concatenate([self._records, _unknown(max(len(self._names), len(self._records)))])
        out = np.empty((rows.service.size, KINDS))
        judge_rows(self._records, rows._replace(service=numbers[rows.service]), self._step_us, out)
        return out

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays of its own, equal for equal pasts: services by name."""
        names = sorted(self._names.number_of)
        rows = self._records[[self._names.number_of[name] for name in names]]
        arrays = {field: np.ascontiguousarray(rows[field]) for field in LEVEL.names or ()}
        return {"version": np.array([_VERSION]), "services": np.frombuffer("\n".join(names).encode(), np.uint8).copy(), **arrays}

    @classmethod
    def restore(cls, step_us: int, state: Mapping[str, npt.NDArray[Any]]) -> "ServiceLevels":
        """Return the levels that `snapshot` described; they go on bit for bit. A state of before begins anew.

        Raises:
            KeyError: an array is missing. StateError: the arrays do not fit together. OutdatedState: they are of a newer version.
        """
        made, version = cls(step_us), state["version"].tolist() if "version" in state else [0]
        if version > [_VERSION]:
            raise OutdatedState(f"levels of services have version {version}, this program reads up to {_VERSION}; {FIX}")
        if version != [_VERSION]:
            return made
        text = state["services"].tobytes().decode()
        names = text.split("\n") if text else []
        made._records = _unknown(max(len(names), 16))
        for field in LEVEL.names or ():
            if state[field].shape != (len(names), KINDS):
                raise StateError(f"levels of services: {state[field].size} of {field} for {len(names)}; {FIX}")
            made._records[field][: len(names)] = state[field]
        for name in names:
            made._names.number(name)
        return made


def _unknown(count: int) -> npt.NDArray[Any]:
    """Return records of services of which nothing was seen."""
    records = np.zeros((count, KINDS), LEVEL)
    records["alarm_from"] = records["alarm_to"] = NEVER_US
    return records


def raise_alarms(held: npt.NDArray[Any], known: npt.NDArray[np.bool_], levels: FloatArray, excess: FloatArray) -> None:
    """Raise alarm z and bounds of points (n,) of dtype `held_points.HELD` to what their services' levels (n, 2) ask of them.

    A point must make up for what the other series of its service, `excess` (n,) without its own, lack of the level of all
    together, or reach the level of one alone, whichever is less. What is outside its static limits, or what the second opinion
    says, is not a question of how many series there are: it stays.
    """
    size, weight = np.abs(held["z"]), np.fmax(held["weight"], LEAST_WEIGHT)
    beside = np.fmin(weight, 1.0)
    own = np.where(size >= Z_OF_HALF, beside * (1.0 + np.log2(np.fmax(size, Z_OF_HALF) / Z_OF_HALF)), 0.0)
    needed = np.fmin((levels[:, TOGETHER] - np.fmax(excess - own, 0.0)) / beside, levels[:, ALONE] / weight)
    asked = np.fmin(np.fmin(held["alarm_z"], Z_OF_HALF) * np.exp2(np.fmin(needed - 1.0, MOST_DOUBLINGS)), NO_ALARM_Z)
    alarm_z = np.where(needed > 1.0, np.fmax(held["alarm_z"], asked), held["alarm_z"])
    by_z = known & (held["severity"] < OUTSIDE_LIMITS) & (held["finding"] < 0) & np.isfinite(size) & (alarm_z > held["alarm_z"])
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.abs(held["value"] - held["expected"]) / size
    for side, name in ((-1.0, "lower"), (1.0, "upper")):
        reach = np.abs(held[name] - held["expected"]) >= held["alarm_z"] * scale * (1.0 - _SAME)
        raised = held["expected"] + side * alarm_z * scale
        held[name] = np.where(by_z & reach & np.isfinite(scale) & (size > 0.0), raised, held[name])
    held["severity"] = np.where(by_z, size / np.where(by_z, alarm_z, 1.0), held["severity"])
    held["alarm_z"] = np.where(by_z, alarm_z, held["alarm_z"])
