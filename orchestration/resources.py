"""Dagster resource: the workspace below AIOPS_HOME."""

import dagster as dg

from aiops.settings import Settings
from orchestration.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource["WorkspaceResource"]):
    """Opens the workspace; `home` overrides AIOPS_HOME where it is given."""

    home: str = ""

    def open(self) -> Workspace:
        """Return the workspace of the settings in force."""
        settings = Settings()
        return Workspace.open(settings.model_copy(update={"home": self.home}) if self.home else settings)
