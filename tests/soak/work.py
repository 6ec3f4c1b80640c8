"""What the clients of a long run do: every kind of traffic, each answer checked. Connections end after a while, so that
what they keep for the checks does not grow."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from tests.support.h2client import H2Client, pseudo
from tests.support.messages import Response
from tests.support.rawclient import RawClient, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocol.traffic import Traffic

ROUND = 100
"""Requests or messages on one connection."""
UPLOAD = 200_000
WEBSOCKET = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def kept(traffic: Traffic) -> None:
    while not traffic.stop.is_set():
        with RawClient(traffic.port) as client:
            for _ in range(ROUND):
                response = client.ask(request("GET", "/kept"))
                traffic.check("kept", response.status)
                if response.announces_close:
                    break


def fresh(traffic: Traffic) -> None:
    while not traffic.stop.is_set():
        with RawClient(traffic.port) as client:
            traffic.check("fresh", client.ask(request("GET", "/fresh", ("Connection", "close"))).status)


def upload(traffic: Traffic) -> None:
    while not traffic.stop.is_set():
        with RawClient(traffic.port) as client:
            for _ in range(10):
                response = client.ask(request("POST", "/upload", body=b"x" * UPLOAD))
                traffic.check("upload", response.status if response.body == str(UPLOAD).encode() else 0)
                if response.announces_close:
                    break


def tunnelled(traffic: Traffic) -> None:
    while not traffic.stop.is_set():
        with RawClient(traffic.port) as client:
            assert client.ask(request("GET", "/socket", *WEBSOCKET)).status == 101
            for _ in range(ROUND):
                client.send(b"\x81\x84\0\0\0\0ping")
                traffic.check("tunnelled", 200 if client.stream.exactly(10) == b"\x81\x84\0\0\0\0ping" else 0)


def secure(port: int) -> Callable[[Traffic], None]:
    """A handshake for every ten requests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def secure(traffic: Traffic) -> None:
        while not traffic.stop.is_set():
            with RawClient(port, tls=context, server_name="localhost") as client:
                for _ in range(10):
                    response = client.ask(request("GET", "/secure"))
                    traffic.check("secure", response.status)
                    if response.announces_close:
                        break

    return secure


def multiplexed(traffic: Traffic) -> None:
    """Five streams at a time over HTTP/2, one of which is cancelled."""
    while not traffic.stop.is_set():
        with H2Client(traffic.port) as client:
            for _ in range(ROUND // 5):
                if client.goaway or client.closed:
                    break
                streams = [client.start(pseudo(target="/multiplexed")) for _ in range(4)]
                client.cancel(client.start(pseudo(target="/cancelled")))
                for stream in streams:
                    outcome = client.outcome(stream)
                    traffic.check("multiplexed", outcome.status if isinstance(outcome, Response) else 0)
