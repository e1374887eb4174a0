"""Which series other models than the seasonal profile are tried on, and what came of it: bounded in series and in seconds."""

from collections.abc import Mapping, Sequence

from aiops.detection.routing import matches
from aiops.features.bands import ESTABLISHED, SeriesBands
from aiops.settings.setting_parts import setting_parts
from aiops.settings.tree import Settings
from data_contracts.schemas.metrics import nature_of
from data_contracts.series.series_name import SeriesName
from models.season.arima_courses import ArimaCourse, MstlCourse
from models.season.prophet_bands import ProphetConfig, ProphetCourse
from models.season.rolling_origin import CourseModel
from models.season.seasonal_choice import Choice, FitBudget, choose_beside
from models.season.seasonal_profile import SeasonConfig, SeriesPoints, fit_bands

ARIMA_FAMILY: tuple[CourseModel, ...] = (MstlCourse(), ArimaCourse())


def choices_of(
    history: Sequence[tuple[SeriesName, SeriesPoints]], at_us: int, config: SeasonConfig, settings: Settings
) -> list[Choice]:
    """Return the bands of each series from `at_us` on, and what was tried for them.

    The profile is made of all. The others are tried on business signals first, then on series of which the profile knows no
    season, then on the rest, each in order of name, until the series or the seconds that the settings allow are used up.
    """
    profiles = [fit_bands(points, at_us, config) for _, points in history]
    seasonal = settings.seasonal
    rivals = _rivals([name for name, _ in history], profiles, settings)
    budget = FitBudget(seasonal.rivals_s, seasonal.rival_fit_s)
    made: dict[int, Choice] = {}
    for place, models in rivals.items():
        made[place] = choose_beside(profiles[place], history[place][1], config, models, budget)
    return [made.get(place) or Choice(profile, ()) for place, profile in enumerate(profiles)]


def all_rivals(settings: Settings) -> tuple[CourseModel, ...]:
    """Return every model that is tried beside the profile."""
    return (ProphetCourse(ProphetConfig(settings.seasonal.country, seed=settings.models.seed)), *ARIMA_FAMILY)


def _rivals(
    names: Sequence[SeriesName], profiles: Sequence[SeriesBands], settings: Settings
) -> Mapping[int, tuple[CourseModel, ...]]:
    """Return the models to be tried by place of the series, in order."""
    globs = setting_parts(settings.routing.business_metrics)
    business = [nature_of(name.metric) == "business" or any(matches(name, glob) for glob in globs) for name in names]
    order = sorted(
        range(len(names)),
        key=lambda place: (not business[place], profiles[place].status == ESTABLISHED, names[place].text),
    )
    by_name = sorted((place for place in order if business[place]), key=lambda place: names[place].text)
    prophet = frozenset(by_name[: settings.seasonal.prophet_series])
    arima = frozenset(order[: settings.seasonal.arima_series])
    chosen: dict[int, tuple[CourseModel, ...]] = {}
    for place in order:
        models = all_rivals(settings)[:1] if place in prophet else ()
        if place in arima:
            models = (*models, *ARIMA_FAMILY)
        if models:
            chosen[place] = models
    return chosen
