"""What every section of the settings has in common: unknown names are refused, values stay, and errors show no input."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section of the tree."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
