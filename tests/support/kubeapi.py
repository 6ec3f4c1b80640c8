"""An API server that does what a real one cannot be made to do on command: answer late, wrongly, twice or not at all.

Lists, watches and objects of the kinds that the gateway reads, over HTTP on loopback. What a healthy server does is
tested against kube-apiserver itself, in ``tests/kube``.
"""

from __future__ import annotations

import asyncio
import copy
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

import orjson

from gateway.sources.kubernetes.kinds import CONTENT_KINDS
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types import TracebackType

AMBASSADOR = "/apis/getambassador.io"
CORE = {
    "Service": "/api/v1/services",
    "Secret": "/api/v1/secrets",
    "ConfigMap": "/api/v1/configmaps",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Ingress": "/apis/networking.k8s.io/v1/ingresses",
    "IngressClass": "/apis/networking.k8s.io/v1/ingressclasses",
}
INSTALLED = tuple(item.plural for item in CONTENT_KINDS if item.path is None)


@dataclass(slots=True)
class Watcher:
    """An open watch."""

    collection: str
    namespace: str
    writer: asyncio.StreamWriter
    metadata_only: bool
    mute: bool = False
    """Send nothing any more, and do not close either."""


@dataclass(slots=True)
class Request:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    accept: str
    authorization: str


@dataclass(slots=True)
class ScriptedApi:
    """``async with ScriptedApi() as api: api.put(object)``; everything it was asked is in :attr:`requests`."""

    port: int = 0
    installed: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict.fromkeys(INSTALLED, ("v3alpha1",)))
    """Plural names of getambassador.io and their versions."""
    requests: list[Request] = field(default_factory=list)
    faults: dict[str, list[tuple[int, dict[str, str], str]]] = field(default_factory=dict)
    """(status, headers, message) of the next answers for a path."""
    denied: set[str] = field(default_factory=set)
    """``METHOD PATH`` or ``list PATH``, ``watch PATH`` that are answered 403."""
    late: dict[str, asyncio.Event] = field(default_factory=dict)
    """Paths of lists and objects that wait for an event."""
    missing: dict[str, asyncio.Event] = field(default_factory=dict)
    """Paths of objects that are answered 404, after an event."""
    dropping: bool = False
    """Forget to send events."""
    deep: dict[str, int] = field(default_factory=dict)
    """Names of objects and how many levels their ``spec.envoy_override`` is deep."""
    ready: bool = True
    """What ``/readyz`` says: whether all definitions are known."""
    page: int = 500
    """Most objects of one page."""
    watchers: list[Watcher] = field(default_factory=list)
    _objects: dict[str, dict[tuple[str, str], dict[str, Any]]] = field(default_factory=dict)
    _history: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)
    _version: int = 100
    _compacted: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the port of the last time."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self._server = await asyncio.start_server(self._serve, sock=listening)
        self.port = listening.getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections and cut those that are open."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        self.watchers.clear()
        await eventually(lambda: not self._connections, "the end of all connections")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    # ------------------------------------------------------------------------------------------------------ content

    def put(self, *objects: dict[str, Any]) -> None:
        """Add or change objects and tell the watchers."""
        for given in objects:
            self._version += 1
            item = copy.deepcopy(given)
            collection, key = self._place(item)
            table = self._objects.setdefault(collection, {})
            known = table.get(key)
            uid = known["metadata"]["uid"] if known is not None else f"uid-{self._version}"
            item["metadata"] = {"uid": uid, **item["metadata"], "resourceVersion": str(self._version)}
            table[key] = item
            self._tell("ADDED" if known is None else "MODIFIED", collection, item)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object and tell the watchers."""
        collection = CORE.get(kind) or f"{AMBASSADOR}/{kind.lower()}s"
        item = self._objects[collection].pop((namespace, name))
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        self._tell("DELETED", collection, item)

    def compact(self) -> None:
        """Forget the history: no watch may begin before now."""
        self._version += 1
        self._compacted = self._version
        self._history.clear()

    def send(self, kind: str, event: dict[str, Any]) -> None:
        """Say anything to the watchers of a kind."""
        collection = CORE.get(kind) or f"{AMBASSADOR}/{kind.lower()}s"
        for watcher in self.watchers:
            if watcher.collection == collection:
                _send(watcher, event)

    def cut(self) -> None:
        """Cut all watches in the middle."""
        for watcher in self.watchers:
            watcher.writer.transport.abort()
        self.watchers.clear()

    def end(self) -> None:
        """End all watches as a server does when their time is over."""
        for watcher in self.watchers:
            watcher.writer.write(b"0\r\n\r\n")
        self.watchers.clear()

    def asked(self, path: str, *, watch: bool | None = None) -> list[Request]:
        """Requests for a path: all, or only watches, or only others."""
        return [
            item for item in self.requests if item.path == path and (watch is None or ("watch" in item.query) is watch)
        ]

    @property
    def bookmark(self) -> dict[str, Any]:
        """A bookmark of now."""
        return {"type": "BOOKMARK", "object": {"kind": "Any", "metadata": {"resourceVersion": str(self._version)}}}

    # ----------------------------------------------------------------------------------------------------- requests

    def _place(self, item: dict[str, Any]) -> tuple[str, tuple[str, str]]:
        kind = item["kind"]
        collection = CORE.get(kind) or f"{AMBASSADOR}/{kind.lower()}s"
        return collection, (item["metadata"].get("namespace", ""), item["metadata"]["name"])

    def _tell(self, event: str, collection: str, item: dict[str, Any]) -> None:
        self._history.append((self._version, collection, event, copy.deepcopy(item)))
        if not self.dropping:
            for watcher in self.watchers:
                if watcher.collection == collection and watcher.namespace in ("", item["metadata"].get("namespace")):
                    _send(watcher, {"type": event, "object": item}, self.deep)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *lines = head.split("\r\n")
                method, target, _ = line.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in lines)}
                parts = urlsplit(target)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                accept, authorization = headers.get("accept", ""), headers.get("authorization", "")
                request = Request(method, parts.path, query, accept, authorization)
                self.requests.append(request)
                await self._answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.watchers = [item for item in self.watchers if item.writer is not writer]
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._connections.discard(writer)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Answer one request, or begin to."""
        verb = "watch" if "watch" in request.query else "list"
        if self.denied & {f"{request.method} {request.path}", f"{verb} {request.path}"}:
            _reply(writer, 403, _status(403, "Forbidden", f"may not {verb} {request.path}"))
            return
        if self.faults.get(request.path):
            status, headers, message = self.faults[request.path].pop(0)
            _reply(writer, status, _status(status, "Fault", message), headers)
            return
        if request.path == "/readyz":
            _reply(writer, 200 if self.ready else 500, {})
            return
        groups = self._discovery(request.path)
        if groups is not None:
            _reply(writer, 200, groups)
            return
        found = self._resolve(request.path)
        if found is None:
            _reply(writer, 404, _status(404, "NotFound", f"no {request.path}"))
            return
        collection, namespace, name, api_version = found
        if verb == "list" and request.path in self.late:
            await self.late[request.path].wait()
        if request.path in self.missing:
            await self.missing[request.path].wait()
            _reply(writer, 404, _status(404, "NotFound", f"no {name}"))
            return
        if name:
            item = self._objects.get(collection, {}).get((namespace, name))
            absent = _status(404, "NotFound", f"no {name}")
            _reply(writer, 404 if item is None else 200, absent if item is None else item)
            return
        if verb == "watch":
            self._watch(request, writer, collection, namespace)
            return
        token = request.query.get("continue", "")
        if token and int(token.partition(".")[2]) < self._compacted:
            _reply(writer, 410, _status(410, "Expired", "the continue parameter is too old"))
            return
        _reply(writer, 200, self._list(request, collection, namespace, api_version), deep=self.deep)

    def _discovery(self, path: str) -> dict[str, Any] | None:
        versions = sorted({version for served in self.installed.values() for version in served})
        if path == AMBASSADOR and versions:
            return {"kind": "APIGroup", "versions": [{"version": item} for item in versions]}
        for version in versions:
            if path == f"{AMBASSADOR}/{version}":
                served = [name for name, known in self.installed.items() if version in known]
                return {"kind": "APIResourceList", "resources": [{"name": name} for name in served]}
        return None

    def _resolve(self, path: str) -> tuple[str, str, str, str] | None:
        """Collection, namespace, name and apiVersion of a path."""
        before, _, rest = path.partition("/namespaces/")
        namespace = name = ""
        if rest:
            namespace, plural, *more = rest.split("/")
            path, name = f"{before}/{plural}", "/".join(more)
        if path.startswith(f"{AMBASSADOR}/"):
            version, _, plural = path.removeprefix(f"{AMBASSADOR}/").partition("/")
            if version not in self.installed.get(plural, ()):
                return None
            return f"{AMBASSADOR}/{plural}", namespace, name, f"getambassador.io/{version}"
        if path not in CORE.values():
            return None
        return path, namespace, name, path.rpartition("/")[0].removeprefix("/apis/").removeprefix("/api/")

    def _list(self, request: Request, collection: str, namespace: str, api_version: str) -> dict[str, Any]:
        items = [item for key, item in sorted(self._objects.get(collection, {}).items()) if namespace in ("", key[0])]
        start = int(request.query.get("continue", "0").partition(".")[0])
        size = min(int(request.query.get("limit", "500")), self.page)
        metadata: dict[str, Any] = {"resourceVersion": str(self._version)}
        if start + size < len(items):
            metadata["continue"] = f"{start + size}.{self._version}"
        metadata_only = "PartialObjectMetadata" in request.accept
        kind = next((name for name, path in CORE.items() if path == collection), "")
        # Items of kinds that Kubernetes has itself come without their kind.
        bare = ("kind", "apiVersion") if kind else ()
        shown = [
            _metadata(item) if metadata_only else {name: value for name, value in item.items() if name not in bare}
            for item in items[start : start + size]
        ]
        listed = "PartialObjectMetadata" if metadata_only else kind
        return {"kind": f"{listed}List", "apiVersion": api_version, "metadata": metadata, "items": shown}

    def _watch(self, request: Request, writer: asyncio.StreamWriter, collection: str, namespace: str) -> None:
        version = int(request.query["resourceVersion"])
        if version < self._compacted:
            _reply(writer, 410, _status(410, "Expired", "too old resource version"))
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        watcher = Watcher(collection, namespace, writer, "PartialObjectMetadata" in request.accept)
        self.watchers.append(watcher)
        for past, where, event, item in self._history:
            if past > version and where == collection and namespace in ("", item["metadata"].get("namespace")):
                _send(watcher, {"type": event, "object": item}, self.deep)


