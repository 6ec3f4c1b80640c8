"""An upstream that speaks WebSocket by wsproto: sends every message back, answers pings, closes as RFC 6455 says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate

from tests.support.replies import accept_key

if TYPE_CHECKING:
    import socket

    from wsproto.events import Event
    from wsproto.extensions import Extension

    from tests.support.backend import Exchange

REASON = 123
"""Most bytes of the reason in a close frame."""


def echo(exchange: Exchange) -> None:
    """Take the upgrade, with compression where it is offered, and serve the connection to its end."""
    extensions, accepted = _extensions(exchange.head.fields.get("sec-websocket-extensions"))
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(exchange.head.fields.one('sec-websocket-key'))}",
        *([f"Sec-WebSocket-Extensions: {accepted}"] if accepted else []),
    ]
    exchange.send("\r\n".join([*lines, "", ""]).encode())
    exchange.close()
    connection = Connection(ConnectionType.SERVER, extensions)
    message = bytearray()
    while exchange.stream.has_more():
        connection.receive_data(exchange.stream.some())
        for event in connection.events():
            _answer(exchange, connection, event, message)
        if connection.state is not ConnectionState.OPEN:
            _finish(exchange.sock)
            exchange.stream.some()
            return


def _extensions(offer: str | None) -> tuple[list[Extension], str | None]:
    deflate = PerMessageDeflate()
    if offer is None or not offer.startswith(deflate.name):
        return [], None
    accepted = deflate.accept(offer)
    return [deflate], deflate.name if accepted is True else f"{deflate.name}; {accepted}"


def _answer(exchange: Exchange, connection: Connection, event: Event, message: bytearray) -> None:
    match event:
        case Ping():
            exchange.send(connection.send(event.response()))
        case TextMessage() | BytesMessage():
            text = isinstance(event, TextMessage)
            message += event.data.encode() if isinstance(event, TextMessage) else event.data
            if event.message_finished:
                whole = TextMessage(message.decode()) if text else BytesMessage(bytes(message))
                message.clear()
                exchange.send(connection.send(whole))
        case CloseConnection():
            reason = (event.reason or "").encode()[:REASON].decode(errors="ignore")
            exchange.send(connection.send(CloseConnection(event.code, reason)))
        case _:
            pass


def _finish(sock: socket.socket) -> None:
    """End our side and wait for the other one: to close with bytes unread would reset the connection."""
    sock.shutdown(1)
    while sock.recv(65536):
        pass
