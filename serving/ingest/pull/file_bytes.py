"""The bytes of a text file as UTF-8, block by block: unpacked, without its byte order mark, other encodings by their name.

Read on the calling thread alone: nothing of a file is in flight when its reader gives up.
"""

import codecs
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from aiops.errors import ConfigurationError, FileError, legible

BLOCK_BYTES: Final = 4 << 20
Codec = Literal["gzip", "zstd", "bz2"]
_PACKED: Final[Mapping[bytes, Codec]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_OTHER_FORMS: Final = {b"PAR1": "is a Parquet file", b"PK\x03\x04": "is a ZIP archive or a spreadsheet"}
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINES_LOOKED_AT: Final = 1000


def checked_encoding(name: str) -> str:
    """Return the name of an encoding of texts.

    Raises:
        ConfigurationError: it is none that is known.
    """
    try:
        if isinstance("".encode(name), bytes):
            return name
    except LookupError as error:
        raise ConfigurationError(f"encoding: {name!r} is not known; give for example utf-8, cp1252, latin-1 or utf-16") from error
    raise ConfigurationError(f"encoding: {name!r} is no encoding of texts; give for example cp1252")


def is_parquet(path: Path) -> bool:
    """Return whether a file is Parquet, by its ending or, where it has another one, by its first bytes.

    Raises:
        OSError: it cannot be opened.
    """
    if path.suffix.lower() in {".parquet", ".pq"}:
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def utf8_blocks(path: Path, encoding: str | None = None, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield a text file's content as UTF-8 in blocks of about `block_bytes`; at least one, which may be empty.

    Without `encoding` a byte order mark names it, else it is UTF-8; a few lines that are not go on as they are.

    Raises:
        OSError: the file cannot be opened or unpacked.
        FileError: it is no text, or in another encoding.
    """
    with path.open("rb") as file:
        start = file.read(4)
    for magic, what in _OTHER_FORMS.items():
        if start.startswith(magic):
            raise FileError(f"{path}: {what}, no text; give the right source, or save it as CSV")
    codec = next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)
    with closing(_opened(path, codec)) as stream:
        first = _read(stream, block_bytes)
        mark, marked = next(((mark, name) for mark, name in _MARKS if first.startswith(mark)), (b"", None))
        first = first[len(mark) :]
        name = marked or encoding or "utf-8"
        plain = codecs.lookup(name).name in {"utf-8", "utf-8-sig", "ascii"}
        if plain and marked is None:
            _check_utf8(path, first)
        decoder = None if plain else codecs.getincrementaldecoder(name)()
        block, last = first, False
        while not last:
            following = _read(stream, block_bytes)
            last = not following
            yield block if decoder is None else _recoded(path, decoder, block, last)
            block = following


def whole_text(path: Path, encoding: str | None = None) -> str:
    """Return a text file's content, read at once.

    Raises:
        OSError: the file cannot be opened or unpacked.
        FileError: it is no text, or in another encoding.
    """
    content = b"".join(utf8_blocks(path, encoding))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(
            path, content.count(b"\n", 0, error.start) + 1, content[max(0, error.start - 20) : error.end + 20]
        ) from error


def _opened(path: Path, codec: Codec | None) -> Any:
    file = pa.OSFile(str(path), "rb")
    return file if codec is None else pa.CompressedInputStream(file, codec)


def _read(stream: Any, size: int) -> bytes:
    parts: list[bytes] = []
    missing = size
    while missing > 0 and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _recoded(path: Path, decoder: codecs.IncrementalDecoder, block: bytes, last: bool) -> bytes:
    try:
        return decoder.decode(block, last).encode()
    except UnicodeError as error:
        raise FileError(f"{path}: is not in the encoding given ({legible(error)}); give another one as encoding") from error


def _check_utf8(path: Path, block: bytes) -> None:
    """Refuse a file whose first line, or most of whose first lines, are not UTF-8."""
    lines = block.split(b"\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT]
    if b"\x00" in lines[0]:
        side = "le" if lines[0].find(b"\x00") % 2 else "be"
        raise FileError(
            f"{path}: holds zero bytes: it is no text, or UTF-16 without a byte order mark; "
            f"if so, say it with encoding=utf-16-{side}"
        )
    bad = [number for number, line in enumerate(lines, 1) if not _is_utf8(line)]
    if bad and (bad[0] == 1 or 2 * len(bad) > sum(bool(line.strip()) for line in lines[1:])):
        raise _not_utf8(path, bad[0], lines[bad[0] - 1])


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return error.end == len(line) and error.reason == "unexpected end of data"
    return True


def _not_utf8(path: Path, number: int, line: bytes) -> FileError:
    shown = legible(line[:80].decode("ascii", "backslashreplace"))
    return FileError(
        f"{path}: line {number} is not UTF-8: {shown}; say the file's encoding, for example encoding=cp1252 "
        f"(with --set encoding=cp1252 or --encoding cp1252)"
    )
