"""A source that stops sending is itself an alert: learns how often each source sends, and says once that it is silent or back.

Any number of processes may watch the same sources; a restart neither repeats nor forgets what was said.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from data_contracts.values.moments import moment_of_us
from serving.ingest.silence_notices import (
    back_notice,
    feed_back_notice,
    feed_notice,
    forgotten_notice,
    outage_notice,
    outage_over_notice,
    silent_notice,
)
from serving.ingest.source_states import A_FEED, Said, Silence, SourceName, SourceState, SourceStates
from serving.stream.broker import open_streams
from serving.stream.notices import Notice
from serving.stream.streams import Streams

LOOK_S: Final = 10.0
"""How often a watch looks."""
_LATE: Final = 2.0
"""A feed that has not answered for so many of its intervals may be stopping: what is asked through it is not judged meanwhile."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchRules:
    """When a source is silent, in seconds.

    - after `intervals` of its own, and `least_s`; only once it was watched for as long.
    - more than `alone` that fall silent at once are said to be one outage, and what follows within `together_s` is part of it.
    - what stays silent is said again every `repeated_s` (correlation calls over what was not repeated for six hours), and
      forgotten after `forgotten_s`.
    - `most`: sources that are watched at most; further ones are not.
    """

    intervals: float = 5.0
    least_s: float = 60.0
    alone: int = 20
    together_s: float = 600.0
    repeated_s: float = 4 * 3600.0
    forgotten_s: float = 86_400.0
    most: int = 200_000

    def limit_s(self, state: SourceState) -> float:
        """Return after how many seconds without anything new a source is silent."""
        return max(self.least_s, self.intervals * state.interval_s)


