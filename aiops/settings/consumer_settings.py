"""Settings of the streaming consumer."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from aiops.settings.section import Section


class ConsumerSettings(Section):
    """The streaming consumer."""

    metrics_port: int = Field(3102, ge=0, le=65535, description="metrics and health of the consumer")
    checkpoint_s: float = Field(
        10.0, gt=0, description="how often the state of stage 1 is saved; less often where that takes a tenth of the time"
    )
    checkpoint_folder: Path | None = Field(
        None, description="where states are saved; consumers of several machines need a shared folder; unset = <home>/consumer"
    )
    checkpoint_wait_s: float = Field(
        120.0, ge=0, description="how long a partition waits for a consumer that reaches its saved state before one starts anew"
    )
    lease_s: float = Field(5.0, ge=0.5, description="how long partitions of a consumer that fell silent stay its own")
    feature_flush_s: float = Field(
        3.0,
        gt=0,
        description="how often features are written to the online store; of many series less often",
    )
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

    def checkpoints(self, root: Path) -> Path:
        """Return the folder of checkpoints, of a home at `root`."""
        return self.checkpoint_folder or root / "consumer"
