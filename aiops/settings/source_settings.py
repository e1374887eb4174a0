"""Settings of sources that must not stand in a command line."""

from pydantic import Field, SecretStr

from aiops.settings.section import Section


class SourceSettings(Section):
    """What a source needs and a command line would show: every list of processes has the arguments in it."""

    token: SecretStr | None = Field(None, description="token sent to the source; or --set token_file=FILE")
    url: SecretStr | None = Field(None, description="address of the source where it holds a password; or --set url_file=FILE")
