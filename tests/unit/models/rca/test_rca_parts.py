"""Parts of the root cause analysis: onsets, ways, aliases, changes, words, and the posterior."""

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pytest

from aiops.errors import TrainingImpossible
from aiops.incidents.root_cause import ChangeEvent
from aiops.topology.graph import ServiceGraph
from models.rca.aliases import aliases_of
from models.rca.cause_text import span
from models.rca.change_evidence import ChangeConfig, KnownChanges, no_change
from models.rca.grid import SeriesGrid
from models.rca.metric_text import amount, kind_words, words_of
from models.rca.paths import candidates, covered, ways_to
from models.rca.posterior import CROWD, CauseFeatures, PosteriorWeights, posterior
from models.rca.posterior_fit import FitConfig, PosteriorFit, TrainingCase
from models.rca.timing import NEVER, leads, onsets
from tests.testing.fakes_incidents import START

DIAMOND = ServiceGraph.from_pairs([("web", "a"), ("web", "b"), ("a", "db"), ("b", "db")])


class Run(NamedTuple):
    """So many steps of one value."""

    steps: int
    value: float


def column(*parts: Run) -> "np.typing.NDArray[np.float64]":
    return np.concatenate([np.full(steps, value) for steps, value in parts])


def test_onsets_find_steps_ramps_and_nothing() -> None:
    ramp = np.concatenate([np.zeros(5), np.linspace(0.5, 12.0, 11)])
    columns = [
        column(Run(6, 0.0), Run(10, 9.0)),
        ramp,
        column(Run(16, 1.9)),
        column(Run(16, 9.0)),
        column(Run(3, 3.0), Run(8, 0.0), Run(5, 9.0)),
    ]
    assert onsets(np.stack(columns, axis=1)).tolist() == [6, 7, NEVER, 0, 11]
    assert onsets(np.full((4, 2), np.nan)).tolist() == [NEVER, NEVER]
    assert onsets(np.empty((0, 2))).tolist() == [NEVER, NEVER]


def test_noise_that_wanders_beyond_the_usual_is_no_onset() -> None:
    assert onsets(column(Run(5, 0.0), Run(2, 3.0), Run(5, 0.0))[:, None]).tolist() == [NEVER]


def test_who_leads_the_symptom_and_who_follows_it() -> None:
    symptom = column(Run(8, 0.0), Run(8, 9.0))
    early, late = column(Run(6, 0.0), Run(10, 9.0)), column(Run(10, 0.0), Run(6, 9.0))
    lead, lag = leads(np.stack([early, late, symptom], axis=1), symptom)
    assert lag[0] == 2
    assert lead[0] == pytest.approx(1.0)
    assert lead[1] == 0.0
    assert lead[2] == pytest.approx(1.0)
    assert leads(np.ones((3, 1)), np.ones(3))[0].tolist() == [0.0]


def test_the_way_to_the_symptom_prefers_services_that_strayed() -> None:
    assert ways_to("web", DIAMOND, {"b", "db"}).path("db") == ("db", "b", "web")
    assert ways_to("web", DIAMOND, {"a", "db"}).path("db") == ("db", "a", "web")
    assert ways_to("db", DIAMOND, set()).path("web") == ("web", "a", "db")
    assert ways_to("web", DIAMOND, set()).path("stranger") == ()


def test_ways_end_in_circles_and_candidates_are_the_connected_ones() -> None:
    circle = ServiceGraph.from_pairs([("a", "b"), ("b", "c"), ("c", "a"), ("x", "y")])
    assert ways_to("a", circle, set()).path("c") == ("c", "b", "a")
    assert candidates(circle, ["a", "unknown"]) == {"a", "b", "c", "unknown"}
    assert covered(circle, ["a", "x"]) == {"a": 0.5, "b": 0.5, "c": 0.5, "x": 0.5, "y": 0.5}
    assert covered(DIAMOND, ["a", "b"])["db"] == 1.0


def mirrored(noise: float, resource: bool = False) -> SeriesGrid:
    rng = np.random.default_rng(5)
    real = 20.0 + rng.normal(0, 2, 60)
    columns = {
        ("db", "latency_p99_ms"): real,
        ("db_remote", "latency_p99_ms"): real + rng.normal(0, noise, 60),
        ("web", "latency_p99_ms"): 50.0 + rng.normal(0, 3, 60),
    }
    if resource:
        columns["db_remote", "cpu_utilization"] = np.full(60, 0.3)
    return SeriesGrid(np.arange(60, dtype=np.int64) * 60_000_000, tuple(columns), np.stack(list(columns.values()), axis=1))


