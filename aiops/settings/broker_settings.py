"""Settings of the broker: streams and the online feature store."""

from pydantic import Field, model_validator

from aiops.settings.section import Section


class BrokerSettings(Section):
    """Valkey/Redis: the streams and the online feature store; telemetry may lie on Kafka."""

    url: str | None = Field(
        None,
        pattern=r"^(rediss?|unix|kafka)://",
        description="redis:// URL of an own server, or kafka://[user:password@]host:9092[/topic][?security_protocol=SASL_SSL&…] "
        "for telemetry alone; unset = an embedded Valkey is started",
    )
    state_url: str | None = Field(
        None,
        pattern=r"^(rediss?|unix)://",
        description="redis:// URL of what is not telemetry where url names Kafka; unset = an embedded Valkey is started",
    )
    port: int = Field(6380, ge=1, le=65535, description="port of the embedded Valkey on 127.0.0.1")
    partitions: int = Field(
        2, ge=1, le=256, description="telemetry streams: the series of every application are spread over them"
    )
    max_memory_mb: int = Field(2048, ge=64, description="memory limit of the embedded Valkey; full = producers wait")

    @model_validator(mode="after")
    def _places_its_state_once(self) -> "BrokerSettings":
        if self.state_url is not None and self.kafka_url is None:
            raise ValueError("state_url is for a url that begins with kafka://; with redis:// all lies there: leave it out")
        return self

    @property
    def kafka_url(self) -> str | None:
        """Return the URL of the Kafka cluster that holds telemetry, None where telemetry lies with the rest."""
        return self.url if self.url is not None and self.url.startswith("kafka://") else None

    @property
    def own_url(self) -> str | None:
        """Return the URL of the user's own Valkey or Redis, None where the embedded one is to be started."""
        return self.url if self.kafka_url is None else self.state_url
