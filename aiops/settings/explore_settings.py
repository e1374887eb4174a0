"""Settings of the API over the data: series, what was rejected, models."""

from pydantic import Field

from aiops.settings.section import Section


class ExploreSettings(Section):
    """Reading the data (`python -m serving.explore`): series with points, bands and detections. It changes nothing."""

    port: int = Field(3109, ge=0, le=65535, description="HTTP port, at serving.host")
