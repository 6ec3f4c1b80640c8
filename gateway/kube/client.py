"""Requests to the Kubernetes API over the official client: its configuration and credentials, raw JSON by orjson.

The typed half of the official client is left out: it makes ten thousand Python objects of what :mod:`gateway.resources`
reads straight from JSON, and drops fields that it does not know.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import aiohttp
import orjson
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from yaml import YAMLError

from gateway.kube.decoding import decoded
from gateway.kube.failure import ApiFailure, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from types import TracebackType

Query: TypeAlias = Sequence[tuple[str, str]]
_CONNECT_S = 10.0
_REQUEST_S = 60.0
"""Seconds for a whole request that is no watch; the API server itself gives up after 60."""
_PLAIN = aiohttp.ClientTimeout(total=_REQUEST_S, sock_connect=_CONNECT_S)
_IDLE_S, _PROBE_S, _PROBES = 15, 5, 3
"""TCP keepalive: a connection whose other end vanished is noticed after 30 s, whatever travels on it."""
_CONNECTIONS = 128
_MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event of a watch: ten times the largest object that etcd takes."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server: in a pod as the pod's service account, elsewhere by a kubeconfig file."""

    kubeconfig: str = ""
    """A file; empty for the service account of the pod, or ``~/.kube/config`` outside of one."""
    context: str = ""
    """A context of that file; empty for the current one."""
    in_cluster: bool = False
    """Whether this process runs in a pod and no file was named."""


