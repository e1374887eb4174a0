"""Which telemetry source is read, with its options from text values; secrets come from files or the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiops.errors import ConfigurationError

if TYPE_CHECKING:
    from aiops.ports import TelemetrySource
    from serving.ingest.pull.prometheus_live import LivePrometheus
    from serving.ingest.pull.source_options import SourceOptions

SECRET_OPTIONS: Final = ("token", "url")
"""Source options that are or may hold secrets; each may be given as NAME_file, or in the environment."""


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """Which source, where, and its further options as given on the command line."""

    name: str
    path: Path | None
    settings: tuple[str, ...] = ()

    def arguments(self) -> tuple[str, ...]:
        """Return the command line that names this choice, for a child process."""
        path = () if self.path is None else ("--path", str(self.path))
        return ("--source", self.name, *path, *(word for item in self.settings for word in ("--set", item)))

    @property
    def listens(self) -> bool:
        """Return whether the source sends by itself: nothing is read, there is no history."""
        from serving.ingest.pull.source_registry import LISTENED

        return self.name in LISTENED

    @property
    def follows(self) -> bool:
        """Return whether the source is followed live: it can be, and neither `start` nor `end` is given."""
        from serving.ingest.pull.source_registry import LIVE

        return self.name in LIVE and not {item.partition("=")[0].strip() for item in self.settings} & {"start", "end"}

    def open(self) -> "TelemetrySource":
        """Return the source.

        Raises:
            ConfigurationError: an option is unknown or unusable; the message names it and the fix.
        """
        from serving.ingest.pull.source_registry import open_source

        return open_source(self.name, self.options())

    def open_live(self) -> "LivePrometheus":
        """Return the source, to be followed.

        Raises:
            ConfigurationError: an option is unknown or unusable; the message names it and the fix.
        """
        from serving.ingest.pull.source_registry import open_live

        return open_live(self.name, self.options())

    def refuse_options(self) -> None:
        """Check that nothing is said about a source that is not read.

        Raises:
            ConfigurationError: there is a path or an option.
        """
        if self.path is not None or self.settings:
            raise ConfigurationError(
                f"--source {self.name}: it sends by itself, so it takes no --path and no --set; the settings of the receiver are "
                "those of section ingest"
            )

    def options(self) -> "SourceOptions":
        """Return what is said about the source, secrets and files of the settings included.

        Raises:
            ConfigurationError: an option is unknown or unusable; the message names it and the fix.
        """
        pairs: dict[str, str] = {} if self.path is None else {"path": str(self.path)}
        for item in self.settings:
            name, sign, value = item.partition("=")
            if not sign:
                raise ConfigurationError(f"--set {item[:4]!r}… is not name=value; write for example --set history_share=0.5")
            pairs[name.strip()] = value.strip()
        return source_options(with_files(self.name, with_secrets(self.name, pairs)))


def with_secrets(source: str, pairs: Mapping[str, str]) -> dict[str, str]:
    """Return options in which secrets stand: `token_file` and `url_file` are read, else those of the environment are taken.

    Raises:
        ConfigurationError: a secret stands on the command line, or its file cannot be read.
    """
    from serving.ingest.pull.source_registry import SOURCES

    refuse_open_secrets(pairs)
    filled, entry = dict(pairs), SOURCES.get(source)
    known = entry.reads if entry is not None else frozenset[str]()
    for name in SECRET_OPTIONS:
        if file := filled.pop(f"{name}_file", None):
            filled[name] = _secret_in(name, Path(file))
        elif name in known and name not in filled:
            from aiops.settings.reading import read_settings

            kept = getattr(read_settings().source, name)
            filled |= {name: kept.get_secret_value()} if kept is not None else {}
    return filled


def with_files(source: str, pairs: Mapping[str, str]) -> dict[str, str]:
    """Return options with the queries and calls of the settings, for a source that can be followed and is not given its own.

    Raises:
        ConfigurationError: the file of queries cannot be read.
    """
    from aiops.settings.reading import read_settings
    from serving.ingest.pull.source_registry import LIVE

    filled = dict(pairs)
    kept = read_settings().source if source in LIVE else None
    if kept is not None and kept.edges is not None:
        filled.setdefault("edges", str(kept.edges))
    if kept is not None and kept.queries is not None and "queries" not in filled:
        filled["queries"] = _queries_in(kept.queries)
    return filled


def _queries_in(path: Path) -> str:
    """Return the lines of a file of queries; empty ones and comments are left out."""
    try:
        lines = [line.strip() for line in path.expanduser().read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigurationError(f"source.queries: {path}: {reason}; `aiops connect prometheus URL --write` makes one") from error
    return "\n".join([*(line for line in lines if line and not line.startswith("#")), ""])


def refuse_open_secrets(pairs: Mapping[str, str]) -> None:
    """Refuse what every list of processes would show.

    Raises:
        ConfigurationError: a token is given, or a URL with a password in it.
    """
    url = pairs.get("url", "")
    secret_option = "token" if "token" in pairs else "url" if "@" in urlsplit(url).netloc else ""
    if secret_option:
        raise ConfigurationError(
            f"--set {secret_option}=(not shown): a secret, which everyone who lists the processes would see; put it into a file "
            f"that only you can read and give --set {secret_option}_file=FILE, or export AIOPS_SOURCE__{secret_option.upper()}"
        )


def _secret_in(name: str, path: Path) -> str:
    try:
        secret = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigurationError(f"{name}_file: {path}: {reason}; name a text file that holds nothing but the {name}") from error
    if not secret:
        raise ConfigurationError(f"{name}_file: {path} is empty; put the {name} into it")
    return header_text(f"{name}_file", secret)


def header_text(option: str, given: str) -> str:
    """Return what an option holds without space around it, which goes into a header of requests.

    Raises:
        ConfigurationError: it is more than one line of printable ASCII; the message does not show it.
    """
    text = given.strip()
    if not (text.isascii() and text.isprintable()):
        raise ConfigurationError(f"{option}: is not one line of printable ASCII, as a header has to be; take the rest away")
    return text


def remarks_of(source: "TelemetrySource") -> tuple[str, ...]:
    """Return what a source says of how it took what it has read so far; nothing where it has nothing to say."""
    from aiops.ports import Remarking

    return source.remarks() if isinstance(source, Remarking) else ()


def source_options(pairs: Mapping[str, str]) -> "SourceOptions":
    """Return typed source options from text values; `columns`, `series`, `history` and `queries` have forms of their own.

    Queries are separated by `;`, or stand one a line.

    Raises:
        ConfigurationError: an unknown name, or a value that does not fit.
    """
    from pydantic import TypeAdapter, ValidationError

    from serving.ingest.pull.source_options import ColumnMapping, SourceOptions, parse_duration, parse_series

    parsers: dict[str, Callable[[str], object]] = {
        "columns": ColumnMapping.parse,
        "series": parse_series,
        "history": parse_duration,
        "delimiter": lambda text: {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}.get(text, text),
        "queries": lambda text: tuple(part.strip() for part in text.split("\n" if "\n" in text else ";") if part.strip()),
    }
    known = {field.name for field in fields(SourceOptions)}
    unknown = sorted(set(pairs) - known)
    if unknown:
        raise ConfigurationError(f"{unknown[0]}: no such source option; known: {', '.join(sorted(known))}")
    values = {name: parsers[name](text) if name in parsers else text for name, text in pairs.items()}
    try:
        return TypeAdapter(SourceOptions).validate_python(values)
    except ValidationError as error:
        problem = error.errors()[0]
        given = "(not shown)" if problem["loc"][0] in SECRET_OPTIONS else repr(problem["input"])
        raise ConfigurationError(f"{problem['loc'][0]}: {given}: {problem['msg']}") from error
