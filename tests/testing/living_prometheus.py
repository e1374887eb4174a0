"""A small Prometheus that lives: speaks the query API over HTTP, on data that a test makes appear, late points included."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.testing.local_server import served_by

Labels = Mapping[str, str]
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")


@dataclass(slots=True)
class LivingPrometheus:
    """`series`: for each name its label sets; `value(name, labels, at_s)` = the value at an instant, None = no sample (yet).

    `vectors`: answers of instant queries by expression. `away` = every request is refused with 503. It keeps what was asked.
    """

    series: dict[str, list[Labels]] = field(default_factory=dict)
    value: Callable[[str, Labels, int], float | None] = lambda name, labels, at_s: float(at_s % 997)
    vectors: dict[str, list[tuple[Labels, float]]] = field(default_factory=dict)
    away: bool = False
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return status and body of a request."""
        self.asked.append((path, query))
        if self.away:
            return 503, {"status": "error", "errorType": "unavailable", "error": "it is away"}
        what = path.removeprefix("/api/v1/")
        if what == "query_range":
            return 200, _success({"resultType": "matrix", "result": self._matrix(query)})
        if what == "query":
            result = [{"metric": labels, "value": [0, str(value)]} for labels, value in self._vector(query["query"])]
            return 200, _success({"resultType": "vector", "result": result})
        if what == "label/__name__/values":
            return 200, _success(sorted(self.series))
        if what == "labels":
            label_sets = self._of(query.get("match[]", ""))
            return 200, _success(sorted({"__name__", *(name for labels in label_sets for name in labels)} if label_sets else []))
        return 404, {"status": "error", "error": f"no such path {path}"}

    def _matrix(self, query: dict[str, str]) -> list[Any]:
        start, end, step = (int(float(query[name])) for name in ("start", "end", "step"))
        name = query["query"]
        result = []
        for labels in self.series.get(name, []):
            values = [(at, self.value(name, labels, at)) for at in range(start, end + 1, step)]
            kept = [[at, str(value)] for at, value in values if value is not None]
            if kept:
                result.append({"metric": {"__name__": name, **labels}, "values": kept})
        return result

    def _vector(self, expression: str) -> list[tuple[Labels, float]]:
        """Return what the test gave for an expression, else one sample a group of the series named first in it, or after `or`."""
        if expression in self.vectors:
            return self.vectors[expression]
        expression = expression.partition(" or ")[2] or expression
        names = [name for name in _NAME.findall(expression) if name in self.series]
        label_sets = self._of(expression[expression.index(names[0]) :]) if names else []
        grouping = re.search(r"(?:by) \(([^)]*)\)", expression)
        wanted = [label.strip() for label in grouping[1].split(",")] if grouping else []
        renamed = re.search(r'"service", "\$1", "(\w+)", "([^"]*)"', expression)
        groups: dict[tuple[tuple[str, str], ...], float] = {}
        for labels in label_sets:
            known = dict(labels)
            if renamed and (match := re.fullmatch(renamed[2], known.get(renamed[1], ""))):
                known["service"] = match[1]
            groups[tuple((name, known[name]) for name in wanted if name in known and name != "le")] = 1.0
        return [(dict(key), value) for key, value in groups.items()]

    def _of(self, selector: str) -> list[Labels]:
        """Return the label sets that a selector `name{label="value",label=~"value"}` names."""
        match = _NAME.match(selector)
        label_sets = self.series.get(match[0], []) if match else []
        matchers = re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', selector.partition("{")[2].partition("}")[0]) if match else []
        return [
            labels for labels in label_sets if all(_holds(labels.get(name, ""), sign, value) for name, sign, value in matchers)
        ]


def _holds(text: str, sign: str, value: str) -> bool:
    equal = re.fullmatch(value, text) is not None if sign.endswith("~") else text == value
    return equal != sign.startswith("!")


def _success(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data}


@contextmanager
def living_prometheus(state: LivingPrometheus) -> Iterator[LivingPrometheus]:
    """Serve it on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, body = state.answer(parts.path, query)
            payload = orjson.dumps(body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    with served_by(Handler) as state.url:
        yield state
