"""Changes of single settings in `aiops.toml`: everything else in the file stays as it is, comments too."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from aiops.errors import ConfigurationError
from serving.host.atomic_file import write_atomically

_DELETE: Final = "\\u007f"
"""How TOML writes the one control character that JSON leaves as it is."""


def with_settings(text: str, section: str, values: Mapping[str, str]) -> str:
    """Return the text of a settings file with settings of a section set; comments and all other lines stay.

    >>> with_settings("[source]\\n#url = \\"\\"\\n\\n[up]\\n", "source", {"url": "http://p:9090"})
    '[source]\\nurl = "http://p:9090"\\n\\n[up]\\n'

    Raises:
        ConfigurationError: the text is no TOML, or the setting stands there in a form that cannot be changed line by line.
    """
    before = _read(text)
    lines = text.removesuffix("\n").split("\n") if text else []  # TOML knows no other line ends
    begin = next((number for number, line in enumerate(lines) if re.fullmatch(rf"\s*\[\s*{section}\s*\]\s*(#.*)?", line)), None)
    if begin is None:
        lines += [*([""] if lines and lines[-1].strip() else []), f"[{section}]"]
        begin = len(lines) - 1
    for name, value in values.items():
        end = next((number for number in range(begin + 1, len(lines)) if lines[number].lstrip().startswith("[")), len(lines))
        own = [n for n in range(begin + 1, end) if re.match(rf"\s*{name}\s*=", lines[n])]
        shown = [n for n in range(begin + 1, end) if re.match(rf"\s*#\s*{name}\s*=", lines[n])]
        line = f"{name} = {json.dumps(value, ensure_ascii=False).replace(chr(127), _DELETE)}"
        if own or shown:
            lines[(own or shown)[0]] = line
        else:
            lines.insert(begin + 1, line)
    changed = "\n".join(lines) + "\n"
    if _read(changed) != {**before, section: {**before.get(section, {}), **values}}:
        names = ", ".join(values)
        raise ConfigurationError(f"settings file: {names} in [{section}] cannot be changed line by line; change them by hand")
    return changed


def change_settings(path: Path, section: str, values: Mapping[str, str]) -> None:
    """Set settings of a section in a file, which is made where it is missing; it is replaced whole or not at all.

    Raises:
        ConfigurationError: it cannot be read, is no TOML, or has the setting in a form that cannot be changed line by line.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"settings file {path}: it cannot be read ({error}); mend it, or name another") from error
    changed = with_settings(text, section, values).encode()

    def write(handle: BinaryIO) -> None:
        handle.write(changed)

    write_atomically(path.parent, path, write)


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"settings file: {error}; mend it first") from error