def _metadata(item: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _encoded(body: dict[str, Any], deep: dict[str, int]) -> bytes:
    """The text; levels that no encoder of ours makes are put in afterwards."""
    text = orjson.dumps(body)
    for name, levels in deep.items():
        place = b'"prefix":'
        head, found, tail = text.partition(b'"name":"%s"' % name.encode())
        if found:
            text = (
                head
                + found
                + tail.replace(place, b'"envoy_override":%s0%s,' % (b"[" * levels, b"]" * levels) + place, 1)
            )
    return text


def _send(watcher: Watcher, event: dict[str, Any], deep: dict[str, int] | None = None) -> None:
    if watcher.mute or watcher.writer.is_closing():
        return
    if watcher.metadata_only and event["type"] in ("ADDED", "MODIFIED", "DELETED"):
        event = {**event, "object": _metadata(event["object"])}
    line = _encoded(event, deep or {}) + b"\n"
    watcher.writer.write(b"%x\r\n%s\r\n" % (len(line), line))


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


def _reply(
    writer: asyncio.StreamWriter,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
    deep: dict[str, int] | None = None,
) -> None:
    content = _encoded(body, deep or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    writer.write(
        f"HTTP/1.1 {status} Any\r\nContent-Type: application/json\r\n{lines}"
        f"Content-Length: {len(content)}\r\n\r\n".encode()
    )
    writer.write(content)
