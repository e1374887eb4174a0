"""A stand-in for the routes of a Kubernetes API server that actions and `kubectl` use: no cluster, but the rules that matter.

Resource versions with 409, server-side dry run, JSON, merge and strategic merge patches, the scale subresource, and a replica set
a revision of a deployment. What it does is held against a real kubectl by a test; it is no proof of a cluster.
"""

import copy
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.testing.free_ports import free_port

REVISION = "deployment.kubernetes.io/revision"
Body = dict[str, Any]
_KINDS = {
    "v1": [("nodes", "Node", False), ("namespaces", "Namespace", False), ("pods", "Pod", True)],
    "apps/v1": [(f"{kind.lower()}s", kind, True) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")],
    "autoscaling/v2": [("horizontalpodautoscalers", "HorizontalPodAutoscaler", True)],
}


class Refused(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


@dataclass
class StandIn:
    """Objects by path; `requests` are what was asked, `deny` a path whose changes are refused with 403."""

    url: str = ""
    objects: dict[str, Body] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    deny: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    version: int = 1

    def put_node(self, name: str) -> str:
        """Add a node and return its path."""
        return self._added(f"/api/v1/nodes/{name}", "v1", "Node", {"metadata": {"name": name}, "spec": {}})

    def put_workload(self, name: str, kind: str = "Deployment", **spec: Any) -> str:
        """Add a workload of namespace shop with one container and return its path."""
        labels = {"app": name}
        container = {"name": "main", "image": f"{name}:1", "resources": {"limits": {"memory": "256Mi"}}}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        body = {"metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"}}
        body["spec"] = {"replicas": 4, "selector": {"matchLabels": labels}, "template": template, **spec}  # type: ignore[dict-item]
        return self._added(f"/apis/apps/v1/namespaces/shop/{kind.lower()}s/{name}", "apps/v1", kind, body)

    def put_autoscaler(self, workload: str) -> None:
        """Add an autoscaler of a deployment."""
        body = {
            "metadata": {"name": f"{workload}-hpa", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": workload}},
        }
        path = f"/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/{workload}-hpa"
        self._added(path, "autoscaling/v2", "HorizontalPodAutoscaler", body)

    def set_image(self, path: str, image: str) -> None:
        """Change the image as somebody else would."""
        with self.lock:
            changed = copy.deepcopy(self.objects[path])
            changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
            self._store(path, changed)

    def handle(self, method: str, path: str, query: Mapping[str, list[str]], body: Any, kind: str) -> Body:
        """Answer one request.

        Raises:
            Refused: by a Status.
        """
        with self.lock:
            self.requests.append(f"{method} {path}{'?dryRun=All' if 'dryRun' in query else ''}")
            if path.endswith("/scale"):
                return self._scaled(method, path.removesuffix("/scale"), query, body, kind)
            if method == "GET":
                return self._read(path, query)
            current = self._object(path)
            if self.deny and path.startswith(self.deny):
                raise Refused(403, "Forbidden", f"{path} may not be changed")
            changed = copy.deepcopy(body) if method == "PUT" else patched(copy.deepcopy(current), body, kind)
            given = changed.get("metadata", {}).get("resourceVersion")
            if given not in (None, "", current["metadata"]["resourceVersion"]):
                raise Refused(409, "Conflict", "the object has been modified; apply your changes to the latest version")
            return changed if "dryRun" in query else self._store(path, changed)

    def _added(self, path: str, version: str, kind: str, body: Body) -> str:
        self._store(path, {"apiVersion": version, "kind": kind, **body})
        return path

    def _store(self, path: str, body: Body) -> Body:
        self.version += 1
        body = _without_nulls(body)
        body["metadata"]["resourceVersion"] = str(self.version)
        if body["kind"] == "Deployment":
            self._revise(path, body)
        self.objects[path] = body
        return body

    def _revise(self, path: str, deployment: Body) -> None:
        """Keep a replica set a template, as the deployment controller does; an old template's set gets the newest number."""
        digest = hashlib.sha256(json.dumps(deployment["spec"]["template"], sort_keys=True).encode()).hexdigest()[:10]
        name = f"{deployment['metadata']['name']}-{digest}"
        where = f"{path.rsplit('/deployments/', 1)[0]}/replicasets/{name}"
        own = [
            kept
            for kept in self.objects.values()
            if kept["kind"] == "ReplicaSet" and kept["metadata"]["name"].startswith(name[:-11])
        ]
        last = max((int(kept["metadata"]["annotations"][REVISION]) for kept in own), default=0)
        if where in self.objects and int(self.objects[where]["metadata"]["annotations"][REVISION]) == last:
            return
        template = copy.deepcopy(deployment["spec"]["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})["pod-template-hash"] = digest
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": template["metadata"]["labels"]}
        metadata["annotations"] = {REVISION: str(last + 1)}
        metadata["ownerReferences"] = [{"uid": deployment["metadata"]["uid"], "kind": "Deployment", "controller": True}]
        metadata["resourceVersion"] = str(self.version)
        body = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": metadata,
            "spec": {"replicas": 0, "template": template},
        }
        self.objects[where] = body
        deployment["metadata"].setdefault("annotations", {})[REVISION] = str(last + 1)

    def _object(self, path: str) -> Body:
        if path not in self.objects:
            raise Refused(404, "NotFound", f"{path} not found")
        return self.objects[path]

    def _read(self, path: str, query: Mapping[str, list[str]]) -> Body:
        discovered = _discovery(path)
        if discovered is not None:
            return discovered
        if path in self.objects:
            return self.objects[path]
        group, _, plural = path.rpartition("/")
        kinds = {name: (version, kind) for version, entries in _KINDS.items() for name, kind, _ in entries}
        if plural not in kinds:
            raise Refused(404, "NotFound", f"{path} not found")
        version, kind = kinds[plural]
        wanted = dict(pair.split("=") for text in query.get("labelSelector", []) for pair in text.split(","))
        items = [
            kept
            for where, kept in sorted(self.objects.items())
            if where.startswith(f"{group}/{plural}/") and wanted.items() <= (kept["metadata"].get("labels") or {}).items()
        ]
        return {"apiVersion": version, "kind": f"{kind}List", "metadata": {"resourceVersion": str(self.version)}, "items": items}

    def _scaled(self, method: str, path: str, query: Mapping[str, list[str]], body: Any, kind: str) -> Body:
        current = self._object(path)
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": current["spec"]["replicas"]}}
        scale["metadata"] = {name: current["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
        if method == "GET":
            return scale
        changed = body if method == "PUT" else patched(scale, body, kind)
        whole = copy.deepcopy(current)
        whole["spec"]["replicas"] = changed["spec"]["replicas"]
        if "dryRun" not in query:
            self._store(path, whole)
        return changed


def _without_nulls(value: Any) -> Any:
    """Return an object without members that are null: the API server drops them, and kubectl sends some."""
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def patched(value: Any, patch: Any, kind: str) -> Any:
    """Return an object after a patch: JSON patch (RFC 6902), or a merge in which lists of named things go by name."""
    if "json-patch" in kind:
        for operation in patch:
            value = _operated(value, operation)
        return value
    return _merged(value, patch, "strategic" in kind)


def _operated(value: Any, operation: Body) -> Any:
    names = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    holder = value
    for name in names[:-1]:
        holder = holder[int(name)] if isinstance(holder, list) else holder[name]
    if operation["op"] == "test" and holder.get(names[-1]) != operation["value"]:
        raise Refused(422, "Invalid", f"test of {operation['path']} failed")
    if operation["op"] in ("add", "replace"):
        holder[names[-1]] = operation["value"]
    if operation["op"] == "remove":
        holder.pop(names[-1])
    return value


def _merged(value: Any, patch: Any, strategic: bool) -> Any:
    if strategic and isinstance(patch, list) and patch and all(isinstance(entry, dict) and "name" in entry for entry in patch):
        kept = {entry["name"]: entry for entry in value or []}
        for entry in patch:
            kept[entry["name"]] = _merged(kept.get(entry["name"]), entry, strategic)
        return list(kept.values())
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if name.startswith("$"):
            continue
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), part, strategic)
    return merged


def _discovery(path: str) -> Body | None:
    if path == "/version":
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [name.split("/") for name in _KINDS if "/" in name]
        versions = [(group, {"groupVersion": f"{group}/{version}", "version": version}) for group, version in groups]
        listed = [{"name": group, "versions": [entry], "preferredVersion": entry} for group, entry in versions]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    for version, kinds in _KINDS.items():
        if path == (f"/apis/{version}" if "/" in version else f"/api/{version}"):
            verbs = ["get", "list", "patch", "update"]
            resources = [{"name": name, "kind": kind, "namespaced": inside, "verbs": verbs} for name, kind, inside in kinds]
            if version == "apps/v1":
                scale = {"group": "autoscaling", "version": "v1", "kind": "Scale", "namespaced": True, "verbs": verbs}
                resources += [{"name": f"{name}/scale", **scale} for name in ("deployments", "statefulsets")]
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
    return None


@contextmanager
def kubernetes_stand_in() -> Iterator[StandIn]:
    """Serve one until the block ends."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            try:
                answer = stand_in.handle(
                    self.command, parts.path, parse_qs(parts.query), body, self.headers.get("Content-Type", "")
                )
                code = 200
            except Refused as error:
                code = error.code
                answer = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
                answer |= {"reason": error.reason, "message": str(error)}
            data = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_PATCH = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
