"""Settings of seasonal bands."""

from pydantic import Field

from aiops.settings.section import Section


class SeasonalSettings(Section):
    """Seasonal bands (tier 2), made every night."""

    history_days: int = Field(28, ge=3, le=90, description="days of telemetry that bands are made from")
    min_days: float = Field(3.0, ge=3, description="days of history below which no season is established")
    min_strength: float = Field(
        0.1, gt=0, lt=1, description="how much smaller than the flat median's the season's error on held-out days must be"
    )
    coverage: float = Field(0.99, gt=0.5, lt=1, description="share of usual points within a band")
    prophet_series: int = Field(20, ge=0, description="most business series that Prophet is tried on; 0 = none")
    arima_series: int = Field(20, ge=0, description="most series that MSTL and AutoARIMA are tried on; 0 = none")
    rival_fit_s: float = Field(20.0, gt=0, description="seconds after which a model that is tried on a series is given up")
    rivals_s: float = Field(300.0, ge=0, description="seconds of a run after which only the seasonal profile is made")
    country: str = Field("", description="ISO code of the country whose public holidays Prophet knows; empty = none")
    capacity_days: float = Field(14.0, gt=0, le=365, description="how far ahead a series with a limit is forecast")
