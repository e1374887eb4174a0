"""Settings of the scoring service."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from aiops.settings.section import Section


class ServingSettings(Section):
    """The BentoML service."""

    host: str = Field("127.0.0.1", description="bind address; anything but loopback requires a JWT key")
    allowed_hosts: str = Field(
        "", description="names under which the suite's web servers may be called beside this machine's; `;` between, `*` in them"
    )
    http_port: int = Field(3100, ge=0, le=65535, description="HTTP port")
    grpc_port: int = Field(3101, ge=0, le=65535, description="gRPC port")
    workers: int = Field(1, ge=1, le=64, description="processes that answer, each with its own models")
    max_body_bytes: int = Field(16 << 20, ge=1024, description="a larger body is refused")
    max_rows: int = Field(100_000, ge=1, description="a request with more rows is refused")
    timeout_s: int = Field(5, ge=1, le=300, description="a request that takes longer is refused")
    max_concurrency: int = Field(64, ge=1, description="requests in progress in a worker; more are refused")
    poll_s: float = Field(1.0, gt=0, description="how often the registry is asked for a new champion")
    models_from: Literal["registry", "export"] = Field(
        "registry", description="follow MLflow's aliases, or those of the models exported to <home>/models (lighter: no MLflow)"
    )
    jwt_algorithm: Literal["HS256", "RS256"] = Field("HS256", description="the only algorithm that is accepted")
    jwt_key: SecretStr | None = Field(None, description="HS256 secret (32 bytes or more) or RS256 public key (PEM)")
    tokens_file: Path | None = Field(
        None,
        description="list of tokens made or revoked, which all processes must see; unset: <home>/access/tokens.json",
    )
    challenger: Literal["off", "shadow", "share"] = Field("off", description="what the challenger alias does")
    challenger_share: float = Field(0.1, ge=0, le=1, description="share of services answered by the challenger in mode share")
    served_log_rows: int = Field(200_000, ge=1000, description="served rows held in memory; the oldest are dropped and counted")
    served_flush_s: float = Field(2.0, gt=0, description="how often served rows are written to the lake")
