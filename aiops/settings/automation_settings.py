"""Settings of acting on incidents."""

from pathlib import Path

from pydantic import Field, SecretStr

from aiops.settings.section import Section


class AutomationSettings(Section):
    """Runbooks, plans, approvals and runs (`python -m serving.automation`)."""

    enabled: bool = Field(True, description="plan for incidents whose cause is decided; off = nothing is planned or begun")
    runbooks: Path | None = Field(None, description="folder or git checkout with runbooks; unset = runbooks below home")
    library: bool = Field(False, description="put the runbooks that come with the suite in force beside those of the folder")
    port: int = Field(3107, ge=0, le=65535, description="HTTP API of runbooks, plans and runs")
    runs_per_hour: int = Field(6, ge=0, description="runs of all runbooks together that may begin in an hour")
    runs_per_day: int = Field(20, ge=0, description="runs of all runbooks together that may begin in a day")
    application_share: float = Field(
        0.34, gt=0, le=1, description="share of an application's services that may be acted on at once; one of a small one always"
    )
    link_key: SecretStr | None = Field(
        None, description="signs links in notifications that approve a plan once (32 bytes or more); unset = no such links"
    )
    public_url: str | None = Field(None, description="address of this API in notifications; unset = http://host:port")
