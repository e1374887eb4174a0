"""Settings: one tree, prefix `AIOPS_`, nested by `__` (`AIOPS_SERVING__HTTP_PORT=3100`). Unknown names are refused.

They come from the environment, then from the settings file (see `aiops.settings.settings_file`), then from the defaults below.
Instantiated once by each entry point (`Settings()`), then passed as an argument; no module reads the environment by itself.
Native names are honoured: `MLFLOW_TRACKING_URI`, `DAGSTER_HOME`.
"""

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from aiops.errors import ConfigurationError
from aiops.settings.responder import ResponderSettings
from aiops.settings.routing_globs import parse_overrides
from aiops.settings.settings_file import VARIABLE, SettingsFileSource
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant, folder_of


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BrokerSettings(_Section):
    """Valkey/Redis: the streams and the online feature store."""

    url: str | None = Field(
        None, pattern=r"^(rediss?|unix)://", description="redis:// URL of an own server; unset = an embedded Valkey is started"
    )
    port: int = Field(6380, ge=1, le=65535, description="port of the embedded Valkey on 127.0.0.1")
    partitions: int = Field(2, ge=1, le=256, description="telemetry streams; an application's services share one")
    max_memory_mb: int = Field(2048, ge=64, description="memory limit of the embedded Valkey; full = producers wait")


class TelemetrySettings(_Section):
    """The telemetry contract and the lake."""

    step_s: int = Field(60, ge=1, le=3600, description="seconds between feature ticks")
    lateness_s: int = Field(30, ge=0, le=3600, description="how long a tick waits for late points, in event time")
    future_tolerance_s: int = Field(300, ge=0, description="points further in the future are rejected")
    retention_days: int = Field(30, ge=1, description="days of telemetry, features and served rows kept in the lake")
    window_points: int = Field(240, ge=16, le=4096, description="newest points a series keeps for its 1 h window (memory bound)")
    max_series: int = Field(100_000, ge=1, description="series a partition tracks; points of more are rejected")
    max_tenants: int = Field(32, ge=1, description="tenants a partition tracks, each with max_series; rows of more are rejected")


class ModelSettings(_Section):
    """Training and the promotion gate."""

    seed: int = Field(7, ge=0, description="of every random draw in training")
    page_budget_per_day: float = Field(1.0, gt=0, description="false pages a day per service that a threshold may cost")
    embargo_min: int = Field(120, ge=0, description="gap between training and validation rows")
    latency_budget_ms: float = Field(10.0, gt=0, description="p99 of one row at the gate")
    keep_versions: int = Field(20, ge=2, description="model versions kept per model")


class ServingSettings(_Section):
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
    challenger: Literal["off", "shadow", "share"] = Field("off", description="what the challenger alias does")
    challenger_share: float = Field(0.1, ge=0, le=1, description="share of services answered by the challenger in mode share")
    served_log_rows: int = Field(200_000, ge=1000, description="served rows held in memory; the oldest are dropped and counted")
    served_flush_s: float = Field(2.0, gt=0, description="how often served rows are written to the lake")


class ConsumerSettings(_Section):
    """The streaming consumer."""

    metrics_port: int = Field(3102, ge=0, le=65535, description="metrics and health of the consumer")
    checkpoint_s: float = Field(10.0, gt=0, description="how often the state of stage 1 is saved")
    feature_flush_s: float = Field(3.0, gt=0, description="how often features are written to the online store")
    safety_net: bool = Field(True, description="tier 1 also flags a series that is stuck or at the hard limit of its metric")
    novelty: bool = Field(False, description="tier 1 also flags what is rare in the history of its series")
    predict_every_s: int = Field(300, ge=1, description="event-time cadence at which every service is scored")
    fallback_after_s: float = Field(5.0, gt=0, description="a candidate unanswered this long is reported by tier 1 alone")
    score_batch: int = Field(1000, ge=1, description="most candidates in one request to the models")
    scoring_url: str | None = Field(None, description="URL of the BentoML service; unset = the one of section serving")
    scoring_token: SecretStr | None = Field(None, description="JWT sent to the BentoML service")
    tier1_path: Path | None = Field(
        None, description="tier 1 artifact whatever the registry says; unset = the champion exported to <home>/models"
    )
    archive: Literal["inside", "separate", "off"] = Field("inside", description="where the archiver to the lake runs")
    archive_every_s: float = Field(10.0, gt=0, description="how often streams are copied to the lake")
    max_backlog: int = Field(1000, ge=10, description="entries a stream may hold before its writer waits")
    max_deferred: int = Field(10_000, ge=10, description="deferred entries kept; the oldest are dropped and counted")
    keep_results_h: float = Field(24.0, gt=0, description="hours detections and predictions stay on the broker")


class RoutingSettings(_Section):
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


class SeasonalSettings(_Section):
    """Seasonal bands (tier 2), made every night."""

    history_days: int = Field(28, ge=3, le=90, description="days of telemetry that bands are made from")
    min_days: float = Field(3.0, ge=3, description="days of history below which no season is established")
    min_strength: float = Field(
        0.1, gt=0, lt=1, description="how much smaller than the flat median's the season's error on held-out days must be"
    )
    coverage: float = Field(0.99, gt=0.5, lt=1, description="share of usual points within a band")
    prophet_series: int = Field(20, ge=0, description="most business series that Prophet is tried on; 0 = none")
    country: str = Field("", description="ISO code of the country whose public holidays Prophet knows; empty = none")
    capacity_days: float = Field(14.0, gt=0, le=365, description="how far ahead a series with a limit is forecast")


