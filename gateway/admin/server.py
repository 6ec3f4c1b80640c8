"""The HTTP server of the admin port: GET and HEAD, one request per connection, small limits, no dependencies.

It runs on the master's loop and never in a worker. Everything that is not listed here is 404.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from gateway.admin.metrics import make_registry, render
from gateway.admin.pages import alive, diagnostics, ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.admin.state import Observed
    from gateway.settings import AdminSettings

logger = logging.getLogger(__name__)

MAX_HEAD = 8 * 1024
"""Bytes of a request head: probes and scrapers send a few hundred."""
MAX_CONNECTIONS = 64
"""Peers served at once: a few probes, a few scrapers, a person."""
TIMEOUT = 5.0
"""Seconds for a whole request and its answer."""
_DIAGNOSTICS = "/ambassador/v0/diag/"
_LOOPBACK_ONLY = frozenset({_DIAGNOSTICS, _DIAGNOSTICS.rstrip("/")})
_FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for"})


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    location: str = ""
    """Where to look instead."""


class BadRequestError(Exception):
    """Not a request of the form that this port understands; the status is the argument."""


class AdminServer:
    """Serves the admin port. ``start`` raises :class:`OSError` when the address cannot be bound."""

    def __init__(self, settings: AdminSettings, observed: Observed) -> None:
        self._settings = settings
        self._observed = observed
        self._server: asyncio.Server | None = None
        self._connections = 0
        self._registry = make_registry(observed)
        self._pages: dict[str, Callable[[], Page]] = {
            "/ambassador/v0/check_alive": self._alive,
            "/healthz": self._alive,
            "/ambassador/v0/check_ready": self._ready,
            "/ready": self._ready,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            _DIAGNOSTICS: self._diagnostics,
            _DIAGNOSTICS.rstrip("/"): lambda: Page(308, b"", location=_DIAGNOSTICS),
        }

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self._settings.address, self._settings.port, limit=MAX_HEAD, backlog=MAX_CONNECTIONS
        )

    async def close(self) -> None:
        """Stop listening. Answers under way are short and not waited for."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def port(self) -> int:
        """The bound port, 0 when not started."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                async with asyncio.timeout(TIMEOUT):
                    await self._exchange(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            logger.debug("admin peer went away or was too slow")
        finally:
            self._connections -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head_only = False
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, names = _parse(head)
            head_only = method == "HEAD"
            page = self._answer(path, names, str(writer.get_extra_info("peername")[0]))
        except asyncio.LimitOverrunError:
            page = Page(431, b"request head too large\n")
        except BadRequestError as error:
            status = int(error.args[0])
            page = Page(status, f"{HTTPStatus(status).phrase}\n".encode())
        writer.write(_encode(page, head_only=head_only))
        await writer.drain()

    def _answer(self, path: str, names: frozenset[str], peer: str) -> Page:
        page = self._pages.get(path)
        if page is None or (path in _LOOPBACK_ONLY and not self._may_diagnose(names, peer)):
            public = ", ".join(sorted(self._pages.keys() - _LOOPBACK_ONLY))
            return Page(404, f"not found; there is {public}\n".encode())
        return page()

    def _may_diagnose(self, names: frozenset[str], peer: str) -> bool:
        """A loopback peer that speaks for itself. A forwarded request comes from somewhere else."""
        if self._settings.diagnostics_anywhere:
            return True
        address = ipaddress.ip_address(peer.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback and not names & _FORWARDED

    def _metrics(self) -> Page:
        return Page(200, render(self._registry), "text/plain; version=0.0.4; charset=utf-8")

    def _alive(self) -> Page:
        return Page(200, alive())

    def _ready(self) -> Page:
        facts = self._observed.facts()
        return Page(200 if facts.ready else 503, ready(facts))

    def _diagnostics(self) -> Page:
        body = json.dumps(diagnostics(self._observed.facts()), indent=2).encode() + b"\n"
        return Page(200, body, "application/json")


def _parse(head: bytes) -> tuple[str, str, frozenset[str]]:
    """(method, path without query, header names in lower case). Raises :class:`BadRequestError`."""
    lines = head[:-4].split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[2] not in {b"HTTP/1.1", b"HTTP/1.0"} or not parts[1].startswith(b"/"):
        raise BadRequestError(400)
    if not head.isascii() or b"\0" in head:
        raise BadRequestError(400)
    if parts[0] not in {b"GET", b"HEAD"}:
        raise BadRequestError(405)
    fields = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines[1:])}
    if "transfer-encoding" in fields or fields.get("content-length", "0") != "0":
        raise BadRequestError(400)
    return parts[0].decode(), parts[1].decode().partition("?")[0], frozenset(fields)


def _encode(page: Page, *, head_only: bool) -> bytes:
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n"
        f"content-type: {page.content_type}\r\ncontent-length: {len(page.body)}\r\n"
        "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n"
        + ("allow: GET, HEAD\r\n" if page.status == 405 else "")
        + (f"location: {page.location}\r\n" if page.location else "")
    )
    return head.encode() + b"\r\n" + (b"" if head_only else page.body)
