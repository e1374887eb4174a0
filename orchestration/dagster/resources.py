"""Dagster resource: the workspace below AIOPS_HOME."""

from pathlib import Path

import dagster as dg

from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from orchestration.workspace.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource["WorkspaceResource"]):
    """Opens the workspace; `home` overrides AIOPS_HOME where it is given."""

    home: str = ""

    def open(self) -> Workspace:
        """Return the workspace of the settings in force."""
        return Workspace.open(self.settings())

    def settings(self) -> Settings:
        """Return the settings in force."""
        settings = read_settings()
        return settings.model_copy(update={"home": Path(self.home)}) if self.home else settings
