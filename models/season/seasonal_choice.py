"""Bands of a business signal: Prophet's, where it foresees held-out days better than the profile does; else the profile's."""

from dataclasses import replace

from aiops.features.bands import ESTABLISHED, SeriesBands, band_at
from models.season.prophet_bands import ProphetConfig, fit_prophet_bands, held_out_days, parted, strength_on
from models.season.seasonal_profile import SeasonConfig, SeriesPoints, fit_bands


def fit_business_bands(points: SeriesPoints, at_us: int, config: SeasonConfig, prophet: ProphetConfig) -> SeriesBands:
    """Return the better bands from `at_us` on, made from earlier points alone; both are tried on the same newest days."""
    profile = fit_bands(points, at_us, config)
    rival = fit_prophet_bands(points, at_us, config, prophet)
    if rival.status != ESTABLISHED:
        return profile
    if profile.status != ESTABLISHED:
        return rival
    past, later = parted(points.before(at_us, config.history_days), at_us, prophet)
    days = held_out_days(points.before(at_us, config.history_days), prophet)
    tried = fit_bands(past, int(later.time_us[0]), replace(config, horizon_s=(days + 1) * 86_400))
    if tried.status != ESTABLISHED:
        return rival
    return rival if rival.strength > strength_on(past, later, band_at(tried, later.time_us)[0]) else profile
