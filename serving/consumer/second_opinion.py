"""The second opinion of tier 1 beside robust z: rarity in a series' own history, hard limits, and stuck series.

It only ever raises a flag, with the reason in words; features and scores stay what they are. It sees the points that the engine
took, in order of arrival. Numba and the kernels are loaded with the first partition, not with this module.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import StateError
from aiops.types import IntArray, SeriesBatch
from serving.consumer.worst_point import Finding

if TYPE_CHECKING:
    from models.detectors.safety_net import NetFindings, SafetyNet
    from models.detectors.surprise_bank import SurpriseBank

_RARITY, _NET = "rarity/", "net/"


class SecondOpinion:
    """State of one partition; bounded by `max_series` (about 5 KB each). Not thread-safe."""

    def __init__(self, bank: "SurpriseBank", net: "SafetyNet") -> None:
        self._bank = bank
        self._net = net

    @classmethod
    def new(cls, max_series: int) -> "SecondOpinion":
        """Return one that has seen nothing."""
        from models.detectors.safety_net import SafetyNet
        from models.detectors.surprise_bank import SurpriseBank, live_config

        return cls(SurpriseBank(live_config(max_series)), SafetyNet(max_series))

    @classmethod
    def restore(cls, max_series: int, state: Mapping[str, npt.NDArray[Any]]) -> "SecondOpinion":
        """Return what `snapshot` described, a new one where there is none or it was made with another configuration.

        Raises:
            StateError: the state is damaged.
        """
        from models.detectors.safety_net import SafetyNet
        from models.detectors.surprise_bank import SurpriseBank, live_config

        if not state:
            return cls.new(max_series)
        bank = SurpriseBank.restore(_part(state, _RARITY))
        net = SafetyNet.restore(max_series, _part(state, _NET))
        return cls(bank, net) if bank.config == live_config(max_series) else cls.new(max_series)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays of its own."""
        rarity = {f"{_RARITY}{name}": array for name, array in self._bank.snapshot().items()}
        return rarity | {f"{_NET}{name}": array for name, array in self._net.snapshot().items()}

    def judge(self, rows: pa.RecordBatch, taken: npt.NDArray[np.bool_]) -> dict[int, Finding]:
        """Take in the rows (`schemas.SERIES`) that are `taken` (n,); return what is found, by row.

        A row that is stuck or at its limit is told as that, however rare it is.
        """
        places: IntArray = np.flatnonzero(taken)
        if not places.size:
            return {}
        batch = SeriesBatch(rows if places.size == rows.num_rows else rows.filter(pa.array(taken)))
        found = {int(places[alarm.row]): Finding(alarm.text, False) for alarm in self._bank.alarms(batch)}
        return found | _net_findings(self._net.judge(batch), places)


def _net_findings(net: "NetFindings", places: IntArray) -> dict[int, Finding]:
    from models.detectors.safety_net import AT_LIMIT

    found: dict[int, Finding] = {}
    for row in np.flatnonzero(net.kind).tolist():
        if net.kind[row] == AT_LIMIT:
            words = f"at its hard limit: {net.bound[row]:g} or more, which it seldom was before"
        else:
            words = f"stuck: {net.run[row]} equal values in a row, at most {net.past[row]} before"
        found[int(places[row])] = Finding(words, True)
    return found


def _part(state: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    found = {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
    if not found:
        raise StateError(f"checkpoint lacks the arrays {prefix}*; remove the checkpoint folder to warm up anew")
    return found