class DriftSettings(_Section):
    """Drift detection on what was served."""

    window_h: float = Field(6.0, gt=0, description="served rows compared with the training reference")
    min_rows: int = Field(200, ge=50, description="rows outside incidents below which nothing is decided")
    column_threshold: float = Field(0.25, gt=0, description="normed Wasserstein distance above which a column has drifted")
    share: float = Field(0.3, gt=0, le=1, description="share of drifted columns that means drift")
    level_threshold: float = Field(1.0, gt=0, description="distance of one level column that alone means drift")
    cooldown_min: float = Field(60.0, ge=0, description="no second retraining sooner than this")
    false_positive_rate: float = Field(0.1, gt=0, lt=1, description="share of false-alarm verdicts that also retrains")


class SourceSettings(_Section):
    """What a source needs and a command line would show: every list of processes has the arguments in it."""

    token: SecretStr | None = Field(None, description="token sent to the source; or --set token_file=FILE")
    url: SecretStr | None = Field(None, description="address of the source where it holds a password; or --set url_file=FILE")


class UpSettings(_Section):
    """The web servers that `aiops up` starts beside the rest."""

    mlflow_port: int = Field(5000, ge=1, le=65535, description="MLflow's web server on 127.0.0.1")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Dagster's web server on 127.0.0.1")


NOT_SETTINGS: Final = frozenset({"AIOPS_DATA", "AIOPS_TEST_POSTGRES_URL", VARIABLE})
"""Names with our prefix that mean something else: where tests find public corpora and a PostgreSQL server; the settings file."""


class _StrictEnvironment(EnvSettingsSource):
    """The environment, in which an unknown name with our prefix is a mistake and not silence."""

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        known = {name for field in self.settings_cls.model_fields for name in (field, f"aiops_{field}")}
        for name, value in self.env_vars.items():
            field = name.lower().removeprefix("aiops_").partition("__")[0]
            if name.lower().startswith("aiops_") and field not in known and name.upper() not in NOT_SETTINGS:
                values[name.lower().removeprefix("aiops_")] = value
        return values


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="AIOPS_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path(".aiops"), description="everything the suite writes lies below this folder")
    project: Path | None = Field(
        None,
        description="folder whose feature_repo/ and dagster.yaml are used; unset = the settings file's, else the suite's own",
    )
    tenant: str = Field(DEFAULT_TENANT, description="whose data commands and jobs read and write; `aiops --tenant` sets it")
    mlflow_tracking_uri: str | None = Field(
        None,
        validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "AIOPS_MLFLOW_TRACKING_URI", "mlflow_tracking_uri"),
        description="MLflow server or database; unset = sqlite below home",
    )
    broker: BrokerSettings = BrokerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    models: ModelSettings = ModelSettings()
    serving: ServingSettings = ServingSettings()
    consumer: ConsumerSettings = ConsumerSettings()
    routing: RoutingSettings = RoutingSettings()
    seasonal: SeasonalSettings = SeasonalSettings()
    drift: DriftSettings = DriftSettings()
    responder: ResponderSettings = ResponderSettings()
    source: SourceSettings = SourceSettings()
    up: UpSettings = UpSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order: arguments, the environment, the settings file."""
        return init_settings, _StrictEnvironment(settings_cls), SettingsFileSource(settings_cls)

    @field_validator("tenant")
    @classmethod
    def _is_a_tenant(cls, tenant: str) -> str:
        return checked_tenant(tenant)

    @property
    def root(self) -> Path:
        """Return `home` as an absolute path."""
        return self.home.expanduser().absolute()

    def folder(self, name: str, tenant: str) -> Path:
        """Return the folder `name` of a tenant below home: that of the default tenant is `name` itself, as before tenants."""
        return self.root / name if tenant == DEFAULT_TENANT else self.root / name / folder_of(tenant)

    @property
    def lake_path(self) -> Path:
        """Return the folder of the lake (telemetry, features, served rows, labels)."""
        return self.root / "lake"

    @property
    def exported_models_path(self) -> Path:
        """Return the folder of models exported for processes without MLflow."""
        return self.root / "models"

    @property
    def scoring_url(self) -> str:
        """Return the URL of the BentoML service that the consumer asks."""
        return self.consumer.scoring_url or f"http://{self.serving.host}:{self.serving.http_port}"

    @property
    def tracking_uri(self) -> str:
        """Return the MLflow tracking URI in force."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.root / 'mlflow' / 'mlflow.db'}"

    @property
    def incident_store_url(self) -> str:
        """Return the SQLAlchemy URL of the incident store in force."""
        own = self.responder.database_url
        return f"sqlite:///{self.root / 'incidents' / 'incidents.db'}" if own is None else own.get_secret_value()

    @property
    def redis_url(self) -> str:
        """Return the URL of the broker in force."""
        return self.broker.url or f"redis://127.0.0.1:{self.broker.port}/0"
