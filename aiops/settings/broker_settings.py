"""Settings of the broker: streams and the online feature store."""

from pydantic import Field

from aiops.settings.section import Section


class BrokerSettings(Section):
    """Valkey/Redis: the streams and the online feature store."""

    url: str | None = Field(
        None, pattern=r"^(rediss?|unix)://", description="redis:// URL of an own server; unset = an embedded Valkey is started"
    )
    port: int = Field(6380, ge=1, le=65535, description="port of the embedded Valkey on 127.0.0.1")
    partitions: int = Field(2, ge=1, le=256, description="telemetry streams; an application's services share one")
    max_memory_mb: int = Field(2048, ge=64, description="memory limit of the embedded Valkey; full = producers wait")
