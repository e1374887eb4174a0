"""The second opinion of tier 1 beside robust z: stuck series, hard limits, and rarity in a series' own history.

It only ever raises a flag, with the reason in words; features and scores stay what they are. It sees the points that the engine
took, in order of arrival. Numba and the kernels are loaded with the first partition, not with this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aiops.detection.worst_point import Finding
from aiops.types import IntArray
from serving.stream.consumer.tenant_states import state_part

if TYPE_CHECKING:
    from aiops.features.series_names import SeriesNames
    from aiops.features.series_points import SeriesPoints
    from models.detectors.safety_net import NetFindings, SafetyNet
    from models.detectors.surprise_bank import SurpriseBank

_RARITY, _NET = "rarity/", "net/"


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched: rarity in a series' own history; stuck series and hard limits."""

    novelty: bool = False
    safety_net: bool = False


class SecondOpinion:
    """State of one partition; at most about 5 KB a series, without rarity 44 B. Not thread-safe."""

    def __init__(self, series: "SeriesNames", bank: "SurpriseBank | None", net: "SafetyNet | None") -> None:
        self._series = series
        self._bank = bank
        self._net = net

    @classmethod
    def new(cls, watched: Watched, series: "SeriesNames", max_series: int) -> "SecondOpinion":
        """Return one that has seen nothing."""
        return cls.restore(watched, series, max_series, {})

    @classmethod
    def restore(
        cls, watched: Watched, series: "SeriesNames", max_series: int, state: Mapping[str, npt.NDArray[Any]]
    ) -> "SecondOpinion":
        """Return what `snapshot` described, of the engine's `series`.

        What was not watched then, or with another configuration, begins anew.

        Raises:
            StateError: the state is damaged.
        """
        from models.detectors.safety_net import SafetyNet
        from models.detectors.surprise_bank import SurpriseBank, live_config

        rarity, kept = state_part(state, _RARITY), state_part(state, _NET)
        bank = net = None
        if watched.novelty:
            config = live_config(max_series)
            bank = SurpriseBank.restore(rarity) if rarity else SurpriseBank(config)
            bank = bank if bank.config == config else SurpriseBank(config)
        if watched.safety_net:
            net = SafetyNet.restore(kept, series) if kept else SafetyNet()
        return cls(series, bank, net)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays of its own."""
        rarity = {} if self._bank is None else self._bank.snapshot()
        kept = {} if self._net is None else self._net.snapshot()
        return _named(_RARITY, rarity) | _named(_NET, kept)

    def judge(self, points: "SeriesPoints", slot: npt.NDArray[np.int32]) -> dict[int, Finding]:
        """Take in the points whose number among the series is given (n,), -1 = left out; return what is found, by row.

        A row that is stuck or at its limit is told as that, however rare it is.
        """
        findings = {} if self._bank is None else _rare(self._bank, points, slot >= 0)
        return findings if self._net is None else findings | _net_findings(self._net.judge(points.value, slot, self._series))


def _rare(bank: "SurpriseBank", points: "SeriesPoints", taken: npt.NDArray[np.bool_]) -> dict[int, Finding]:
    places: IntArray = np.flatnonzero(taken)
    return {int(places[alarm.row]): Finding(alarm.text, False) for alarm in bank.alarms(points.taken(taken))}


def _net_findings(net: "NetFindings") -> dict[int, Finding]:
    from models.detectors.safety_net import AT_LIMIT

    findings: dict[int, Finding] = {}
    for row in np.flatnonzero(net.kind).tolist():
        if net.kind[row] == AT_LIMIT:
            words = f"at its hard limit: {net.bound[row]:g} or more, which it seldom was before"
        else:
            words = f"stuck: {net.run[row]} equal values in a row, at most {net.past[row]} before"
        findings[row] = Finding(words, True)
    return findings


def _named(prefix: str, state: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {f"{prefix}{name}": array for name, array in state.items()}
