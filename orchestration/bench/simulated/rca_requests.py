"""`aiops bench rca-requests`: root causes of simulated alarms with log lines and spans, on seeds that nothing was fitted to.

Loud incidents, those that no metric shows and false alarms together; beside the order of the product the same with each kind of
evidence switched off, magnitude of metrics alone, the loudest service and the one alerted first. `refit` fits the weights of
request evidence on the fit seeds, all others kept, and scores those.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, get_args

import numpy as np

from aiops.simulator.simulation_config import GRAY_KINDS
from aiops.types import FloatArray
from models.rca.change_evidence import ChangeConfig
from models.rca.posterior import FEATURES_OF, FITTED, CauseFeatures, EvidenceKind, PosteriorWeights, order_of, posterior
from models.rca.posterior_fit import FitConfig, PosteriorFit, TrainingCase
from models.rca.ranking import loudest_first
from models.rca.weighing import weigh
from orchestration.bench.simulated.request_cases import RequestCase, request_cases_of
from orchestration.bench.simulated.unseen_seeds import UnseenSeeds

FIT_SEEDS: Final = (1, 2, 3)
SEEDS: Final = 4
BINS: Final = 10
REQUEST_KINDS: Final[tuple[EvidenceKind, ...]] = ("order", "own time", "network")
REQUEST_FEATURES: Final = frozenset(name for kind in REQUEST_KINDS for name in FEATURES_OF[kind])


@dataclass(frozen=True, slots=True)
class EvidenceFigures:
    """One order of candidates: how often the root is first and among three, of loud incidents and of those in no metric.

    `ece`: calibration error of the first probability over all alarms; `none`: share of false alarms of which "none of these" is
    said to be the likeliest. Both NaN for an order without probabilities.
    """

    evidence: str
    loud_top1: float
    loud_top3: float
    gray_top1: float
    gray_top3: float
    ece: float
    none: float


@dataclass(frozen=True, slots=True)
class RequestKindFigures:
    """One kind of incident: alarms, and how often its root is first, among three, first by metrics alone, by requests alone."""

    kind: str
    alarms: int
    top1: float
    top3: float
    metrics_top1: float
    requests_top1: float


@dataclass(frozen=True, slots=True)
class RequestsFigures:
    """Figures of all orders, by kind of incident, and the weights."""

    alarms: int
    evidence: tuple[EvidenceFigures, ...]
    kinds: tuple[RequestKindFigures, ...]
    weights: PosteriorWeights


@dataclass(frozen=True, slots=True, eq=False)
class WeighedAlarm:
    """A case made ready: candidates by name, what speaks for them, and what trivial rules rank."""

    case: RequestCase
    features: CauseFeatures
    names: tuple[str, ...]
    loudest: tuple[str, ...]

    @property
    def root(self) -> int:
        """Return the place of the true root among the candidates, -1 = none of them."""
        return self.names.index(self.case.root) if self.case.root in self.names else -1


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """Of each alarm (n,): place of the root, 0 = first, inf = not there; probability of the first and of none, NaN = unknown."""

    name: str
    place: FloatArray
    first: FloatArray
    none: FloatArray


def run(config: UnseenSeeds, out: Path | None, say: Callable[[str], None]) -> RequestsFigures:
    """Score the orders; `out` takes one JSON object an alarm.

    Raises:
        ConfigurationError: a scored seed is a fit seed.
    """
    weights = fitted(weighed(FIT_SEEDS, say)) if config.refit else FITTED
    scored = weighed(range(config.first_seed, config.first_seed + config.seeds), say)
    figures = figures_of(scored, weights)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(_line(alarm, weights) for alarm in scored), encoding="utf-8")
    return figures


def weighed(seeds: Sequence[int], say: Callable[[str], None]) -> list[WeighedAlarm]:
    """Return the alarms of some seeds with what speaks for each candidate."""
    alarms = []
    for seed in seeds:
        for case in request_cases_of((seed,)):
            frame, features = weigh(case.inputs, ChangeConfig())
            alarms.append(WeighedAlarm(case, features, frame.services, loudest_first(frame.ranker, frame.window)))
        say(f"seed {seed}: {len(alarms)} alarms so far")
    return alarms


def fitted(alarms: Sequence[WeighedAlarm]) -> PosteriorWeights:
    """Return the weights with those of request evidence fitted, all others as they are."""
    kept = frozenset(field.name for field in fields(PosteriorWeights)) - REQUEST_FEATURES
    cases = [TrainingCase(alarm.features, alarm.root) for alarm in alarms]
    return PosteriorFit.of(cases, FitConfig(FITTED, kept=kept)).weights


def figures_of(scored: Sequence[WeighedAlarm], weights: PosteriorWeights) -> RequestsFigures:
    """Return the figures of every order of candidates."""
    everything: tuple[EvidenceKind, ...] = get_args(EvidenceKind)
    others = tuple(kind for kind in everything if kind not in REQUEST_KINDS)
    switched: dict[str, tuple[EvidenceKind, ...]] = {"all evidence": ()} | {f"without {kind}": (kind,) for kind in everything}
    switched |= {"metrics, changes and alerts alone": REQUEST_KINDS, "requests alone": others}
    orders = {name: _by_posterior(name, scored, weights, without) for name, without in switched.items()}
    alarms = [_figures(order, scored) for order in (*orders.values(), *_trivial(scored))]
    own, metrics, requests = (orders[name] for name in ("all evidence", "metrics, changes and alerts alone", "requests alone"))
    kinds = []
    for kind in sorted({alarm.case.kind for alarm in scored} - {"none"}):
        these = np.array([alarm.case.kind == kind for alarm in scored])
        shares = (own.place[these] < 1, own.place[these] < 3, metrics.place[these] < 1, requests.place[these] < 1)
        kinds.append(RequestKindFigures(kind, int(these.sum()), *(_mean(share) for share in shares)))
    return RequestsFigures(len(scored), tuple(alarms), tuple(kinds), weights)


def _by_posterior(
    name: str, scored: Sequence[WeighedAlarm], weights: PosteriorWeights, without: Sequence[EvidenceKind]
) -> _Order:
    answers = [posterior(alarm.features.without(without), weights) for alarm in scored]
    ranked = [_named(alarm, share) for alarm, (share, _) in zip(scored, answers, strict=True)]
    first = np.array([share.max(initial=0.0) for share, _ in answers])
    return _Order(name, _places(scored, ranked), first, np.array([none for _, none in answers]))


def _trivial(scored: Sequence[WeighedAlarm]) -> list[_Order]:
    unknown = np.full(len(scored), np.nan)
    ranked: dict[str, Sequence[Sequence[str]]] = {
        "magnitude": [_named(alarm, alarm.features.magnitude) for alarm in scored],
        "loudest service": [alarm.loudest for alarm in scored],
        "alerted first": [
            [service for _, service in sorted((at, service) for service, at in alarm.case.inputs.alerted.items())]
            for alarm in scored
        ],
    }
    return [_Order(name, _places(scored, names), unknown, unknown) for name, names in ranked.items()]


def _places(scored: Sequence[WeighedAlarm], ranked: Sequence[Sequence[str]]) -> FloatArray:
    return np.array(
        [
            names.index(alarm.case.root) if alarm.case.root in names else np.inf
            for alarm, names in zip(scored, ranked, strict=True)
        ]
    )


def _named(alarm: WeighedAlarm, shares: FloatArray) -> list[str]:
    """Return the candidates, the most probable first."""
    return [alarm.names[place] for place in order_of(shares).tolist()]


def _figures(order: _Order, scored: Sequence[WeighedAlarm]) -> EvidenceFigures:
    kinds = np.array([alarm.case.kind for alarm in scored])
    gray, false = np.isin(kinds, GRAY_KINDS), kinds == "none"
    loud = ~gray & ~false
    said = np.isfinite(order.none).any()
    none = _mean((order.none > order.first)[false]) if said else float("nan")
    place, error = order.place, _ece(order) if said else float("nan")
    loud_first, loud_three, gray_first, gray_three = (_mean(place[part] < most) for part in (loud, gray) for most in (1, 3))
    return EvidenceFigures(order.name, loud_first, loud_three, gray_first, gray_three, error, none)


def _ece(order: _Order) -> float:
    """Return the calibration error of the first probability."""
    bins, right = np.minimum((order.first * BINS).astype(np.int64), BINS - 1), order.place < 1
    parts = [bins == number for number in np.unique(bins)]
    return round(float(sum(part.sum() * abs(order.first[part].mean() - right[part].mean()) for part in parts)) / len(bins), 4)


def _line(alarm: WeighedAlarm, weights: PosteriorWeights) -> str:
    share, none = posterior(alarm.features, weights)
    causes = {alarm.names[place]: round(float(share[place]), 4) for place in order_of(share)[:5].tolist()}
    case = alarm.case
    about = {"seed": case.seed, "at": case.inputs.made_at.isoformat(), "kind": case.kind, "root": case.root}
    return json.dumps({**about, "causes": causes, "none": round(none, 4)}) + "\n"


def _mean(values: "np.typing.NDArray[np.bool_]") -> float:
    return round(float(values.mean()), 4) if values.size else float("nan")
