"""Root cause ranking on public corpora, by the function that people see: `models.rca.explain`.

The truth is read for the figures printed at the end alone. Beside them stand the order by magnitude of metrics alone and the
loudest service, and, where asked for, the same with each kind of evidence switched off (ablation).
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import numpy as np

from models.rca.explain import ExplainConfig, RcaInputs, explain
from models.rca.posterior import EvidenceKind
from models.rca.ranking import RootCauseRanker, loudest_first
from orchestration.bench.corpora.root_cause_cases import RootCauseCase, nezha_cases, petshop_cases

REQUESTS: Final[frozenset[EvidenceKind]] = frozenset({"order", "own time", "network"})
"""Kinds of evidence that traces and logs are."""
KINDS: Final[tuple[EvidenceKind, ...]] = get_args(EvidenceKind)
_ALL: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Ranking:
    """One ranked case: as it is shown, by magnitude of metrics alone, and by the loudest service.

    `ablated`: as it is shown without some kinds of evidence. `seconds` = of the whole explanation.
    """

    case: RootCauseCase
    shown: tuple[str, ...]
    magnitude: tuple[str, ...]
    loudest: tuple[str, ...]
    ablated: tuple[tuple[str, ...], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class PartFigures:
    """Shares of cases whose root is first, and among the first three: of one part of a corpus, with some evidence."""

    part: str
    evidence: str
    cases: int
    top1: float
    top3: float


@dataclass(frozen=True, slots=True)
class RootCauseFigures:
    """Shares of cases whose root is ranked first, and among the first three, in the order that people see.

    Beside them those of the order by magnitude of metrics alone, and of the loudest service; `parts` by scenario or day.
    """

    cases: int
    top1: float
    top3: float
    magnitude_top1: float
    magnitude_top3: float
    loudest_top1: float
    loudest_top3: float
    seconds_per_case: float
    parts: tuple[PartFigures, ...]


@dataclass(frozen=True, slots=True)
class Ablation:
    """Kinds of evidence that are switched off, and how that is called."""

    name: str
    without: frozenset[EvidenceKind]


def ablations() -> tuple[Ablation, ...]:
    """Return each kind of evidence switched off, then metrics alone, and traces and logs alone."""
    each = [Ablation(f"without {kind}", frozenset({kind})) for kind in KINDS]
    return (
        *each,
        Ablation("metrics alone", REQUESTS),
        Ablation("traces and logs alone", frozenset(KINDS) - REQUESTS),
        Ablation("without traces' times", frozenset({"own time", "network"})),
    )


def bench_petshop(dataset: Path, out: Path, say: Callable[[str], None], ablate: bool = False) -> RootCauseFigures:
    """Rank every issue of every scenario below `dataset` and write one JSON object a line.

    Raises:
        SourceError: there is no scenario, or none with a time without an issue.
    """
    return _scored(petshop_cases(dataset), out, say, ablate)


def bench_nezha(root: Path, out: Path, say: Callable[[str], None], ablate: bool = False) -> RootCauseFigures:
    """Rank every fault of every day below `root` and write one JSON object a line.

    A ranking sees metrics up to 4 minutes after its fault, and the first 3 minutes of traces and logs where the day has them.

    Raises:
        SourceError: there is no day with a fault list.
    """
    return _scored(nezha_cases(root), out, say, ablate)


def _scored(cases: Iterable[RootCauseCase], out: Path, say: Callable[[str], None], ablate: bool) -> RootCauseFigures:
    switched = ablations() if ablate else ()
    rankings: list[Ranking] = []
    for case in cases:
        if rankings and case.part != rankings[-1].case.part:
            say(_ranked_words(rankings))
        rankings.append(_ranked(case, switched))
    say(_ranked_words(rankings))
    lines = [
        json.dumps({**ranking.case.about, "ranking": ranking.shown, "seconds": round(ranking.seconds, 6)}) for ranking in rankings
    ]
    out.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return RootCauseFigures(
        len(rankings),
        *_shares(rankings, [ranking.shown for ranking in rankings]),
        *_shares(rankings, [ranking.magnitude for ranking in rankings]),
        *_shares(rankings, [ranking.loudest for ranking in rankings]),
        float(np.mean([ranking.seconds for ranking in rankings])),
        _parts(rankings, switched),
    )


def _ranked_words(rankings: Sequence[Ranking]) -> str:
    part = rankings[-1].case.part
    return f"{part}: {sum(ranking.case.part == part for ranking in rankings)} cases ranked"


def _ranked(case: RootCauseCase, switched: Sequence[Ablation]) -> Ranking:
    inputs = case.inputs
    ranker = inputs.ranker or RootCauseRanker.fit(inputs.calm, inputs.graph)
    magnitude = tuple(cause.service for cause in ranker.rank(inputs.window, inputs.before, inputs.symptom))
    began = time.perf_counter()
    shown = _shown(inputs, frozenset())
    seconds = time.perf_counter() - began
    ablated = tuple(_shown(inputs, ablation.without) for ablation in switched)
    return Ranking(case, shown, magnitude, loudest_first(ranker, inputs.window), ablated, seconds)


def _shown(inputs: RcaInputs, without: frozenset[EvidenceKind]) -> tuple[str, ...]:
    """Return all candidates in the order that people see."""
    return tuple(cause.service for cause in explain(inputs, ExplainConfig(most_causes=_ALL, without=without)).causes)


def _parts(rankings: Sequence[Ranking], switched: Sequence[Ablation]) -> tuple[PartFigures, ...]:
    figures = []
    for part in dict.fromkeys(ranking.case.part for ranking in rankings):
        here = [ranking for ranking in rankings if ranking.case.part == part]
        orders = [
            ("all", [ranking.shown for ranking in here]),
            ("magnitude of metrics", [ranking.magnitude for ranking in here]),
            ("loudest service", [ranking.loudest for ranking in here]),
        ]
        orders += [(ablation.name, [ranking.ablated[number] for ranking in here]) for number, ablation in enumerate(switched)]
        figures += [PartFigures(part, name, len(here), *_shares(here, ranked)) for name, ranked in orders]
    return tuple(figures)


def _shares(rankings: Sequence[Ranking], ranked: Sequence[tuple[str, ...]]) -> tuple[float, float]:
    """Return the shares of cases with the root first, and among the first three."""
    roots = [ranking.case.root for ranking in rankings]
    return (
        float(np.mean([root in names[:1] for root, names in zip(roots, ranked, strict=True)])),
        float(np.mean([root in names[:3] for root, names in zip(roots, ranked, strict=True)])),
    )
