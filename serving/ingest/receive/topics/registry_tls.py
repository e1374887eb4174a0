"""TLS of a schema registry that the machine's own certificate authorities do not cover, or that asks for a certificate."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiops.errors import ConfigurationError
from aiops.settings.ingest_settings import IngestSettings


@dataclass(frozen=True, slots=True)
class RegistryTls:
    """Files in PEM: authorities that the registry's certificate is held against in place of all others, ours, and its key."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str = ""

    @classmethod
    def of(cls, ingest: IngestSettings) -> "RegistryTls":
        """Return what the settings say."""
        password = ingest.registry_key_password
        files = (ingest.registry_ca_file, ingest.registry_cert_file, ingest.registry_key_file)
        return cls(*files, password.get_secret_value() if password else "")

    def context(self) -> ssl.SSLContext:
        """Return what a client connects by; without files it trusts the public authorities.

        Raises:
            ConfigurationError: a file is not there or is not what it should be; it names the setting.
        """
        if self.key_file is not None and self.cert_file is None:
            raise ConfigurationError(
                "ingest.registry_key_file: a key without its certificate; set AIOPS_INGEST__REGISTRY_CERT_FILE"
            )
        if self.ca_file is None:
            import httpx

            context = httpx.create_ssl_context(trust_env=False)
        else:
            try:
                context = ssl.create_default_context(cafile=self.ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise _unusable("registry_ca_file", self.ca_file, "certificates of authorities", error) from error
        if self.cert_file is not None:
            try:
                context.load_cert_chain(self.cert_file, self.key_file, self.key_password)
            except OSError as error:
                what = "a certificate and its key (AIOPS_INGEST__REGISTRY_KEY_FILE, _KEY_PASSWORD)"
                raise _unusable("registry_cert_file", self.cert_file, what, error) from error
        return context


PUBLIC: Final = RegistryTls()


def _unusable(setting: str, path: Path, what: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"ingest.{setting} = {path}: cannot be read as {what} ({error}); give a file in PEM to AIOPS_INGEST__{setting.upper()}"
    )
