"""Settings of `aiops up`."""

from pydantic import Field

from aiops.settings.section import Section


class UpSettings(Section):
    """The web servers that `aiops up` starts beside the rest."""

    mlflow_port: int = Field(5000, ge=1, le=65535, description="MLflow's web server on 127.0.0.1")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Dagster's web server on 127.0.0.1")
