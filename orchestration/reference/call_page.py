"""The page of the calls over gRPC."""

import re
from pathlib import Path
from typing import Final

from orchestration.reference.markdown import code, page, table, text
from serving.scoring import proto

PROTO: Final = Path(proto.__file__).parent / "scoring.proto"
_CALL: Final = re.compile(r"((?:^ *//[^\n]*\n)*)^ *rpc (\w+)\((\w+)\) returns \((\w+)\);", re.MULTILINE)
_OPENING: Final = """\
The scoring service answers the calls of HTTP over gRPC, too, on port 3101 (`AIOPS_SERVING__GRPC_PORT`), with the same models,
limits, roles and refusals. Health (`grpc.health.v1`) and reflection are on and open to all."""


def grpc_page() -> str:
    """Return the page."""
    source = PROTO.read_text(encoding="utf-8")
    head = source.partition("syntax =")[0]
    rows = [
        (code(name), code(request), code(answer), text(_words(about))) for about, name, request, answer in _CALL.findall(source)
    ]
    calls = table(("call", "request", "answer", "what it answers"), rows)
    return page("gRPC", _OPENING, text(_words(head)), "## Calls", calls, "## Contract", f"```proto\n{source.strip()}\n```")


def _words(comment: str) -> str:
    return " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
