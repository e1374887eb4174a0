"""A schema registry for tests: a server of its own that answers as the documented HTTP API does, as far as readers use it.

Source: Confluent Schema Registry API reference: `/schemas/ids/{id}`, `/subjects/{subject}/versions/{version}`, error codes 40401
to 40403, `format=serialized`.
"""

import base64
import json
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from google.protobuf.descriptor_pb2 import FileDescriptorProto


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a subject; of protobuf also what it is serialized."""

    schema_id: int
    subject: str
    version: int
    kind: str
    text: str
    serialized: str = ""
    references: tuple["Registered", ...] = ()
    names: tuple[str, ...] = ()


@dataclass
class RegistryServer:
    """Use as a context manager; `asked` are the paths asked for, `password` makes it ask for one of user `reader`.

    `tls` = it speaks https by that.
    """

    password: str = ""
    tls: ssl.SSLContext | None = None
    status: int = 200
    asked: list[str] = field(default_factory=list)
    schemas: list[Registered] = field(default_factory=list)

    def __enter__(self) -> "RegistryServer":
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, answer = registry.answer(self.path, self.headers.get("authorization", ""))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Stay silent."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Stay silent: a client that is refused is the test's."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        login = f"reader:{self.password}@" if self.password else ""
        return f"{'https' if self.tls else 'http'}://{login}127.0.0.1:{self._server.server_port}"

    def register(self, subject: str, kind: str, text: str, references: Sequence[tuple[str, Registered]] = ()) -> Registered:
        """Register a schema under a new id."""
        return self._added(Registered(0, subject, 0, kind, text, "", *_referred(references)))

    def register_file(self, file: FileDescriptorProto, references: Sequence[tuple[str, Registered]] = ()) -> Registered:
        """Register a file of protobuf."""
        serialized = base64.b64encode(file.SerializeToString()).decode()
        text = 'syntax = "proto3"; // as a person wrote it'
        return self._added(Registered(0, file.name, 0, "PROTOBUF", text, serialized, *_referred(references)))

    def answer(self, path: str, login: str) -> tuple[int, Any]:
        self.asked.append(path)
        expected = "Basic " + base64.b64encode(f"reader:{self.password}".encode()).decode()
        if self.password and login != expected:
            return 401, {"error_code": 40101, "message": "Unauthorized"}
        if self.status != 200:
            return self.status, {"error_code": 50001, "message": "Error in the backend datastore"}
        parts = urlsplit(path)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        serialized = parse_qs(parts.query).get("format") == ["serialized"]
        if words[:2] == ["schemas", "ids"]:
            known = [schema for schema in self.schemas if str(schema.schema_id) == words[2]]
            return (200, _shown(known[0], serialized)) if known else (404, {"error_code": 40403, "message": "Schema not found"})
        known = [schema for schema in self.schemas if [schema.subject, str(schema.version)] == [words[1], words[3]]]
        if not known:
            return 404, {"error_code": 40401, "message": "Subject not found."}
        place = {"subject": known[0].subject, "version": known[0].version, "id": known[0].schema_id}
        return 200, {**place, **_shown(known[0], serialized)}

    def _added(self, schema: Registered) -> Registered:
        version = 1 + sum(known.subject == schema.subject for known in self.schemas)
        fields = (schema.subject, version, schema.kind, schema.text, schema.serialized, schema.references, schema.names)
        self.schemas.append(Registered(100 + len(self.schemas), *fields))
        return self.schemas[-1]


def _referred(references: Sequence[tuple[str, Registered]]) -> tuple[tuple[Registered, ...], tuple[str, ...]]:
    return tuple(schema for _, schema in references), tuple(name for name, _ in references)


def _shown(schema: Registered, serialized: bool) -> dict[str, Any]:
    """Return a schema as the API does: its kind only where it is not Avro, references only where there are some."""
    shown: dict[str, Any] = {"schema": schema.serialized if serialized and schema.kind == "PROTOBUF" else schema.text}
    if schema.kind != "AVRO":
        shown["schemaType"] = schema.kind
    if schema.references:
        shown["references"] = [
            {"name": name, "subject": inner.subject, "version": inner.version}
            for name, inner in zip(schema.names, schema.references, strict=True)
        ]
    return shown


def framed(schema_id: int, content: bytes) -> bytes:
    """Return a message as serializers of the registry write it."""
    return struct.pack(">BI", 0, schema_id) + content
