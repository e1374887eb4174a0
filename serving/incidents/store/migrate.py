"""Bring a database to the newest schema; several processes may do so at once."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from aiops.errors import StateError

NEWEST: Final = "0003"
"""The newest step in `migrations/versions`; a database that has it is not touched, and Alembic is not imported."""

_STEPS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x61696F7073  # "aiops"


def migrate(engine: Engine) -> None:
    """Run the steps that are missing, all of them or none. `engine` must be one that writes.

    Raises:
        StateError: the database was made by a newer release.
    """
    with engine.connect() as connection:
        if _version(connection) == NEWEST:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        version = _version(connection)
        if version == NEWEST:
            return
        if version > NEWEST:
            raise StateError(f"incident store: schema={version} is newer than {NEWEST}; run the release that made it")
        _upgrade(connection)


def _version(connection: Connection) -> str:
    """Return the step that a database has, "" where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_STEPS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