def test_a_node_that_only_mirrors_its_one_callee_is_an_alias_whatever_its_name() -> None:
    graph = ServiceGraph.from_pairs([("web", "db_remote"), ("db_remote", "db")])
    assert aliases_of(mirrored(0.1), mirrored(0.1), graph) == {"db_remote": "db"}
    assert aliases_of(mirrored(0.1), mirrored(5.0), graph) == {}, "it strayed by itself"
    assert aliases_of(mirrored(0.1, resource=True), mirrored(0.1), graph) == {}, "it has resources of its own"
    two = ServiceGraph.from_pairs([("web", "db_remote"), ("db_remote", "db"), ("db_remote", "web")])
    assert aliases_of(mirrored(0.1), mirrored(0.1), two) == {}, "it calls two"


def test_a_change_speaks_the_more_the_closer_and_the_rarer_it_is() -> None:
    config, since, until = ChangeConfig(), START, START + timedelta(days=2)

    def odds(*minutes_before: int) -> float:
        onset = START + timedelta(days=1)
        changes = [ChangeEvent(str(m), onset - timedelta(minutes=m), "a", "deployment") for m in minutes_before]
        return KnownChanges.of(changes, since, until).log_odds("a", onset, config)

    assert odds(2) > odds(20) > odds(50) > no_change(config)
    assert odds(2) > odds(2, 300, 500, 700, 900, 1100)
    assert odds(300) == no_change(config)
    assert odds(-30) == no_change(config), "what comes after the onset did not cause it"


def test_amounts_have_units_and_metrics_words() -> None:
    assert [kind_words(kind) for kind in ("conn", "cpu", "own latency")] == ["connections", "CPU", "own latency"]
    assert amount("latency_p99_ms", 840.2) == "840 ms"
    assert amount("error_rate", 0.0123) == "1.2 %"
    assert amount("queue_depth", float("nan")) == "unknown"
    assert amount("heap_bytes", 0.0) == "0 B"
    assert words_of('call_source_latency_s{callee="db"}') == "call source latency to db"
    assert [span(seconds) for seconds in (60, 120, 90, 660)] == ["one minute", "two minutes", "90 seconds", "11 minutes"]


def features(count: int, **given: "np.typing.NDArray[np.float64]") -> CauseFeatures:
    nothing = {name: np.zeros(count) for name in CauseFeatures.__slots__}
    return CauseFeatures(**{**nothing, **given})


def test_more_evidence_never_lowers_a_probability() -> None:
    rng = np.random.default_rng(1)
    names = CauseFeatures.__slots__
    for name in names:
        given = {feature: rng.normal(0, 1, 6) for feature in names}
        before, none = posterior(features(6, **given))
        assert before.sum() + none == pytest.approx(1.0)
        given[name] = given[name] + np.array([0, 0, 1.0, 0, 0, 0])
        after, _ = posterior(features(6, **given))
        assert after[2] / after.sum() >= before[2] / before.sum() - 1e-12, name


def test_thousands_of_quiet_services_do_not_hide_a_loud_one() -> None:
    def loud(count: int) -> float:
        magnitude = np.zeros(count)
        magnitude[count // 2] = 10.0
        return float(posterior(features(count, magnitude=magnitude))[0].max())

    assert loud(5000) == pytest.approx(loud(2 * CROWD), abs=0.02)
    assert posterior(features(0))[1] == 1.0


def test_the_fit_finds_the_weights_that_made_the_cases() -> None:
    rng, truth = np.random.default_rng(3), PosteriorWeights(1.5, 0, 0, 0, 0, 0.8, 0, 0, 0, 0, 0, -0.5, 0.4)
    cases = []
    for _ in range(1500):
        made = features(8, magnitude=rng.exponential(1, 8), covers=rng.uniform(0, 1, 8))
        share, none = posterior(made, truth)
        root = int(rng.choice(9, p=np.append(share, none)))
        cases.append(TrainingCase(made, root if root < 8 else -1))
    fitted = PosteriorFit.of(cases, FitConfig(penalty=1e-5, rounds=300))
    assert fitted.weights.magnitude == pytest.approx(1.5, abs=0.15)
    assert fitted.weights.covers == pytest.approx(0.8, abs=0.3)
    assert fitted.weights.against_none == pytest.approx(0.4, abs=0.2)
    assert fitted == PosteriorFit.of(cases, FitConfig(penalty=1e-5, rounds=300))
    with pytest.raises(TrainingImpossible, match="0 incidents"):
        PosteriorFit.of([])
