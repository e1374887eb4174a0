"""Explains incidents from the lake: which service began the trouble, from telemetry up to a moment and no later.

The window reaches from minutes before the first alert to the moment asked about; the minutes before it and some calm hours
are what it is compared with. The baseline is fitted once for incidents of the same services near the same time, and kept: an
incident that is explained again every half minute costs the reading of its window.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Self

from aiops.incidents.incident import Incident, worst_since
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.root_cause_question import Interval, RootCauseQuestion, alerted_in
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of, moment_of_us
from models.rca.explain import ExplainConfig, RcaInputs, WindowConfig, explain
from models.rca.grid import SeriesGrid
from models.rca.ranking import LEAST_SAMPLES, RootCauseRanker, Symptom
from models.rca.symptom import symptom_of
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.root_cause.incident_examples import examples_of
from serving.root_cause.incident_requests import IncidentRequests, ReadRequests, RequestConfig, RequestTimes
from serving.root_cause.incident_telemetry import IncidentTelemetry, TelemetryConfig, near, shared_end, without
from serving.root_cause.kept_baselines import KeptBaselines
from serving.tables.changes import changes_are_recorded, read_changes
from serving.tables.graph_store import GraphStore
from serving.tables.signal_texts import SignalTextStore

LEAST_STEPS: Final = 3
"""Steps that a window has before the first alert, and the minutes before it, however long a step."""
KEPT: Final = 4
"""Baselines kept."""
_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class AnalystConfig:
    """How much telemetry is read, where window and minutes before begin, and when a cause is named alone.

    The window ends `longest_s` after the first alert at the latest; where the worst alerts came late, it begins half of that
    before them. Changes are read from `changes_h` before it on, for how often a service changes counts.
    """

    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    windows: WindowConfig = field(default_factory=WindowConfig)
    report: ExplainConfig = field(default_factory=ExplainConfig)
    requests: RequestConfig = field(default_factory=RequestConfig)
    longest_s: float = 3600.0
    changes_h: float = 168.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the configuration that the settings ask for."""
        responder = settings.responder
        telemetry = TelemetryConfig(settings.telemetry.step_s, responder.calm_h)
        return cls(telemetry, report=ExplainConfig(least_probability=responder.least_probability))


@dataclass(frozen=True, slots=True, eq=False)
class _Baseline:
    """A calm time and the ranker fitted to it."""

    calm: SeriesGrid
    ranker: RootCauseRanker


@dataclass(frozen=True, slots=True)
class _Times:
    """When the first alert was, where the parts of an analysis begin, and where the window ends."""

    first: datetime
    before: datetime
    window: datetime
    end: datetime


