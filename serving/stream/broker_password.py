"""The password of the embedded broker: made once a home, readable by its owner alone, in no command line and no environment."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from aiops.settings.tree import Settings

FILE: Final = "password"


def password_of(root: Path) -> str:
    """Return the password of the broker below a home, "" where none was made."""
    path = root / "broker" / FILE
    return path.read_text(encoding="ascii").strip() if path.is_file() else ""


def ensure_password(root: Path) -> str:
    """Return the password of the broker below a home; made (0600) where there is none. Safe in several processes."""
    path = root / "broker" / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        partial = path.with_name(f".{FILE}.{os.getpid()}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(secrets.token_urlsafe(32))
        with contextlib.suppress(FileExistsError):  # another process was first: its password counts
            os.link(partial, path)
        partial.unlink()
    return password_of(root)


def broker_url(settings: Settings) -> str:
    """Return the URL of the broker in force with what is needed to log in; for clients, never to be shown."""
    if settings.broker.own_url is not None:
        return settings.broker.own_url
    password, parts = password_of(settings.root), urlsplit(settings.redis_url)
    return urlunsplit(parts._replace(netloc=f":{password}@{parts.netloc}")) if password else settings.redis_url
