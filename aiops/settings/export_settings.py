"""Settings of the export: what tier 1 says of series, for other systems."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from aiops.settings.section import Section
from aiops.settings.setting_parts import setting_parts


class ExportSettings(Section):
    """Scores, expectations and bounds of chosen series: on the consumer's page `/findings`, and by remote write where wanted."""

    url: str | None = Field(None, description="remote write address that they are sent to, such as http://host:9090/api/v1/write")
    user: str = Field("", description="name for basic authentication there, with the token as password; empty = a bearer token")
    token: SecretStr | None = Field(None, description="bearer token or password sent there")
    org_id: str = Field("", description="tenant of the receiver, sent as X-Scope-OrgID; empty = none")
    select: str = Field(
        "",
        description="globs of service|metric, separated by `;`, exported always; those with a finding lately are anyway",
    )
    keep_min: float = Field(60.0, gt=0, description="minutes of event time that a series is exported after its last finding")
    max_series: int = Field(1000, ge=0, le=100_000, description="most series exported, five metrics each; 0 = none")
    every_s: float = Field(5.0, ge=0.1, description="how often they are sent")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("is no http:// or https:// address; give one such as http://prometheus:9090/api/v1/write")
        if parts.username or parts.password:
            raise ValueError("holds a name or password; give them as export.user and export.token")
        return url

    @field_validator("select")
    @classmethod
    def _readable(cls, text: str) -> str:
        for glob in setting_parts(text):
            if "|" not in glob:
                raise ValueError(f"{glob!r} is not service|metric; write for example cart|* or *|latency_p99_ms")
        return text

    @model_validator(mode="after")
    def _a_name_has_a_password(self) -> "ExportSettings":
        if self.user and self.token is None:
            raise ValueError("export.user without export.token: give the password as token")
        return self
