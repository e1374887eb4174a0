"""What the build adds to a wheel: files that stand beside the rooms in a checkout, into `orchestration/project/files`."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILES = ("feature_repo", "dagster.yaml")


class FilesBesideTheRooms(BuildHookInterface[Any]):
    """A wheel carries copies; an editable installation uses the checkout's own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a wheel that is no editable one."""
        if version == "standard":
            build_data["force_include"].update({name: f"orchestration/project/files/{name}" for name in FILES})
