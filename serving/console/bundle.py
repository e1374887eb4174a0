"""The files of the browser's application: read once, compressed once, and nothing but them is ever answered."""

import gzip
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

from serving.http.problem import Problem, ProblemError, no_such_path

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
INDEX: Final = "/index.html"
_ASSETS: Final = "assets"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASKED_AGAIN: Final = "no-cache"
_LEAST_COMPRESSED: Final = 500
_TYPES: Final = {".js": "text/javascript", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2"}


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file in the two forms in which it is sent; `packed` None = smaller as it is. `media`: with the charset of a text."""

    plain: bytes
    packed: bytes | None
    media: str
    caching: str


class Bundle:
    """Files by their path in a URL. Memory: the files, once plain and once compressed."""

    def __init__(self, folder: Traversable | None = None) -> None:
        self._files = dict(_read(files("serving.console") / "static" if folder is None else folder))

    @property
    def fault(self) -> str:
        """Return what is missing of the application, "" = nothing."""
        return "" if INDEX in self._files else "serving/console/static/index.html is not in this installation"

    def holds(self, path: str) -> bool:
        """Return whether a GET of `path` is answered: by a file, or by the application where it may be one of its pages."""
        return path in self._files or not (path.startswith(f"/{_ASSETS}/") or "." in path.rpartition("/")[2])

    def answer(self, path: str, headers: Headers) -> Response:
        """Return the file of a path; a path that is no file's is one of the application's pages.

        Raises:
            ProblemError: 404, a file that there is not; 503, the application is not in this installation.
        """
        if not self.holds(path):
            raise ProblemError(no_such_path(path))
        file = self._files.get(path) or self._files.get(INDEX)
        if file is None:
            detail = f"The console has no pages: {self.fault}. The APIs behind it answer at /api/incidents and /api/automation."
            raise ProblemError(Problem(503, "no-bundle", detail, fix="install the suite from a wheel or a whole checkout"))
        sent = {"cache-control": file.caching, "vary": "accept-encoding", "content-security-policy": CSP}
        if file.packed is not None and _takes_gzip(headers.get("accept-encoding", "")):
            return Response(file.packed, headers=sent | {"content-encoding": "gzip"}, media_type=file.media)
        return Response(file.plain, headers=sent, media_type=file.media)


def _read(folder: Traversable) -> Iterator[tuple[str, BundleFile]]:
    yield from _files_of(folder, "/", _ASKED_AGAIN)
    yield from _files_of(folder / _ASSETS, f"/{_ASSETS}/", _FOR_EVER)


def _files_of(folder: Traversable, prefix: str, caching: str) -> Iterator[tuple[str, BundleFile]]:
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.is_file() and not file.name.startswith("."):
            yield prefix + file.name, _file(file.name, file.read_bytes(), caching)


def _file(name: str, plain: bytes, caching: str) -> BundleFile:
    packed = gzip.compress(plain, 9, mtime=0) if len(plain) >= _LEAST_COMPRESSED else plain
    return BundleFile(plain, packed if len(packed) < len(plain) else None, _media(name), caching)


def _media(name: str) -> str:
    suffix = name[name.rfind(".") :]
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _takes_gzip(accepted: str) -> bool:
    """Return whether a header Accept-Encoding allows gzip.

    >>> _takes_gzip("br, gzip"), _takes_gzip("gzip;q=0"), _takes_gzip("")
    (True, False, False)
    """
    given: Mapping[str, str] = {
        coding.strip().lower(): weight.replace(" ", "")
        for coding, _, weight in (part.partition(";") for part in accepted.split(","))
    }
    return given.get("gzip", "q=0") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
