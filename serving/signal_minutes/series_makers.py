"""What makes series of log records and of spans, by the settings; nothing of it is imported before the first of them comes."""

from typing import TYPE_CHECKING

from aiops.types import State
from serving.signal_minutes.minute_series import Makers, MinuteSeries, RequestMaker, SeriesMaker
from serving.signal_minutes.request_series import RequestsOfSignals
from serving.stream import streams

if TYPE_CHECKING:
    from aiops.settings.signal_settings import SignalSettings


def makers_of(settings: "SignalSettings") -> Makers:
    """Return how the series of each kind of signal are made."""
    of_kind = {
        streams.KIND_LOGS: _of_logs(settings.max_series, settings.requests),
        streams.KIND_SPANS: _of_spans(settings.max_series),
    }
    return Makers(of_kind, RequestMaker(RequestsOfSignals, RequestsOfSignals.restore) if settings.requests else None)


def _of_logs(most_series: int, traced: bool) -> SeriesMaker:
    def new() -> MinuteSeries:
        from aiops.signals.log_minutes import LogMinutes, LogMinutesConfig

        return LogMinutes(LogMinutesConfig(most_series=most_series, traced=traced))

    def restore(state: State) -> MinuteSeries:
        from aiops.signals.log_minutes import LogMinutes, LogMinutesConfig

        return LogMinutes.restore(LogMinutesConfig(most_series=most_series, traced=traced), state)

    return SeriesMaker("logs", new, restore)


def _of_spans(most_series: int) -> SeriesMaker:
    def new() -> MinuteSeries:
        from aiops.signals.edge_minutes import EdgeMinutes, EdgeMinutesConfig

        return EdgeMinutes(EdgeMinutesConfig(most_series=most_series))

    def restore(state: State) -> MinuteSeries:
        from aiops.signals.edge_minutes import EdgeMinutes, EdgeMinutesConfig

        return EdgeMinutes.restore(EdgeMinutesConfig(most_series=most_series), state)

    return SeriesMaker("spans", new, restore)
