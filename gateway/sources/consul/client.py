"""Consul's HTTP API, as far as resolvers need it: one endpoint, asked by blocking queries.

The maintained client library (py-consul) builds the same URL, needs a second HTTP library, and leaves the rules of
blocking queries to its caller; aiohttp is there for the Kubernetes API anyway.
"""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import orjson

from gateway.resources.consul import ConsulInstance, consul_url
from gateway.sources.consul.answer import Answer, ConsulError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.resources.consul import ConsulTarget
    from gateway.settings import ConsulSettings

WAIT_S = 60.0
"""Longest wait of a query; Consul adds up to a sixteenth. It also bounds how long a dead connection goes unnoticed."""
_LATE_S = WAIT_S / 16 + 10.0
_CONNECT_S = 5.0
_MAX_ANSWER = 32 * 1024 * 1024
"""Bytes; some ten thousand instances."""
_OK = 200


class ConsulClient:
    """Connections to all Consuls. ``async with ConsulClient(settings) as client: …``"""

    def __init__(self, settings: ConsulSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def healthy(self, target: ConsulTarget, index: int) -> Answer:
        """Instances of a service; with an ``index``, once something has changed since, or after :data:`WAIT_S`.

        Raises :class:`ConsulError`.
        """
        try:
            base = consul_url(target.place.address, tls=self._settings.tls)
            headers = {"X-Consul-Token": token} if (token := self._token(base)) else {}
            session = self._session or self._connect()
            query = {"passing": "true", "dc": target.place.datacenter}
            if index:
                query.update(index=str(index), wait=f"{WAIT_S:.0f}s")
            timeout = aiohttp.ClientTimeout(total=WAIT_S + _LATE_S, sock_connect=_CONNECT_S)
            path = f"{base}/v1/health/service/{quote(target.service, safe='')}"
            # A redirect could take the token elsewhere.
            async with session.get(
                path, params=query, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = await _whole(response)
                if response.status != _OK:
                    text = " ".join(body[:200].decode(errors="replace").split())
                    raise ConsulError(f"{base} answers {response.status}: {text or response.reason}")
                instances, named = _instances(orjson.loads(body))
                said = response.headers
                return Answer(
                    instances,
                    _index(said.get("X-Consul-Index", "")),
                    hidden=said.get("X-Consul-Results-Filtered-By-ACLs") == "true",
                    unknown=not headers and said.get("X-Consul-Default-ACL-Policy") == "deny",
                    named=named,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ConsulError(f"{target.place.address or 'Consul'}: {str(error) or type(error).__name__}") from error

    def _connect(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=self._settings.ca_file or None)
        # Every query that waits holds a connection.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0))
        return self._session

    def _token(self, base: str) -> str:
        """The token for a Consul. Whoever may create a ConsulResolver chooses the address, so an operator can say which
        address the token is for."""
        settings = self._settings
        if settings.address and consul_url(settings.address, tls=settings.tls) != base:
            return ""
        if settings.token_file:
            with open(settings.token_file, encoding="ascii") as stream:
                return stream.read().strip()
        return settings.token


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise ConsulError(f"{response.url.origin()}: the answer is larger than {_MAX_ANSWER} bytes")
    return bytes(body)


def _index(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _instances(entries: Any) -> tuple[tuple[ConsulInstance, ...], int]:
    """Instances of an answer, and how many have a name for an address. Raises ``ValueError``."""
    if not isinstance(entries, list):
        raise ConsulError("the answer is no list of instances")
    return _read(entries)


def _read(entries: Iterable[Any]) -> tuple[tuple[ConsulInstance, ...], int]:
    found: dict[tuple[str, int], ConsulInstance] = {}
    named = 0
    for entry in entries:
        try:
            service = entry["Service"]
            address = service.get("Address") or entry["Node"]["Address"]
            port = service["Port"]
            weight = (service.get("Weights") or {}).get("Passing", 1)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConsulError(f"an instance in the answer has no {error}") from error
        try:
            address = str(ipaddress.ip_address(address))
        except ValueError:
            named += 1
            continue
        if isinstance(port, int) and 0 < port < 1 << 16:
            known = weight if isinstance(weight, int) and weight > 0 else 1
            found.setdefault((address, port), ConsulInstance(address, port, known))
    return tuple(sorted(found.values())), named
