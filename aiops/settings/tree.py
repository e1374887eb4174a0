"""Settings: one tree, prefix `AIOPS_`, nested by `__` (`AIOPS_SERVING__HTTP_PORT=3100`). Unknown names are refused.

They come from the environment, then from the settings file (see `aiops.settings.settings_file`), then from the defaults below.
Instantiated once by each entry point (`Settings()`), then passed as an argument; no module reads the environment by itself.
Native names are honoured: `MLFLOW_TRACKING_URI`, `DAGSTER_HOME`.
"""

from pathlib import Path
from typing import Any, Final

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from aiops.settings.automation_settings import AutomationSettings
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.console_settings import ConsoleSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.drift_settings import DriftSettings
from aiops.settings.explore_settings import ExploreSettings
from aiops.settings.export_settings import ExportSettings
from aiops.settings.ingest_settings import IngestSettings
from aiops.settings.model_settings import ModelSettings
from aiops.settings.responder_settings import ResponderSettings
from aiops.settings.routing_settings import RoutingSettings
from aiops.settings.seasonal_settings import SeasonalSettings
from aiops.settings.serving_settings import ServingSettings
from aiops.settings.settings_file import VARIABLE, SettingsFileSource
from aiops.settings.signal_settings import SignalSettings
from aiops.settings.source_settings import SourceSettings
from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.up_settings import UpSettings
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant, folder_of

NOT_SETTINGS: Final = frozenset({"AIOPS_DATA", "AIOPS_PEERS", "AIOPS_TEST_POSTGRES_URL", VARIABLE})
"""Names with our prefix that mean something else: where tests find public corpora, other programs and a PostgreSQL server; the
settings file."""


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
    export: ExportSettings = ExportSettings()
    routing: RoutingSettings = RoutingSettings()
    seasonal: SeasonalSettings = SeasonalSettings()
    drift: DriftSettings = DriftSettings()
    responder: ResponderSettings = ResponderSettings()
    source: SourceSettings = SourceSettings()
    ingest: IngestSettings = IngestSettings()
    signals: SignalSettings = SignalSettings()
    automation: AutomationSettings = AutomationSettings()
    console: ConsoleSettings = ConsoleSettings()
    explore: ExploreSettings = ExploreSettings()
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

    def runbooks_path(self, tenant: str) -> Path:
        """Return the folder of a tenant's runbooks: that of the default tenant is the folder itself."""
        folder = self.automation.runbooks or self.root / "runbooks"
        return folder if tenant == DEFAULT_TENANT else folder / folder_of(tenant)

    @property
    def tokens_path(self) -> Path:
        """Return the file of the tokens that were made or revoked here."""
        return self.serving.tokens_file or self.root / "access" / "tokens.json"

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
        return self.broker.own_url or f"redis://127.0.0.1:{self.broker.port}/0"
