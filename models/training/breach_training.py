"""Training of the breach forecast on the first part of each series: what comes after is there to be forecast."""

from collections.abc import Sequence

from models.breach.breach_features import Reference, reference_of
from models.breach.breach_forecast import BreachForecast, ForecastConfig, SeriesHistory, learned_limit


def fitted_rows(history: SeriesHistory, share: float) -> int:
    """Return how many rows of a series, the oldest, are fitted to."""
    return int(share * len(history.value))


def train_breach_forecast(histories: Sequence[SeriesHistory], share: float, config: ForecastConfig) -> BreachForecast:
    """Return the forecast learnt from the first `share` of the rows of each series, together over all series.

    Raises:
        TrainingImpossible: no breach follows in the first parts of all series.
    """
    rows = [fitted_rows(history, share) for history in histories]
    first = [SeriesHistory(history.value[:count], history.time_s[:count]) for history, count in zip(histories, rows, strict=True)]
    return BreachForecast.fit(first, config)


def learned_reference(history: SeriesHistory, share: float, config: ForecastConfig) -> Reference:
    """Return limit and own rates of a series, learnt from the first `share` of its rows."""
    seen = history.value[: fitted_rows(history, share)]
    return reference_of(seen, learned_limit(seen, config.quantile), config.horizon)
