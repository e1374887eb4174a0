"""Tokens that were made here, and which are revoked: one file below the home that every process asks at each call.

A token with an id that begins with `aiops-` holds only while the list has it; any other id only unless the list has it as
revoked. A list that cannot be read lets neither in. Tokens without an id are nobody's to revoke: they hold until they expire.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from aiops.errors import ConfigurationError, Unavailable
from serving.host.atomic_file import write_atomically
from serving.host.file_stamp import FileStamp

OWN: Final = "aiops-"
"""How ids of tokens begin that were made here."""
FORGOTTEN_AFTER: Final = timedelta(days=30)
"""So long after its end a token stays in the list, to be looked up."""
_STAGING: Final = ".staging"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token without what it is known by: `made_by` "" = not made here, only revoked here. Times are aware UTC."""

    token_id: str
    name: str
    role: str
    tenants: tuple[str, ...]
    made_at: datetime
    made_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str = ""


class TokenList:
    """The file; safe beside other processes and threads. One look at the file's state a question, read anew where it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[FileStamp | None, Mapping[str, IssuedToken]] = (None, {})

    def tokens(self) -> Mapping[str, IssuedToken]:
        """Return what is known of tokens, by id; nothing where no list was ever written.

        Raises:
            Unavailable: the list is there and cannot be read.
        """
        try:
            stamp = FileStamp.of(self._path)
            known_stamp, known = self._read
            if stamp == known_stamp:
                return known
            listed = msgspec.json.decode(self._path.read_bytes(), type=list[IssuedToken])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(f"the list of tokens {self._path} cannot be read: {error}") from error
        known = {token.token_id: token for token in listed}
        self._read = (stamp, known)
        return known

    def fault(self, token_id: str) -> str:
        """Return why a token of this id does not hold, "" where it does.

        Raises:
            Unavailable: the list cannot be read.
        """
        token = self.tokens().get(token_id)
        if token is None:
            return "the token is not in the list of this home" if token_id.startswith(OWN) else ""
        return "" if token.revoked_at is None else "the token is revoked"

    def add(self, token: IssuedToken) -> None:
        """Keep a new token.

        Raises:
            Unavailable: the list cannot be read or written; it is as it was.
        """
        with self._changing() as known:
            known[token.token_id] = token

    def revoke(self, wanted: str, at: datetime, by: str) -> IssuedToken:
        """Revoke a token by its id, a unique beginning of it, or its name; one that was not made here by its whole id.

        Raises:
            ConfigurationError: several are meant, or none is and `wanted` looks like an id of ours.
            Unavailable: the list cannot be read or written; it is as it was.
        """
        with self._changing() as known:
            token = self._meant(known, wanted, at)
            if token.revoked_at is None:
                token = known[token.token_id] = replace(token, revoked_at=at, revoked_by=by)
            return token

    @staticmethod
    def _meant(known: Mapping[str, IssuedToken], wanted: str, at: datetime) -> IssuedToken:
        if wanted in known:
            return known[wanted]
        live = [token for token in known.values() if token.revoked_at is None]
        meant = [token for token in live if token.name == wanted or token.token_id.startswith(wanted)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise ConfigurationError(
                f"{wanted}: {len(meant)} tokens are meant; give an id: {', '.join(t.token_id for t in meant)}"
            )
        if wanted.startswith(OWN) or len(wanted) < 8:
            raise ConfigurationError(f"{wanted}: there is no such token; `aiops tokens list` shows those there are")
        return IssuedToken(wanted, "", "", (), at, "", at + timedelta(days=3650))

    @contextmanager
    def _changing(self) -> Iterator[dict[str, IssuedToken]]:
        """Give the tokens as they are, and write what becomes of them, after those who do so already."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                known = dict(self.tokens())
                yield known
                newest = max((token.made_at for token in known.values()), default=None)
                kept = [token for token in known.values() if newest is None or token.expires_at + FORGOTTEN_AFTER > newest]
                encoded = msgspec.json.encode(kept)
                write_atomically(self._path.parent / _STAGING, self._path, lambda file: _write(file, encoded))
        except OSError as error:
            raise Unavailable(f"the list of tokens {self._path} cannot be written: {error}") from error


def _write(file: BinaryIO, encoded: bytes) -> None:
    file.write(encoded)
