"""What a watch says of sources that fall silent, in words."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from data_contracts.values.moments import moment_of_us
from serving.ingest.source_states import SourceState
from serving.stream.notices import Notice

ALONE: Final = "source is silent"
TOGETHER: Final = "sources are silent"
FEED: Final = "source does not answer"
"""Names of the alerts."""
TELEMETRY: Final = "telemetry"
"""The service of which many sources together are said to be silent."""
_NAMED: Final = 3
_LISTED: Final = 50
_MOMENT: Final = "%Y-%m-%d %H:%M:%S"


def silent_notice(state: SourceState, now: datetime) -> Notice:
    """Return that a source is silent, since when, and how often it used to send."""
    since, source = moment_of_us(state.silence.since_us or state.last_us), state.name.source
    text = (
        f"{source} has sent nothing new since {since:{_MOMENT}} UTC (newest point of {moment_of_us(state.newest_us):%H:%M:%S}); "
        f"before, something came every {_seconds(state.interval_s)}. Look at the service, at what scrapes it and at what sends it"
    )
    return Notice(state.name.tenant, source, ALONE, text, now, since, severity="critical")


def back_notice(state: SourceState, now: datetime) -> Notice:
    """Return that a silent source sends again."""
    since, ends = moment_of_us(state.silence.since_us), moment_of_us(state.last_us)
    text = f"{state.name.source} sends again; it was silent for {_seconds((ends - since).total_seconds())}"
    return Notice(state.name.tenant, state.name.source, ALONE, text, now, since, ends, "critical")


def forgotten_notice(state: SourceState, now: datetime) -> Notice:
    """Return that a silent source is not waited for any longer."""
    since = moment_of_us(state.silence.since_us)
    text = f"{state.name.source} was silent for {_seconds((now - since).total_seconds())} and is not waited for any longer"
    return Notice(state.name.tenant, state.name.source, ALONE, text, now, since, now, "critical")


def outage_notice(tenant: str, outage_us: int, members: Sequence[SourceState], now: datetime, how_many: str) -> Notice:
    """Return that many sources fell silent at about the same time, `outage_us` since 1970."""
    since = moment_of_us(outage_us)
    named = ", ".join(sorted(state.name.source for state in members)[:_NAMED])
    text = (
        f"{how_many} sources have sent nothing new since {since:{_MOMENT}} UTC or soon after, such as {named}. "
        "Look at what they share: the sender, its network, its credentials"
    )
    return Notice(tenant, TELEMETRY, TOGETHER, text, now, since, severity="critical", subject=_subject(since))


def outage_over_notice(tenant: str, outage_us: int, back: int, now: datetime) -> Notice:
    """Return that most sources of an outage are back."""
    since = moment_of_us(outage_us)
    text = f"{back:,} of the sources that were silent since {since:{_MOMENT}} UTC send again, or are not waited for any longer"
    return Notice(tenant, TELEMETRY, TOGETHER, text, now, since, now, "critical", _subject(since))


def feed_notice(state: SourceState, services: Sequence[str], now: datetime) -> Notice:
    """Return that a server that is asked stopped answering, and which services are not seen meanwhile."""
    since = moment_of_us(state.silence.since_us or state.last_us)
    text = (
        f"source {state.name.source} stopped answering since {since:{_MOMENT}} UTC; {_listed(services)} not seen meanwhile. "
        "Look at that server, its network, its credentials, and at the process that asks it"
    )
    return Notice(state.name.tenant, TELEMETRY, FEED, text, now, since, severity="critical", subject=state.name.source)


def feed_back_notice(state: SourceState, now: datetime) -> Notice:
    """Return that a server that was asked in vain answers again, or is not waited for any longer."""
    since, ends = moment_of_us(state.silence.since_us), moment_of_us(state.last_us) if state.is_back else now
    said = "answers again; it did not" if state.is_back else "is not waited for any longer; it has not answered"
    text = f"source {state.name.source} {said} for {_seconds((ends - since).total_seconds())}"
    return Notice(state.name.tenant, TELEMETRY, FEED, text, now, since, ends, "critical", state.name.source)


def _listed(services: Sequence[str]) -> str:
    names, more = sorted(services)[:_LISTED], len(services) - _LISTED
    listed = ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
    if not names:
        return "no service is"
    return f"1 service is ({listed})" if len(services) == 1 else f"{len(services):,} services are ({listed})"


def _subject(since: datetime) -> str:
    return f"since {since:{_MOMENT}}"


def _seconds(seconds: float) -> str:
    """Return a duration in words.

    >>> _seconds(15.0), _seconds(0.25), _seconds(7200.0)
    ('15 s', '0.2 s', '2:00:00')
    """
    return f"{seconds:.1g} s" if seconds < 1 else f"{seconds:.0f} s" if seconds < 3600 else str(timedelta(seconds=round(seconds)))
