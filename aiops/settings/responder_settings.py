"""Settings of the responder: alerts in, correlation, root causes, notifications out."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from aiops.settings.section import Section


class ResponderSettings(Section):
    """The responder: alerts become incidents with root causes, people are notified. Secrets are never printed."""

    max_tenants: int = Field(32, ge=1, le=1000, description="tenants that one responder serves at once")
    notification_routes: Path | None = Field(None, description="TOML file with notification channels of single tenants")
    port: int = Field(3103, ge=0, le=65535, description="HTTP API of incidents, on the address of serving.host")
    database_url: SecretStr | None = Field(None, description="SQLAlchemy URL of the incident store; unset = SQLite below home")
    clock: Literal["wall", "event"] = Field("wall", description="event = time goes on with the telemetry, for replays")
    settle_s: float = Field(2.0, ge=0, description="how long alerts may arrive out of order")
    page_settle_s: float = Field(
        3.0, ge=0, description="how long the first page of an incident waits for what else fires, a critical one too"
    )
    window_s: float = Field(600.0, gt=0, description="how long after its last alert an incident still takes in another one")
    quiet_s: float = Field(900.0, gt=0, description="an incident without alerts for so long is resolved")
    storm_per_min: int = Field(1000, ge=1, description="alerts a minute from which on one incident a component is opened")
    pages_per_hour: int = Field(60, ge=1, description="page budget; what is held back is listed")
    critical_score: float = Field(0.9, gt=0.5, le=1, description="score from which a detection is critical, not a warning")
    retention_days: int = Field(90, ge=1, description="days that closed incidents and their alerts are kept")
    calm_h: float = Field(6.0, gt=0, description="hours of telemetry before an incident that root causes are compared with")
    least_probability: float = Field(0.5, gt=0, lt=1, description="probability from which the first cause is named as decided")
    alert_sources: Path | None = Field(None, description="TOML file with field mappings and secrets of generic alert webhooks")
    webhook_url: SecretStr | None = Field(None, description="notifications as JSON are posted there")
    webhook_secret: SecretStr | None = Field(None, description="signs the posted notifications (HMAC-SHA256)")
    slack_url: SecretStr | None = Field(None, description="Slack-compatible incoming webhook")
    pagerduty_key: SecretStr | None = Field(None, description="routing key of PagerDuty Events v2")
    pagerduty_url: str = Field("https://events.pagerduty.com/v2/enqueue", description="endpoint of PagerDuty Events v2")
    escalate_after_min: float = Field(15.0, gt=0, description="minutes without acknowledgement until a page is sent on")
    escalation_url: SecretStr | None = Field(None, description="webhook that escalations go to; unset = the same channels again")
    public_url: str | None = Field(None, description="address of the API in notifications; unset = http://host:port")
