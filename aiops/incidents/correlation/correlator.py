"""Alerts → incidents: repetitions counted, planned work silenced, the rest grouped by time and call graph, pages limited.

Alerts wait `settle_s` and are then taken in the order of their times, so the order in which they arrived does not matter, and
neither does how often `advance` is called. What has to happen as time passes happens at fixed ticks of that same time.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Self

from aiops.errors import ContractError, StateError
from aiops.incidents.alert import Alert
from aiops.incidents.correlation.board import VERSION, Board, OpenIncident, age, check_version, of_plain, plain
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.firing import FOLLOWED, Ends
from aiops.incidents.correlation.grouping import Grouping, loose
from aiops.incidents.correlation.outcome import Fate, FateKind, Outcome, Page
from aiops.incidents.correlation.paging import HeldNotes, Paging, SettledPages, held, held_back
from aiops.incidents.correlation.rate import SECOND_US, MinuteRate, StormBreaker
from aiops.incidents.correlation.settling import Settling, Times
from aiops.incidents.correlation.suppression import Suppression
from aiops.incidents.incident import NEXT_STATES, Incident, IncidentState
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of, moment_of_us

TICK_US: Final = 10 * SECOND_US


class Correlator:
    """All open incidents of a system. Memory: open incidents and alerts that settle, both bounded by rate. Not thread-safe."""

    def __init__(
        self, graph: ServiceGraph, config: CorrelationConfig | None = None, suppression: Suppression | None = None
    ) -> None:
        self._config = config or CorrelationConfig()
        self._suppression = suppression or Suppression()
        self._board = Board(self._config.most_alerts)
        self._grouping = Grouping(graph, self._config, self._board)
        self._storm, self._new = StormBreaker(self._config.storm_per_min), MinuteRate()
        self._paging = Paging(self._config)
        self._ends, self._settled, self._held_notes = Ends(), SettledPages(), HeldNotes()
        self._settling = Settling()
        self._now_us = self._next_tick_us = 0
        self._loose: set[str] = set()
        self._changed: dict[str, OpenIncident] = {}
        self._fates: list[Fate] = []
        self._sent: list[Page] = []

    def add(self, alerts: Iterable[Alert]) -> None:
        """Take in alerts in any order; they count once they have settled."""
        self._settling.add(alerts)

    def advance(self, now: datetime) -> Outcome:
        """Take all alerts up to `settle_s` ago in order of time and return what changed; `now` must not go back.

        Alerts that come later than that are taken as of now, and counted as late. O(alerts log alerts).
        """
        until_us = max(self._now_us, microseconds_of(now) - round(self._config.settle_s * SECOND_US))
        times = Times(self._now_us, until_us, microseconds_of(now))
        for at_us, alert in self._settling.due(times, lambda waiting: self._board.holding(waiting.fingerprint) is not None):
            self._pass(at_us)
            self._fates.append(self._taken(alert, at_us))
        self._pass(until_us)
        return self._outcome(until_us)

    def change(self, incident_id: str, state: IncidentState, at: datetime, by: str) -> Incident:
        """Change an open incident's state by a person's word (acknowledged, mitigated, resolved) and return it.

        Raises:
            ContractError: no such incident is open, or the state cannot follow.
        """
        incident = self._board.known(incident_id)
        if state is IncidentState.MERGED:
            raise ContractError(f"incident_id={incident_id!r}: state=merged needs another incident to go on in; use merge")
        incident.move(state, microseconds_of(at), f"{state} by {by}", by)
        self._touch(incident)
        if state is IncidentState.RESOLVED:
            self._close(incident)
        return incident.as_incident()

    def remark(self, incident_id: str, at: datetime, what: str, by: str, state: IncidentState | None = None) -> Incident:
        """Add to the timeline of an open incident, which goes into a state where it may; ContractError where it is not open."""
        incident = self._board.known(incident_id)
        if state is not None and state in NEXT_STATES[incident.state]:
            incident.move(state, microseconds_of(at), what, by)
        else:
            incident.note(microseconds_of(at), what, by)
        self._touch(incident)
        return incident.as_incident()

    def merge(self, into: str, other: str, at: datetime, by: str) -> Incident:
        """Merge an incident into another by a person's word (a duplicate) and return the one that goes on.

        Mitigated, it opens again with what is open; a page that the other one waits for is its own from now on.

        Raises:
            ContractError: one of them is not open, or both are the same.
        """
        home, double = self._board.known(into), self._board.known(other)
        if home is double:
            raise ContractError(f"incident_id={other!r} cannot be merged into itself; name the one that it repeats")
        home.note(microseconds_of(at), f"{other} is a duplicate", by)
        if (home.state, double.state) == (IncidentState.MITIGATED, IncidentState.OPEN):
            home.move(IncidentState.OPEN, microseconds_of(at), f"{other} is not over")
        self._board.merge(home, double, microseconds_of(at))
        self._touch(home, double)
        self._page(home, self._now_us)
        return home.as_incident()

    def teach(self, service: str, other: str, together: bool) -> None:
        """Take a person's word that alerts of two services belong together, or do not."""
        self._grouping.closeness.teach(service, other, together)
        self._loose |= loose(self._board.incidents.values())

    def retaught(self, judgements: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Replace all that people said of pairs of services (together, apart); incidents that it takes apart split."""
        self._grouping.closeness.retaught(judgements)
        self._loose |= loose(self._board.incidents.values())

    def regraph(self, graph: ServiceGraph) -> None:
        """Go on with another call graph; incidents that it takes apart split at the next tick."""
        self._grouping.closeness.regraph(graph)
        self._loose |= loose(self._board.incidents.values())

    def suppress(self, suppression: Suppression) -> None:
        """Replace all maintenance windows and silences; open incidents stay."""
        self._suppression = suppression

    def open_incidents(self) -> tuple[Incident, ...]:
        """Return all open incidents, the oldest first."""
        return tuple(incident.as_incident() for incident in sorted(self._board.incidents.values(), key=age))

    def _pass(self, at_us: int) -> None:
        """Let time pass up to a moment: every tick on the way, as far as there is anything to do."""
        while min(self._next_tick_us, self._settled.next_us) <= at_us:
            if self._settled.next_us <= self._next_tick_us:
                due_us, incident_id = self._settled.pop()
                incident = self._board.incidents.get(incident_id)
                if incident is not None and incident.page_due_us == due_us:
                    self._page(incident, due_us)
            elif self._board.incidents or self._storm.active or self._held_notes.open:
                self._tick(self._next_tick_us)
                self._next_tick_us += TICK_US
            else:
                self._next_tick_us = (at_us // TICK_US + 1) * TICK_US
        self._now_us = max(self._now_us, at_us)

    def _tick(self, at_us: int) -> None:
        self._storm.tick(at_us)
        quiet_us, firing_us = (round(seconds * SECOND_US) for seconds in (self._config.quiet_s, self._config.firing_s))
        for incident in list(self._board.incidents.values()):
            if incident.silent(at_us, quiet_us, firing_us):
                incident.move(IncidentState.RESOLVED, at_us, f"no alert for {self._config.quiet_s:.0f} s")
                self._close(incident)
        if not self._storm.active:
            self._split_loose(at_us)
        for incident in held(self._board.incidents.values()):
            self._page(incident, at_us)
        self._held_notes.note(held(self._board.incidents.values()), at_us)

    def _split_loose(self, at_us: int) -> None:
        for incident, new in self._grouping.split(sorted(self._loose), at_us):
            self._touch(incident, new)
            self._page(new, at_us)
        self._loose.clear()

    def _taken(self, alert: Alert, at_us: int) -> Fate:
        """Return what becomes of one alert."""
        home = self._board.holding(alert.fingerprint)
        if alert.ends_at is not None:
            self._ends.note(alert)
        if alert.ends_at is not None and home is not None:  # also in a silence: an end is no noise
            return self._ended(alert, home, at_us)
        suppressed = self._suppression.reason(alert, moment_of_us(at_us)) or self._ends.ended_before(alert)
        if suppressed is not None:
            return Fate(alert.alert_id, alert.fingerprint, "", suppressed.kind, suppressed.detail)
        self._storm.add(at_us)
        if home is not None:
            kind = FateKind.REPEATED
        else:
            self._new.add(at_us)
            home, kind = self._home(alert, at_us)
        self._board.file(home, alert, at_us)
        if home.state is IncidentState.MITIGATED:
            home.move(IncidentState.OPEN, at_us, f"{alert.service} {alert.name} fires again")
        self._touch(home)
        self._page(home, at_us)
        return Fate(alert.alert_id, alert.fingerprint, home.incident_id, kind)

    def _home(self, alert: Alert, at_us: int) -> tuple[OpenIncident, FateKind]:
        """Return the incident that takes in a new alert, merged from all that the alert shows to be one, and why."""
        rate = self._new.per_minute(at_us)
        storm = self._storm.active
        related = (self._grouping.component if storm else self._grouping.related)(alert, at_us, rate)
        if not related:
            if not storm:
                far = self._grouping.far_and_young(alert.service, at_us, rate)
                self._grouping.closeness.began(alert.service, far)
            self._make_room(at_us)
            home = self._board.open(alert, at_us)
            opened = f"{alert.service} {alert.name}: {alert.severity.name.lower()}"
            home.note(at_us, opened, became=IncidentState.OPEN)
        else:
            home = min(related, key=age)
            for other in related:
                if other is not home:
                    self._board.merge(home, other, at_us)
                    self._touch(other)
        home.storm = home.storm or storm
        return home, FateKind.OPENED if not related else FateKind.STORM if storm else FateKind.JOINED

    def _ended(self, alert: Alert, home: OpenIncident, at_us: int) -> Fate:
        if not home.entries[alert.fingerprint].ends(alert, at_us):
            return Fate(alert.alert_id, alert.fingerprint, "", FateKind.ENDED, FOLLOWED)
        home.alert_count += 1
        home.last_us = max(home.last_us, at_us)
        self._touch(home)
        self._loose |= loose((home,))
        home.calm_down(at_us)
        return Fate(alert.alert_id, alert.fingerprint, home.incident_id, FateKind.ENDED)

    def _page(self, incident: OpenIncident, at_us: int) -> None:
        """Send a page for an incident where one is due and the budget lets it go."""
        held_us = incident.held_us
        if self._paging.waits(incident, at_us):
            self._settled.push(incident)
            return
        page = self._paging.page(incident, at_us, self._storm.active)
        self._sent += [page] if page is not None else []
        if page is not None or incident.held_us != held_us:
            self._touch(incident)

    def _make_room(self, at_us: int) -> None:
        """Resolve the incident that has been quiet longest where there are too many."""
        if len(self._board.incidents) >= self._config.most_open:
            oldest = self._board.longest_quiet()
            oldest.move(IncidentState.RESOLVED, at_us, f"quiet longest of {self._config.most_open} open incidents")
            self._close(oldest)

    def _close(self, incident: OpenIncident) -> None:
        self._touch(incident)
        self._board.remove(incident)
        if not incident.storm:
            self._grouping.closeness.learn(tuple(incident.services))

    def _touch(self, *incidents: OpenIncident) -> None:
        self._changed |= {incident.incident_id: incident for incident in incidents}

    @property
    def pages_waiting(self) -> int:
        """Return how many first pages wait for what else fires."""
        return len(self._settled)

    def _outcome(self, at_us: int) -> Outcome:
        incidents = tuple(incident.as_incident() for incident in sorted(self._changed.values(), key=age))
        storm = self._storm.figures(at_us)
        figures = (held_back(self._board.incidents.values()), storm, self._settling.late, self._held_notes.taken())
        outcome = Outcome(tuple(self._fates), incidents, tuple(self._sent), *figures)
        self._fates, self._sent, self._changed = [], [], {}
        return outcome

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain data (numbers, texts, lists, dicts); take it between two calls of `advance`."""
        return {
            "version": VERSION,
            "settling": self._settling.snapshot(),
            "clock": [self._now_us, self._next_tick_us, self._settling.late],
            "storm": self._storm.snapshot(),
            "new": self._new.snapshot(),
            "pages": self._paging.limit.snapshot(),
            "closeness": self._grouping.closeness.snapshot(),
            "incidents": [plain(incident) for incident in self._board.incidents.values()],
            "loose": sorted(self._loose),
            "ends": self._ends.snapshot(),
            "held_notes": self._held_notes.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Go on from a snapshot, in a correlator made with the same graph, settings and suppression; return it.

        Raises:
            StateError: the snapshot is of another version, or damaged.
        """
        check_version(state)
        try:
            self._now_us, self._next_tick_us, late = state["clock"]
            self._settling.restore(state["settling"], late)
            self._storm.restore(state["storm"])
            self._new.restore(state["new"])
            self._paging.limit.restore(state["pages"])
            self._grouping.closeness.restore(state["closeness"])
            for fields in state["incidents"]:
                self._board.put(of_plain(fields))
            self._loose = set(state["loose"])
            self._ends.restore(state.get("ends", []))
            self._held_notes.restore(state.get("held_notes", [0, 0]))
            self._settled.restore(self._board.incidents.values(), self._now_us)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"correlation snapshot: damaged ({error!r}); restore an older one") from error
        return self