class SourceWatch:
    """`saw` may be called from any thread, `look` from one. `clock`: s since 1970. Memory: about 400 B a source."""

    def __init__(self, broker: Streams, rules: WatchRules | None = None, clock: Callable[[], float] = time.time) -> None:
        self._states = SourceStates(broker)
        self._rules = rules or WatchRules()
        self._clock = clock
        self._sources: dict[SourceName, SourceState] = {}
        self._news: set[SourceName] = set()
        self._lock = threading.Lock()
        self._loaded = False
        self._looked_s = self._awake_s = clock()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return a watch by the settings."""
        rules = WatchRules(settings.telemetry.silent_intervals, settings.telemetry.silent_least_s)
        return cls(open_streams(settings), rules)

    def answered(self, tenant: str, feed: str) -> None:
        """Note that a server that is asked for what others say has answered, whatever it said."""
        self.saw(tenant, feed, round(self._clock() * 1e6), A_FEED)

    def saw(self, tenant: str, source: str, newest_us: int, via: str = "") -> None:
        """Note that something of a source was taken, with its newest event time; what is not newer than before says nothing.

        `via`: the feed that was asked for it.
        """
        now_s, name = self._clock(), SourceName(tenant, source)
        newest_us = min(newest_us, round(now_s * 1e6))  # a clock that runs ahead must not make all that follows old
        with self._lock:
            state = self._sources.get(name)
            if state is None:
                if len(self._sources) < self._rules.most:
                    self._sources[name] = SourceState(name, now_s, now_s, newest_us, via=via)
                    self._news.add(name)
            elif newest_us > state.newest_us:
                state.via = via
                gap_s = now_s - max(state.last_s, self._awake_s)
                state.arrived(now_s, newest_us, gap_s, self._rules.limit_s(state))
                self._news.add(name)

    def look(self) -> int:
        """Keep what was seen and say what fell silent or is back; return the notices written.

        Raises:
            Unavailable: the broker does not answer; look again.
        """
        now_s = self._clock()
        try:
            if not self._loaded or self._lacks_feeds():
                self._adopt(self._states.load())
                self._loaded = True
            self._keep_news()
        except Unavailable:
            self._awake_s = now_s  # while nothing could be taken, no source was silent
            raise
        if now_s - self._looked_s > 3 * LOOK_S:
            self._awake_s = now_s  # this process stood still
        self._looked_s = now_s
        return sum(self._of_tenant(tenant, states, now_s) for tenant, states in self._by_tenant().items())

    def run(self, stop: threading.Event) -> None:
        """Look every `LOOK_S` until stopped; a broker that does not answer is waited for."""
        while not stop.wait(LOOK_S):
            try:
                self.look()
            except Unavailable as error:
                log.warning("sources are not watched: %s", error)

    def _lacks_feeds(self) -> bool:
        """Return whether something is asked for through a feed that only others have seen so far."""
        with self._lock:
            return any(
                SourceName(name.tenant, state.via) not in self._sources
                for name, state in self._sources.items()
                if state.via and state.via != A_FEED
            )

    def _keep_news(self) -> None:
        with self._lock:
            news, self._news = self._news, set()
            states = [self._sources[name] for name in news if name in self._sources]
        try:
            newer = self._states.merge(states)
        except Unavailable:
            with self._lock:
                self._news |= news
            raise
        self._adopt(newer)

    def _adopt(self, kept: Iterable[SourceState]) -> None:
        """Take over what is kept, but for arrivals that are newer here."""
        with self._lock:
            for state in kept:
                own = self._sources.setdefault(state.name, state)
                own.silence = state.silence
                if state.via != A_FEED:
                    own.first_s = min(own.first_s, state.first_s)
                elif state.last_s > own.last_s:
                    own.first_s = state.first_s
                own.via = own.via or state.via
                own.interval_s = max(own.interval_s, state.interval_s)
                if state.last_s > own.last_s:
                    own.last_s, own.newest_us = state.last_s, max(own.newest_us, state.newest_us)

    def _by_tenant(self) -> Mapping[str, list[SourceState]]:
        by_tenant: dict[str, list[SourceState]] = defaultdict(list)
        with self._lock:
            for state in self._sources.values():
                by_tenant[state.name.tenant].append(state)
        return by_tenant

    def _of_tenant(self, tenant: str, states: Sequence[SourceState], now_s: float) -> int:
        rules = self._rules
        feeds = {state.name.source: state for state in states if state.via == A_FEED}
        said = sum(self._feed(feed, now_s) for feed in feeds.values())
        states = [state for state in states if state.via != A_FEED]
        outages: dict[int, list[SourceState]] = defaultdict(list)
        for state in states:
            if state.silence.since_us:
                outages[state.silence.outage_us].append(state)
        alone = outages.pop(0, [])
        for outage_us, members in sorted(outages.items(), key=lambda item: item[0]):
            said += self._outage(tenant, outage_us, members, now_s)
        said += sum(self._alone(state, now_s) for state in alone)
        passing = [state for state in states if self._only_passed(state, now_s)]
        if passing:
            self._say([], [Said(state, None) for state in passing])
        judged = [state for state in states if not state.silence.since_us and self._could_be_seen(state, feeds, now_s)]
        fresh = [state for state in judged if self._fell_silent(state, now_s)]
        running = [outage_us for outage_us in outages if now_s - outage_us / 1e6 < rules.together_s + rules.least_s]
        if len(fresh) > rules.alone or (fresh and running):
            return said + self._begin_outage(tenant, max(running, default=0), fresh, states)
        return said + sum(self._say([silent_notice(state, self._now())], [Said(state, self._silence(state))]) for state in fresh)

    def _could_be_seen(self, state: SourceState, feeds: Mapping[str, SourceState], now_s: float) -> bool:
        """Return whether a source would have been seen: it sends by itself, or its feed has answered for as long as it takes."""
        feed = feeds.get(state.via)
        if feed is None:
            return True
        late = now_s - feed.last_s > max(2 * LOOK_S, _LATE * feed.interval_s)
        return not feed.silence.since_us and not late and now_s - feed.first_s > self._rules.limit_s(state)

    def _feed(self, feed: SourceState, now_s: float) -> int:
        """Say that a feed does not answer, does not answer still, or does again: once for all that is asked through it."""
        since_us, forgotten = feed.silence.since_us, now_s - feed.last_s > self._rules.forgotten_s
        if since_us and (feed.is_back or forgotten):
            return self._say([feed_back_notice(feed, self._now())], [Said(feed, Silence() if feed.is_back else None)])
        again = since_us and now_s - feed.silence.said_us / 1e6 > self._rules.repeated_s
        if not again and (since_us or not self._fell_silent(feed, now_s)):
            return 0
        kept = self._states.load()  # others may have seen what was asked for through it
        tenant, asked = feed.name.tenant, (state for state in kept if state.via == feed.name.source)
        services = [state.name.source for state in asked if state.name.tenant == tenant and not state.silence.since_us]
        return self._say([feed_notice(feed, services, self._now())], [Said(feed, self._silence(feed))])

    def _fell_silent(self, state: SourceState, now_s: float) -> bool:
        limit_s = self._rules.limit_s(state)
        return state.known_for_s >= limit_s and now_s - max(state.last_s, self._awake_s) > limit_s

    def _only_passed(self, state: SourceState, now_s: float) -> bool:
        """Return whether a source came for too short a time to be expected, and has not come since."""
        expected = state.silence.since_us or state.known_for_s >= self._rules.limit_s(state)
        return not expected and now_s - state.last_s > self._rules.forgotten_s

    def _alone(self, state: SourceState, now_s: float) -> int:
        """Say that a silent source is back, is silent still, or is not waited for any longer."""
        if state.is_back:
            return self._say([back_notice(state, self._now())], [Said(state, Silence())])
        if now_s - state.last_s > self._rules.forgotten_s:
            return self._say([forgotten_notice(state, self._now())], [Said(state, None)])
        if now_s - state.silence.said_us / 1e6 > self._rules.repeated_s:
            return self._say([silent_notice(state, self._now())], [Said(state, self._silence(state))])
        return 0

    def _begin_outage(self, tenant: str, running_us: int, fresh: Sequence[SourceState], states: Sequence[SourceState]) -> int:
        """Say that many sources fell silent at once; what belongs to an outage that runs says nothing by itself."""
        outage_us = running_us or min(state.last_us for state in fresh)
        notices = [outage_notice(tenant, outage_us, fresh, self._now(), f"{len(fresh):,} of {len(states):,}")]
        said = [Said(state, self._silence(state)._replace(outage_us=outage_us)) for state in fresh]
        return self._say([] if running_us else notices, said)

    def _outage(self, tenant: str, outage_us: int, members: Sequence[SourceState], now_s: float) -> int:
        """Say that an outage is over once few of its sources are left, and those by their names; or that it goes on."""
        silent = [state for state in members if not state.is_back]
        left = [state for state in silent if now_s - state.last_s <= self._rules.forgotten_s]
        if len(left) > self._rules.alone or len(left) == len(members):
            if now_s - max(state.silence.said_us for state in members) / 1e6 <= self._rules.repeated_s:
                return 0
            notice = outage_notice(tenant, outage_us, left, self._now(), f"{len(left):,}")
            return self._say([notice], [Said(state, self._silence(state)._replace(outage_us=outage_us)) for state in left])
        over = outage_over_notice(tenant, outage_us, len(members) - len(left), self._now())
        staying, gone = {state.name for state in left}, {state.name for state in silent}
        said = [
            Said(state, self._silence(state) if state.name in staying else None if state.name in gone else Silence())
            for state in members
        ]
        return self._say([over, *(silent_notice(state, self._now()) for state in left)], said)

    def _silence(self, state: SourceState) -> Silence:
        return Silence(state.silence.since_us or state.last_us, 0, round(self._clock() * 1e6))

    def _now(self) -> datetime:
        return moment_of_us(round(self._clock() * 1e6))

    def _say(self, notices: Sequence[Notice], said: Sequence[Said]) -> int:
        """Write notices, and where nobody knew better keep what follows from them."""
        newer = self._states.say(notices, said)
        if newer:
            self._adopt(newer)
            return 0
        with self._lock:
            for state, silence in said:
                if silence is None:
                    self._sources.pop(state.name, None)
                else:
                    state.silence = silence
        for notice in notices:
            log.info("%s: %s: %s", notice.tenant, notice.name, notice.text)
        return len(notices)
