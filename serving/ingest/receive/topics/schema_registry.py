"""A schema registry over HTTP: schemas by id with what they refer to, each asked for once.

Source: Confluent Schema Registry's REST API (`/schemas/ids/{id}`, `/subjects/{subject}/versions/{version}`, `format=serialized`
for protobuf), which Redpanda and Karapace serve too. A schema never changes under its id.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from aiops.errors import Unavailable
from serving.ingest.receive.topics.registry_tls import PUBLIC, RegistryTls
from serving.ingest.receive.wire.decoded import MalformedBody

AVRO: Final = "AVRO"
JSON: Final = "JSON"
PROTOBUF: Final = "PROTOBUF"
_MOST_KEPT: Final = 4096
_UNKNOWN_S: Final = 30.0
"""How long a registry is not asked again for an id that it does not know."""
_DEEPEST: Final = 32
_ABSENT: Final = 404
_BAD_REQUEST: Final = 400
_SERIALIZED: Final = {"format": "serialized"}


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema, of protobuf its serialized descriptor in base64, with those that it refers to, by name."""

    kind: str
    text: str
    references: "Mapping[str, RegisteredSchema]"


class SchemaRegistry:
    """A registry by URL; one event loop has it."""

    def __init__(
        self, url: str, tls: RegistryTls = PUBLIC, timeout_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the settings; nothing connects yet. Raises: ConfigurationError: see `RegistryTls.context`."""
        self._tls = tls.context()
        self._url = url.rstrip("/")
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        self._timeout_s = timeout_s
        self._clock = clock
        self._schemas: dict[int, RegisteredSchema] = {}
        self._unknown: dict[int, float] = {}

    async def schema(self, schema_id: int) -> RegisteredSchema:
        """Return a schema.

        Raises:
            MalformedBody: the registry has none of that id, or in no form that can be used.
            Unavailable: it does not answer, or not us.
        """
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        if self._unknown.get(schema_id, 0.0) > self._clock():
            raise self._absent(schema_id)
        given = await self._asked(f"/schemas/ids/{schema_id}", {})
        if given is None:
            if len(self._unknown) >= _MOST_KEPT:
                self._unknown.clear()
            self._unknown[schema_id] = self._clock() + _UNKNOWN_S
            raise self._absent(schema_id)
        schema = await self._whole(f"/schemas/ids/{schema_id}", given, 0)
        if len(self._schemas) >= _MOST_KEPT:
            self._schemas.clear()
        self._schemas[schema_id] = schema
        return schema

    async def _whole(self, path: str, given: Mapping[str, Any], depth: int) -> RegisteredSchema:
        """Return an answered schema with all that it refers to."""
        kind = str(given.get("schemaType") or AVRO)
        if kind == PROTOBUF:
            given = await self._asked(path, _SERIALIZED) or {}
        text = given.get("schema")
        if not isinstance(text, str):
            raise MalformedBody(f"schema registry {self._host}", f"{path} answers with a text `schema`")
        references: dict[str, RegisteredSchema] = {}
        for reference in given.get("references") or ():
            if depth >= _DEEPEST:
                raise MalformedBody(f"schema registry {self._host}", f"{path}: references are at most {_DEEPEST} deep")
            place = f"/subjects/{quote(str(reference['subject']), safe='')}/versions/{int(reference['version'])}"
            inner = await self._asked(place, {})
            if inner is None:
                raise MalformedBody(f"schema registry {self._host}", f"{place}, which a schema refers to, is there")
            references[str(reference["name"])] = await self._whole(place, inner, depth + 1)
        return RegisteredSchema(kind, text, references)

    async def _asked(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Return an answer of the registry, None where it does not know the thing."""
        import httpx

        try:
            async with httpx.AsyncClient(timeout=self._timeout_s, trust_env=False, verify=self._tls) as client:
                answer = await client.get(self._url + path, params=dict(query))
                if answer.status_code == _ABSENT:
                    return None
                if answer.status_code >= _BAD_REQUEST:
                    raise Unavailable(f"schema registry {self._host}: {path} is answered {answer.status_code}; see its log")
                given = answer.json()
        except (httpx.HTTPError, OSError, ValueError) as error:  # an alert of TLS comes as it is
            raise Unavailable(f"schema registry {self._host}: {path} got no answer: {_cause(error)}") from error
        if not isinstance(given, dict):
            raise Unavailable(f"schema registry {self._host}: {path} is not answered with an object; is this the registry's URL?")
        return given

    def _absent(self, schema_id: int) -> MalformedBody:
        return MalformedBody(
            f"schema id {schema_id}", f"the registry {self._host} knows it: is AIOPS_INGEST__REGISTRY_URL its own?"
        )


def _cause(error: Exception) -> str:
    """Return in words why there is no answer, and what helps."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"its certificate is not trusted ({error}); set AIOPS_INGEST__REGISTRY_CA_FILE to the authority's certificate"
    return f"{type(error).__name__}; is it running and reachable, and does AIOPS_INGEST__REGISTRY_CERT_FILE suit it?"
