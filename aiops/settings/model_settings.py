"""Settings of training and the promotion gate."""

from pydantic import Field

from aiops.settings.section import Section


class ModelSettings(Section):
    """Training and the promotion gate."""

    seed: int = Field(7, ge=0, description="of every random draw in training")
    page_budget_per_day: float = Field(1.0, gt=0, description="false pages a day per service that a threshold may cost")
    embargo_min: int = Field(120, ge=0, description="gap between training and validation rows")
    latency_budget_ms: float = Field(10.0, gt=0, description="p99 of one row at the gate")
    keep_versions: int = Field(20, ge=2, description="model versions kept per model")
