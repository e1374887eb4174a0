"""Settings of routing: which tier judges which series."""

from pydantic import Field, field_validator

from aiops.errors import ConfigurationError
from aiops.settings.routing_globs import parse_overrides
from aiops.settings.section import Section


class RoutingSettings(Section):
    """Which tier judges which series; lists are separated by `;` and hold globs."""

    critical_services: str = Field("", description="services of which tier 3 judges every flag and every scheduled tick")
    business_metrics: str = Field("", description="metrics that are business signals beside those known as such")
    overrides: str = Field("", description="service|metric=tier with tier 1, 2 or 3; the first that matches counts")
    strong_season: float = Field(0.6, gt=0, le=1, description="seasonality from which an infrastructure series goes to tier 2")
    intermittent: float = Field(0.5, gt=0, le=1, description="share of time without a value from which none goes to tier 2")
    noisy: float = Field(1.0, gt=0, description="spread from point to point, over the level, from which none goes to tier 2")
    refresh_s: float = Field(60.0, gt=0, description="how often the consumer reads the measured characters again")

    @field_validator("overrides")
    @classmethod
    def _readable(cls, text: str) -> str:
        try:
            parse_overrides(text)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return text