class RootCauseAnalyst:
    """Explains incidents. Every method may be called from several threads."""

    def __init__(self, lake: Lake, graph_at: Callable[[datetime], ServiceGraph], config: AnalystConfig) -> None:
        self._lake = lake
        self._telemetry = IncidentTelemetry(lake, config.telemetry)
        self._requests = IncidentRequests(lake, config.requests)
        self._graph_at = graph_at
        self._config = config
        self._kept = KeptBaselines[_Baseline](KEPT)

    @classmethod
    def of(cls, settings: Settings, tenant: str) -> Self:
        """Return the analyst of a tenant's lake and call graph below the home of the settings."""
        lake = open_lake(settings).for_tenant(tenant)
        return cls(lake, partial(graph_at, GraphStore(lake)), AnalystConfig.of(settings))

    def explain(
        self, incident: Incident, at: datetime, priors: Mapping[str, float], masked: Iterable[Interval] = ()
    ) -> RootCauseReport:
        """Return why an incident came about, as far as telemetry up to `at` tells.

        `priors`: log odds that past verdicts give a service; `masked`: other incidents, whose time does not count as calm.

        Raises:
            StateError: the lake is damaged.
        """
        return self.answer(RootCauseQuestion(alerted_in(incident, at), at, "", priors, tuple(masked), worst_since(incident, at)))

    def answer(self, question: RootCauseQuestion) -> RootCauseReport:
        """Return the report on a question; undecided, with the reason, where telemetry does not suffice.

        Raises:
            StateError: the lake is damaged.
        """
        graph = self._graph_at(question.at)
        times = self._times(question)
        services = near(graph, tuple(question.alerted), self._config.telemetry.most_services)
        telemetry = self._telemetry.between(times.before, times.end, services)
        cut = microseconds_of(times.window)
        window, before = telemetry.between(cut, microseconds_of(times.end) + 1), telemetry.between(0, cut)
        if not window.time_us.size:
            return self._undecided(question, times, "no telemetry of {services} between {start} and {end} is in the lake")
        baseline = self._baseline(graph, services, times.before, question.masked)
        if baseline is None:
            lacking = f"fewer than {LEAST_SAMPLES} steps of telemetry before {{start}} are in the lake: there is no baseline"
            return self._undecided(question, times, lacking)
        symptom = self._symptom(question, window, baseline.ranker, graph)
        inputs = RcaInputs(question.at, window, baseline.calm, graph, before, question.alerted, symptom)
        since = times.window - timedelta(hours=self._config.changes_h)
        changes = read_changes(self._lake, services, since, question.at)
        inputs = replace(inputs, changes=changes, changes_recorded=changes_are_recorded(self._lake, question.at))
        asked = RequestTimes(times.first, times.end, question.at, times.window)
        read = self._requests.around(asked, services, tuple(question.masked))
        requests = None if read is None else read.requests()
        texts = SignalTextStore(self._lake).texts(window.series, question.at)
        inputs = replace(inputs, priors=question.priors, ranker=baseline.ranker, requests=requests, texts=texts)
        report = explain(inputs, self._config.report)
        return self._with_examples(self._with_delay(report, times.end), read)

    def figure(self, incident: Incident | None, report: RootCauseReport) -> bytes:
        """Return the evidence of a report's first cause as SVG, from the lake: small multiples along its path to the symptom.

        Raises:
            StateError: the lake is damaged.
        """
        from models.rca.evidence_figure import baseline_bounds, evidence_figure

        del incident  # a report names all that is drawn
        services = tuple(dict.fromkeys(name for cause in report.causes[:1] for name in (cause.service, *cause.path)))
        before = report.window_start - timedelta(seconds=self._config.windows.before_s)
        end = min(report.made_at, report.window_end + self._step - _MOMENT)  # the last step whole, nothing after the analysis
        grid = self._telemetry.between(before, end, services)
        calm = self._telemetry.calm(shared_end(before), services)
        bounds = baseline_bounds(RootCauseRanker.fit(calm, self._graph_at(report.made_at))) if calm.time_us.size else {}
        return evidence_figure(report, grid, bounds)

    @property
    def _step(self) -> timedelta:
        return timedelta(seconds=self._config.telemetry.step_s)

    def _times(self, question: RootCauseQuestion) -> _Times:
        config = self._config
        least_s = LEAST_STEPS * config.telemetry.step_s
        longest = timedelta(seconds=max(config.longest_s, least_s))
        first = min([question.at, *question.alerted.values()])
        if question.worst_at is not None:
            first = max(first, question.worst_at - longest / 2)  # the window reaches beyond what was only foreseen
        window = first - timedelta(seconds=max(config.windows.lead_s, least_s))
        before = window - timedelta(seconds=max(config.windows.before_s, least_s))
        return _Times(first, before, window, min(question.at, first + longest))

    def _symptom(
        self, question: RootCauseQuestion, window: SeriesGrid, ranker: RootCauseRanker, graph: ServiceGraph
    ) -> Symptom | None:
        alerted = {question.symptom: question.at} if question.symptom else question.alerted
        return symptom_of(window, ranker, graph, alerted)

    def _baseline(
        self, graph: ServiceGraph, services: tuple[str, ...], before: datetime, masked: tuple[Interval, ...]
    ) -> _Baseline | None:
        """Return the baseline before a time, kept from an earlier call where it is the same; None where too little is known."""
        for end in dict.fromkeys((shared_end(before), before)):
            inside = self._telemetry.masks_before(end, masked)
            key = (end, frozenset(services), inside)
            kept = self._kept.get(key)
            if kept is not None and kept.ranker.graph == graph:
                return kept
            grid = without(self._telemetry.calm(end, services), inside)
            if grid.time_us.size >= LEAST_SAMPLES:
                made = _Baseline(grid, RootCauseRanker.fit(grid, graph))
                if end - moment_of_us(int(grid.time_us[-1])) <= 2 * self._step:
                    self._kept.keep(key, made)  # else rows may still be on their way
                return made
        return None

    def _with_examples(self, report: RootCauseReport, read: ReadRequests | None) -> RootCauseReport:
        """Return the report with example traces of the first cause, where spans were read."""
        if read is None:
            return report
        suspect = report.causes[0].service if report.causes else report.symptom
        return replace(report, examples=examples_of(self._lake, read.spans, suspect, report.made_at))

    def _with_delay(self, report: RootCauseReport, end: datetime) -> RootCauseReport:
        """Return the report with a word on telemetry that has not arrived by the end of its window."""
        missing_s = (end - report.window_end).total_seconds()
        if missing_s < 2 * self._config.telemetry.step_s:
            return report
        word = f"telemetry after {_clock(report.window_end)}, which was not in the lake yet ({missing_s:.0f} s are missing)"
        return replace(report, would_decide=(*report.would_decide, word))

    def _undecided(self, question: RootCauseQuestion, times: _Times, why: str) -> RootCauseReport:
        first = min(question.alerted, key=lambda name: (question.alerted[name], name), default="")
        names = ", ".join(sorted(question.alerted)[:5]) or "no service"
        statement = why.format(services=names, start=_clock(times.window), end=_clock(times.end))
        wanted = "telemetry of these services in the lake: do a source and the archiver run, and are the names the same?"
        symptom = question.symptom or first
        return RootCauseReport(question.at, times.window, times.window, symptom, (), False, statement, (wanted,))


def graph_at(store: GraphStore, at: datetime) -> ServiceGraph:
    """Return the call graph of a moment, learned calls included; the present one where none was known yet.

    Raises:
        StateError: the lake is damaged.
    """
    then = store.graph(at, learned=True)
    return then if then.services else store.graph(learned=True)


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
