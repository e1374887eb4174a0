"""Settings of acting on incidents."""

from pathlib import Path

from pydantic import Field

from aiops.settings.section import Section


class AutomationSettings(Section):
    """Runbooks, plans, approvals and runs (`python -m serving.automation`)."""

    enabled: bool = Field(True, description="plan for incidents whose cause is decided; off = nothing is planned or begun")
    runbooks: Path | None = Field(None, description="folder or git checkout with runbooks; unset = runbooks below home")
    library: bool = Field(False, description="put the runbooks that come with the suite in force beside those of the folder")
    port: int = Field(3107, ge=0, le=65535, description="HTTP API of runbooks, plans and runs")
