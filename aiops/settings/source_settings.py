"""Settings of sources: secrets, which must not stand in a command line, and what `aiops connect` found."""

from pathlib import Path

from pydantic import Field, SecretStr

from aiops.settings.section import Section


class SourceSettings(Section):
    """What a source needs beside its options: secrets, for every list of processes has the command line in it; files."""

    token: SecretStr | None = Field(None, description="token sent to the source; or --set token_file=FILE")
    queries: Path | None = Field(
        None, description="file of queries for the source prometheus, one a line, where --set queries is not given"
    )
    edges: Path | None = Field(None, description="table of calls for the source prometheus, where --set edges is not given")
    url: SecretStr | None = Field(None, description="address of the source where it holds a password; or --set url_file=FILE")
