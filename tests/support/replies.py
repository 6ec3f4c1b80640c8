"""Handlers for :class:`tests.support.backend.Backend`: how an upstream may answer, well or badly."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from tests.support.wire import is_chunked

if TYPE_CHECKING:
    import threading

    from tests.support.backend import Exchange, Handler, Recorded

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def describe(recorded: Recorded) -> bytes:
    """The request as JSON, as the client shall see it."""
    return json.dumps(
        {
            "method": recorded.head.method,
            "target": recorded.head.target,
            "version": recorded.head.version,
            "headers": recorded.head.fields.items,
            "body": recorded.body.decode("latin-1"),
            "trailers": recorded.trailers.items,
            "connection": recorded.connection,
            "number": recorded.number,
        }
    ).encode()


def message(status: int, body: bytes, *fields: tuple[str, str]) -> bytes:
    """A response with a Content-Length."""
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def echo(exchange: Exchange) -> None:
    """The default: read everything, describe it."""
    if exchange.head.fields.get("expect") == "100-continue":
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = describe(exchange.read_body())
    head_only = exchange.head.method == "HEAD"
    data = message(200, body, ("Content-Type", "application/json"))
    exchange.send(data[: len(data) - len(body)] if head_only else data)


def plain(status: int, body: bytes = b"", *fields: tuple[str, str]) -> Handler:
    """A fixed complete response after the whole request."""

    def handler(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(message(status, body, *fields))

    return handler


def raw(data: bytes, *, close: bool = False) -> Handler:
    """These bytes after the whole request; ``close`` ends the connection after them."""

    def handler(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(data)
        if close:
            exchange.close()

    return handler


def early(data: bytes, *, close: bool = False) -> Handler:
    """Answer before the body is read; then read the body unless ``close``."""

    def handler(exchange: Exchange) -> None:
        exchange.send(data)
        if close:
            exchange.close()
        else:
            exchange.read_body()

    return handler


def held(release: threading.Event, then: Handler = echo) -> Handler:
    """Answer only when the test says so."""

    def handler(exchange: Exchange) -> None:
        release.wait(timeout=60)
        then(exchange)

    return handler


def cut(exchange: Exchange) -> None:
    """Read the head only and close without an answer."""
    exchange.close()


def cut_reused(exchange: Exchange) -> None:
    """Serve the first request of a connection; close on the second one without answering, as an idle timeout would."""
    if exchange.number > 1:
        exchange.close()
    else:
        echo(exchange)


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode(), usedforsecurity=False).digest()).decode()


def tunnel(exchange: Exchange) -> None:
    """Accept a WebSocket upgrade, then send every byte back until the peer stops."""
    key = exchange.head.fields.one("sec-websocket-key")
    exchange.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
    )
    while exchange.stream.has_more():
        exchange.send(exchange.stream.some())
    exchange.close()


def body_in_pieces(*pieces: bytes) -> Handler:
    """A chunked response with one chunk per piece."""

    def handler(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.send(b"0\r\n\r\n")

    return handler


def framing_of(exchange: Exchange) -> str:
    """How the request body was framed upstream."""
    if is_chunked(exchange.head.fields):
        return "chunked"
    return "length" if "content-length" in exchange.head.fields else "none"