class KubeClient:
    """One API server. ``async with await KubeClient.connect(access) as client: …``

    Every call raises :class:`Unreachable` without an answer, and :class:`ApiFailure` for an answer that is an error.
    """

    def __init__(self, configuration: Configuration, access: Access | None = None) -> None:
        """``access``: where the credentials are read again when the server does not take them any more."""
        self._api = ApiClient(configuration)
        self._api.rest_client = _Connections(configuration)
        self._api.user_agent = "sluice"
        self._access = access

    @classmethod
    async def connect(cls, access: Access) -> Self:
        """Read credentials; sends nothing yet. Raises :class:`Unreachable` if they cannot be used."""
        configuration = await _read_credentials(access)
        configuration.connection_pool_maxsize = _CONNECTIONS
        return cls(configuration, access)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._api.configuration.host)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        await self._api.close()

    async def get(self, path: str, query: Query = (), accept: str = "application/json") -> Any:
        """An object or a page of a list, decoded."""
        return await self._call("GET", path, query, accept=accept)

    async def ready(self) -> bool:
        """Whether the API server says that it has started: all kinds that are installed are served then (Kubernetes,
        API health endpoints: ``/readyz`` includes ``crd-discovery-available``). ``False`` also where we may not ask.

        Raises :class:`Unreachable` only.
        """
        try:
            async with self._response("GET", "/readyz", (), _PLAIN) as response:
                await _whole(response)
                return True
        except ApiFailure:
            return False

    async def create(self, path: str, body: object) -> Any:
        """POST an object to its collection; the object as stored."""
        return await self._call("POST", path, body=body)

    async def replace(self, path: str, body: object) -> Any:
        """PUT an object; one with another ``resourceVersion`` than the stored one conflicts."""
        return await self._call("PUT", path, body=body)

    async def patch(
        self, path: str, body: object, query: Query = (), content_type: str = "application/merge-patch+json"
    ) -> Any:
        """PATCH an object; ``application/apply-patch+yaml`` with ``fieldManager`` is a server-side apply."""
        return await self._call("PATCH", path, query, body=body, content_type=content_type)

    async def delete(self, path: str) -> Any:
        """DELETE an object."""
        return await self._call("DELETE", path)

    async def watch(
        self, path: str, query: Query, silence: float, accept: str = "application/json"
    ) -> AsyncGenerator[list[bytes], None]:
        """Events, one JSON text each, until the server ends the watch; those that came in one read come together.

        An empty list comes first, as soon as the server has accepted the watch.
        ``silence``: seconds without a byte after which the connection counts as dead (:class:`Unreachable`).
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=silence)
        pending = bytearray()
        async with self._response("GET", path, [("watch", "true"), *query], timeout, accept=accept) as response:
            yield []
            while chunk := await _read(response):
                first, *lines = chunk.split(b"\n")
                pending += first
                if lines:
                    events = [bytes(pending), *lines[:-1]]
                    pending = bytearray(lines[-1])
                    yield [event for event in events if event.strip()]
                if len(pending) > _MAX_EVENT:
                    raise Unreachable(f"GET {path}: an event of a watch is larger than {_MAX_EVENT} bytes")

    async def _call(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        body: object = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Any:
        async with self._response(method, path, query, _PLAIN, body, accept, content_type) as response:
            try:
                return decoded(await _whole(response))
            except ValueError as error:
                raise Unreachable(f"{method} {path}: the answer is no JSON: {error}") from error

    async def _renew(self) -> None:
        """Read the token again, for the next request: whoever made it may have made a newer one."""
        if self._access is None:
            return
        with suppress(Unreachable):
            fresh = await _read_credentials(self._access)
            self._api.configuration.api_key = fresh.api_key
            self._api.configuration.refresh_api_key_hook = fresh.refresh_api_key_hook

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: Query,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp tells connecting from reading, asyncio does not
        body: object = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            request = await self._api.param_serialize(
                method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = await self._api.call_api(*request, _request_timeout=timeout)
        except (aiohttp.ClientError, ConfigException, OSError) as error:
            raise Unreachable(f"{method} {path}: {_said(error)}") from error
        response: aiohttp.ClientResponse = answer.response
        try:
            if response.status >= 400:
                failure = _failure(response, await _whole(response))
                if response.status == HTTPStatus.UNAUTHORIZED:
                    await self._renew()
                raise failure
            yield response
        finally:
            # A watch that is left early cannot be read to its end; anything else was.
            response.close()


_UNREADABLE: Final = (ConfigException, OSError, YAMLError, TypeError, KeyError, AttributeError, ValueError)
"""What the official client raises for a kubeconfig; it does not look before it uses what is in there."""


async def _read_credentials(access: Access) -> Configuration:
    configuration = Configuration()
    try:
        if access.in_cluster:
            load_incluster_config(configuration)
        else:
            await load_kube_config(
                access.kubeconfig or None, access.context or None, configuration, persist_config=False
            )
    except _UNREADABLE as error:
        where = access.kubeconfig or ("the pod's service account" if access.in_cluster else "~/.kube/config")
        # Those of Python itself say nothing to an operator.
        why = (
            str(error) if isinstance(error, (ConfigException, OSError)) else "it has no valid cluster, user or context"
        )
        hint = "" if access.in_cluster else "; name another kubeconfig, or a file or folder of manifests"
        raise Unreachable(f"no access to a cluster by {where}: {why}{hint}") from error
    return configuration


class _Connections(RESTClientObject):
    """Those of the official client, and they notice when the other end has vanished."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, socket_factory=_kept_alive)


def _kept_alive(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * (_IDLE_S + _PROBE_S * _PROBES))
    return made


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """What has come; empty at the end."""
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"GET {response.url.path}: {_said(error)}") from error


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"{response.method} {response.url.path}: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Some exceptions say nothing but their name."""
    return str(error) or type(error).__name__


def _failure(response: aiohttp.ClientResponse, body: bytes) -> ApiFailure:
    """From a ``metav1.Status``, or from whatever a proxy on the way wrote."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    fields = status if isinstance(status, dict) else {}
    text = fields.get("message") or body[:200].decode(errors="replace") or response.reason or ""
    after = response.headers.get("Retry-After", "")
    return ApiFailure(
        response.status,
        str(fields.get("reason") or response.reason or "Unknown"),
        str(text),
        float(after) if after.isascii() and after.isdigit() else None,
    )
