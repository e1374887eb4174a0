"""Whether there is a champion of the model that answers for services: what is served, and what can drift."""

from aiops.settings.tree import Settings
from models.artifacts.audit import CHAMPION
from models.artifacts.catalog import watched_model
from models.artifacts.export import exported_version


def has_champion(settings: Settings) -> bool:
    """Return whether one is exported for the processes."""
    return exported_version(settings.root / "models", watched_model(), CHAMPION) is not None
