"""Settings of drift detection."""

from pydantic import Field

from aiops.settings.section import Section


class DriftSettings(Section):
    """Drift detection on what was served."""

    window_h: float = Field(6.0, gt=0, description="served rows compared with the training reference")
    min_rows: int = Field(200, ge=50, description="rows outside incidents below which nothing is decided")
    column_threshold: float = Field(0.25, gt=0, description="normed Wasserstein distance above which a column has drifted")
    share: float = Field(0.3, gt=0, le=1, description="share of drifted columns that means drift")
    level_threshold: float = Field(1.0, gt=0, description="distance of one level column that alone means drift")
    cooldown_min: float = Field(60.0, ge=0, description="no second retraining sooner than this")
    false_positive_rate: float = Field(0.1, gt=0, lt=1, description="share of false-alarm verdicts that also retrains")
