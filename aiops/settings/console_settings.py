"""Settings of the console: the browser's one address over the suite's APIs."""

from pydantic import Field

from aiops.settings.section import Section


class ConsoleSettings(Section):
    """The console (`python -m serving.console`): pages for people, sessions, and the APIs behind them at one address."""

    port: int = Field(3108, ge=0, le=65535, description="HTTP port, at serving.host")
    responder_url: str | None = Field(
        None, pattern=r"^https?://[^/?#@\s]+$", description="address of the API of incidents; unset = that of this machine's"
    )
    automation_url: str | None = Field(
        None, pattern=r"^https?://[^/?#@\s]+$", description="address of the API of plans and runs; unset = that of this machine's"
    )
    explore_url: str | None = Field(
        None, pattern=r"^https?://[^/?#@\s]+$", description="address of the API of the data; unset = that of this machine's"
    )
    secure_cookie: bool = Field(
        False, description="sessions over HTTPS only; set it behind a proxy that does not send x-forwarded-proto: https"
    )
