"""An incident store on SQLite with all tables and nothing in them: migrated once a process, copied for each test."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from serving.incidents.store.incident_store import IncidentStore


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        IncidentStore.open(f"sqlite:///{path}", "default").close()
        return path.read_bytes()


def empty_file(path: Path) -> Path:
    """Write the file of an empty store, and return it; migrations take longer than a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated())
    return path


def empty_store(folder: Path, tenant: str = "default") -> IncidentStore:
    """Open an empty store in `folder`, `incidents.db`."""
    return IncidentStore.open(f"sqlite:///{empty_file(folder / 'incidents.db')}", tenant)
