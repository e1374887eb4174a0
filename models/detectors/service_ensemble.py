"""Tier 3, the ensemble: members look at the same service in different ways, their evidence makes one calibrated confidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, cast

import numpy as np
import numpy.typing as npt

from aiops.errors import ArtifactError
from aiops.ports import VectorModel
from aiops.types import FloatArray, State
from models.artifacts.artifact import array_names, names_array, state_array
from models.artifacts.catalog import FittedModel, member_name, model_class
from models.detectors.evidence import Combination, EmpiricalTail, shares_of


class RankedModel(VectorModel, FittedModel, Protocol):
    """A vector model of the catalog that also says how strange rows are in a unit of its own."""

    def raw_score(self, rows: FloatArray) -> FloatArray:
        """Return (n,), higher = stranger, NaN = it abstains."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """A fitted model, and how rare its raw scores are among calibration rows of normal time."""

    model: RankedModel
    tail: EmpiricalTail

    @property
    def name(self) -> str:
        """Return its short name."""
        return member_name(self.model.catalog_name)


@dataclass(frozen=True, slots=True)
class ServiceEnsemble:
    """Fitted members and their combination; output "score" = P(anomalous) in 0..1, calibrated where `combination.fitted`.

    A member abstains where it knows nothing; its weight goes to the others. Immutable, safe in several threads.
    """

    catalog_name: ClassVar[str] = "service-ensemble"

    features: tuple[str, ...]
    members: tuple[Member, ...]
    combination: Combination
    thresholds: FloatArray

    @classmethod
    def of(cls, members: Sequence[Member], combination: Combination) -> "ServiceEnsemble":
        """Return the ensemble with the threshold 0.5; its features are the members', each once, in their order."""
        names = dict.fromkeys(name for member in members for name in member.model.features)
        return cls(tuple(names), tuple(members), combination, np.array([0.5]))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return ("score",)."""
        return ("score",)

    @property
    def member_names(self) -> tuple[str, ...]:
        """Return the members' short names, in order."""
        return tuple(member.name for member in self.members)

    def with_thresholds(self, thresholds: FloatArray) -> "ServiceEnsemble":
        """Return the same ensemble with other thresholds (1,)."""
        return replace(self, thresholds=thresholds)

    def evidence(self, rows: FloatArray) -> FloatArray:
        """Return (n, members) evidence in nats, NaN where a member abstains."""
        columns = [member.tail(member.model.raw_score(rows[:, places])) for member, places in self._placed()]
        return np.stack(columns, axis=1)

    def score(self, rows: FloatArray) -> FloatArray:
        """Return (n, 1) in 0..1; NaN or infinite = unknown; a row on which every member abstains gives NaN."""
        return self.combination.confidence(self.evidence(rows)).reshape(-1, 1)

    def score_and_shares(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return scores (n, 1) and shares (n, members): each member's part of the evidence, NaN where it abstains."""
        evidence = self.evidence(rows)
        return self.combination.confidence(evidence).reshape(-1, 1), shares_of(self.combination.parts(evidence))

    def shares(self, rows: FloatArray) -> FloatArray:
        """Return (n, members) each member's share of the evidence, adding up to 1; NaN where it abstains."""
        return self.score_and_shares(rows)[1]

    def explain(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(features)) contributions to the log odds; positive = stranger.

        What a member adds is spread over its features as its own explanation does, raising ones only. A row's contributions add
        up to its log odds - `base()`; rows on which every member abstains give NaN.
        """
        parts = self.combination.parts(self.evidence(rows))
        total = np.zeros(rows.shape)
        for number, (member, places) in enumerate(self._placed()):
            given = np.where(np.isfinite(parts[:, number]), parts[:, number], 0.0)
            total[:, places] += _spread(member.model.explain(rows[:, places]), given)
        total[~np.isfinite(parts).any(axis=1)] = np.nan
        return total

    def base(self) -> float:
        """Return the log odds of a row without any evidence."""
        return self.combination.intercept

    def state(self) -> State:
        """Return the members' states under `<name>_`, their tails, the combination and the thresholds."""
        state: dict[str, npt.NDArray[np.generic]] = {
            "members": names_array(tuple(member.model.catalog_name for member in self.members)),
            "weights": self.combination.weights,
            "intercept": np.array([self.combination.intercept, float(self.combination.fitted)]),
            "thresholds": self.thresholds,
        }
        for member in self.members:
            state |= {f"{member.name}_{name}": array for name, array in member.model.state().items()}
            tail = member.tail
            state |= {f"tail_{member.name}_raw": tail.raw, f"tail_{member.name}_nats": tail.nats}
            state[f"tail_{member.name}_rate"] = np.array([tail.rate])
        return state

    @classmethod
    def from_state(cls, state: State) -> "ServiceEnsemble":
        """Return the ensemble of a state.

        Raises:
            ArtifactError: an array is missing or does not fit, or a member is not in the catalog.
        """
        names = array_names(state_array(state, "members"))
        weights, thresholds = state_array(state, "weights"), state_array(state, "thresholds")
        if not names or weights.shape != (len(names),) or thresholds.shape != (1,):
            raise ArtifactError(f"weights {weights.shape} do not fit the members {names}; save the model again")
        intercept, fitted = state_array(state, "intercept").tolist()
        members = [_member(name, state) for name in names]
        return cls.of(members, Combination(weights, intercept, bool(fitted))).with_thresholds(thresholds)

    def _placed(self) -> "list[tuple[Member, npt.NDArray[np.int64]]]":
        """Return the members with the places of their features among the ensemble's."""
        place = {name: number for number, name in enumerate(self.features)}
        return [(member, np.array([place[name] for name in member.model.features])) for member in self.members]


def _member(name: str, state: State) -> Member:
    short = member_name(name)
    own = {key.removeprefix(f"{short}_"): array for key, array in state.items() if key.startswith(f"{short}_")}
    model = cast(RankedModel, model_class(name).from_state(own))
    raw, nats, rate = (state_array(state, f"tail_{short}_{part}") for part in ("raw", "nats", "rate"))
    if raw.shape != nats.shape or raw.ndim != 1 or not raw.size:
        raise ArtifactError(f"tail of {short}: {raw.shape} raw scores for {nats.shape} of evidence; save the model again")
    return Member(model, EmpiricalTail(raw, nats, float(rate[0])))


def _spread(explained: FloatArray, given: FloatArray) -> FloatArray:
    """Return (n, features) `given` (n,) split as the raising part of `explained`; evenly where nothing raises."""
    raising = np.where(np.isfinite(explained), np.maximum(explained, 0.0), 0.0)
    total = raising.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total[:, None] > 0.0, raising / total[:, None], 1.0 / max(1, explained.shape[1]))
    return np.asarray(share * given[:, None])
