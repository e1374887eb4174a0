"""A Kafka cluster by URL: `kafka://[user:password@]host:port[,host:port…]/topic?option=value`.

Options are those of librdkafka with `_` in place of `.` (`security_protocol=SASL_SSL`, `sasl_mechanism=SCRAM-SHA-512`,
`ssl_ca_location=/etc/ca.pem`); user and password are its `sasl.username` and `sasl.password`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from aiops.errors import ConfigurationError

DEFAULT_TOPIC: Final = "aiops.telemetry"
_CRITICAL: Final = 2
OWN: Final = frozenset({"bootstrap.servers", "enable.idempotence", "enable.auto.commit", "group.id", "transactional.id", "acks"})
"""Options that decide whether anything is lost or doubled: ours to set."""


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Where the cluster is, which topic holds telemetry, and how to log in; `options` as librdkafka names them."""

    servers: str
    topic: str
    options: Mapping[str, str]

    def configuration(self, own: Mapping[str, str | int | bool]) -> dict[str, str | int | float | bool]:
        """Return a client's configuration: how to connect, and its `own` options."""
        return {"bootstrap.servers": self.servers, "client.id": "aiops", "log_level": _CRITICAL, **self.options, **own}


def kafka_address(url: str, setting: str = "broker.url") -> KafkaAddress:
    """Return what the URL of a setting says.

    Raises:
        ConfigurationError: no host, or an option that is ours to set. The message shows no password.
    """
    parts = urlsplit(url)
    login, _, servers = parts.netloc.rpartition("@")
    if not servers:
        raise ConfigurationError(f"{setting}: kafka:// without a host; write kafka://host:9092")
    options = {name.replace("_", "."): value for name, value in parse_qsl(parts.query)}
    refused = sorted(OWN & options.keys())
    if refused:
        raise ConfigurationError(f"{setting}: option {refused[0]} is set by the suite, which relies on it; leave it out")
    if login:
        user, _, password = login.partition(":")
        options |= {"sasl.username": unquote(user), "sasl.password": unquote(password)}
    return KafkaAddress(servers, parts.path.strip("/") or DEFAULT_TOPIC, options)
