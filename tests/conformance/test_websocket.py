"""WebSocket through a running gateway, over HTTP/1.1, TLS and HTTP/2: a strict server (wsproto) gets what the client
sends, frame for frame, and the client what the server says of it."""

from __future__ import annotations

import contextlib
import hashlib
import random
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage
from wsproto.extensions import PerMessageDeflate

from tests.conformance import wsechoserver
from tests.conformance.wscases import Case, cases
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.certs import Authority
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.replies import accept_key, echo
from tests.support.waiting import until
from tests.support.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    TEXT,
    Tunnel,
    conversation,
    frame,
    tunnel,
)
from tests.support.wire import ByteStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.server import ServerConnection

    from tests.support.backend import Exchange

TRANSPORTS = ("http1", "https1", "http2", "https2")
NOISE = 3_000_000


@dataclass(frozen=True, slots=True)
class Site:
    gateway: GatewayProcess
    backend: Backend
    tls: dict[str, ssl.SSLContext]

    def open(
        self, transport: str, target: str = "/echo", *fields: tuple[str, str], early: bytes = b""
    ) -> contextlib.AbstractContextManager[Tunnel]:
        secure = transport.startswith("https")
        ports, version = self.gateway.ports, transport[-1]
        port = ports.https if secure else ports.http
        tls = self.tls[transport] if secure else None
        return tunnel(f"http{version}", port, target, *fields, tls=tls, early=early)


def switch(exchange: Exchange) -> None:
    key = exchange.head.fields.one("sec-websocket-key")
    exchange.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
    )
    exchange.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, authority, ports = tmp_path_factory.mktemp("websocket"), Authority(), Ports()
    leaf = authority.issue("localhost")
    contexts = {}
    for transport, protocol in (("https1", "http/1.1"), ("https2", "h2")):
        contexts[transport] = ssl.create_default_context(cadata=authority.pem)
        contexts[transport].set_alpn_protocols([protocol])
    with Backend(echo) as backend:
        objects = [
            m.listener("http", ports.http),
            m.listener("https", ports.https, "HTTPS"),
            m.tls_secret("cert", leaf.chain, leaf.key),
            m.host("any", "*", "Route", "cert"),
            m.mapping("socket", "/", f"{LOOPBACK}:{backend.port}", allow_upgrade=["websocket"], timeout_ms=0),
        ]
        with GatewayProcess(folder, ports, objects) as gateway:
            yield Site(gateway, backend, contexts)
            assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    shared.backend.reset()
    shared.backend.on("/echo", wsechoserver.echo)
    workers = shared.gateway.children()
    yield shared
    assert shared.backend.faults() == []
    assert shared.gateway.children() == workers, shared.gateway.log()
    until(lambda: shared.gateway.metric("sluice_requests_in_flight") == 0, "no tunnel is left")


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_case(site: Site, transport: str, case: Case) -> None:
    with site.open(transport) as over:
        *frames, last = conversation(over, case.pieces)
    assert [(got.opcode, got.payload) for got in frames] == list(case.expected)
    assert last.opcode == CLOSE
    assert (int.from_bytes(last.payload[:2], "big") or None) == case.code
    assert all(got.fin and not got.reserved and not got.masked for got in (*frames, last))


def test_frames_behind_the_request(site: Site, transport: str) -> None:
    """A client need not wait for the answer to send the first frames."""
    with site.open(transport, early=frame(TEXT, b"early") + frame(PING, b"bird")) as over:
        frames = conversation(over, [frame(CLOSE)])
    assert [got.payload for got in frames] == [b"early", b"bird", b""]


def test_compression_is_agreed_on_end_to_end(site: Site, transport: str) -> None:
    """The gateway passes offer and answer, and frames with a reserved bit (RFC 7692)."""
    offer = PerMessageDeflate()
    texts = ["x" * size for size in (1, 125, 70_000, 1_000_000)]
    with site.open(transport, "/echo", ("Sec-WebSocket-Extensions", f"{offer.name}; {offer.offer()}")) as over:
        assert over.extensions is not None
        assert over.extensions.startswith(offer.name)
        offer.finalize(over.extensions)
        peer, got = Connection(ConnectionType.CLIENT, [offer]), [""]
        for text in texts:
            sent = peer.send(TextMessage(data=text))
            assert sent[0] & 0x40
            over.send(sent)
        over.send(peer.send(CloseConnection(1000)))
        closed = False
        while not closed:
            peer.receive_data(over.recv(65536))
            for event in peer.events():
                if isinstance(event, TextMessage):
                    got[-1] += event.data
                    if event.message_finished:
                        got.append("")
                closed = closed or isinstance(event, CloseConnection)
    assert got == [*texts, ""]


def test_bytes_of_a_server_come_unchanged(site: Site, transport: str) -> None:
    """Masked frames, reserved bits, closed messages that go on: to judge the server is up to the client."""
    said = (
        frame(TEXT, b"masked") + frame(7, b"x", reserved=7, masked=False) + frame(CONTINUATION, b"", masked=False)
        + frame(CLOSE, b"\x00\x00", masked=False) + frame(TEXT, b"late", masked=False) + b"\x81\x7e"
    )  # fmt: skip

    def speak(exchange: Exchange) -> None:
        switch(exchange)
        for octet in said:
            exchange.send(bytes((octet,)))

    site.backend.on("/raw", speak)
    with site.open(transport, "/raw") as over:
        assert ByteStream(over).rest() == said


def test_noise_both_ways_at_once(site: Site, transport: str) -> None:
    """What is sent arrives, and neither direction waits for the other one."""
    noise = random.Random(1).randbytes(NOISE)
    heard = hashlib.sha256()

    def speak(exchange: Exchange) -> None:
        switch(exchange)
        speaker = threading.Thread(target=exchange.send, args=(noise,))
        speaker.start()
        while exchange.stream.has_more():
            heard.update(exchange.stream.some())
        speaker.join()

    site.backend.on("/noise", speak)
    with site.open(transport, "/noise") as over:
        got = bytearray()
        for start in range(0, NOISE, 10_000):
            over.send(noise[start : start + 10_000])
            if len(got) < NOISE:
                got += over.recv(65536)
        while len(got) < NOISE:
            got += over.recv(65536)
    assert bytes(got) == noise
    until(lambda: all(connection.closed for connection in site.backend.connections), "the upstream saw the end")
    assert heard.digest() == hashlib.sha256(noise).digest()


@pytest.mark.parametrize("transport", ["http1", "http2", "https2"])
def test_a_client_that_ends_first(site: Site, transport: str) -> None:
    """One direction may end before the other one. (Python's TLS cannot end one direction.)"""

    def speak(exchange: Exchange) -> None:
        switch(exchange)
        assert exchange.stream.rest() == b"that is all"
        exchange.send(b"x" * NOISE)

    site.backend.on("/half", speak)
    with site.open(transport, "/half") as over:
        over.send(b"that is all")
        over.end()
        assert len(ByteStream(over).rest()) == NOISE


def test_an_upstream_that_breaks_off(site: Site, transport: str) -> None:
    """Inside of a frame: the client is not told that this was the end of the stream."""

    def speak(exchange: Exchange) -> None:
        switch(exchange)
        exchange.send(b"\x82\x7d" + b"x" * 10)
        exchange.stream.exactly(1)
        exchange.reset()

    site.backend.on("/broken", speak)
    with site.open(transport, "/broken") as over:
        assert over.recv(65536)
        over.send(b"\x82")
        if transport.endswith("2"):
            with pytest.raises(ConnectionResetError, match="Reset"):
                over.recv(65536)
        else:
            with contextlib.suppress(ConnectionResetError):
                assert over.recv(65536) == b""


def test_a_client_that_breaks_off(site: Site, transport: str) -> None:
    """The upstream's connection ends too, at once."""
    with site.open(transport) as over:
        over.send(frame(BINARY, b"x" * 100)[:50])
        until(lambda: bytes(MASK) in site.backend.received(), "the upstream got the beginning")
        over.reset()
        until(lambda: all(connection.closed for connection in site.backend.connections), "the upstream saw the end")


def test_an_independent_pair(site: Site) -> None:
    """The library ``websockets`` on both sides, as it comes: compressed, fragmented, with pings of its own."""

    def serving(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    sizes, choose = (0, 1, 125, 126, 4096, 65_536, 300_000), random.Random(2)
    with serve(serving, LOOPBACK, 0) as server:
        running = threading.Thread(target=server.serve_forever)
        running.start()
        try:
            port = int(server.socket.getsockname()[1])
            ports = site.gateway.ports
            site.gateway.configure(
                m.mapping("library", "/library", f"{LOOPBACK}:{port}", allow_upgrade=["websocket"], timeout_ms=0),
                file="library.yaml",
            )
            until(lambda: _switches(ports.http), "the route is there")
            with connect(f"ws://{LOOPBACK}:{ports.http}/library", max_size=None) as client:
                assert client.protocol.extensions
                for size in sizes * 5:
                    message = choose.randbytes(size)
                    client.send(message)
                    assert client.recv() == message
                    client.send([message[: size // 2], message[size // 2 :]])
                    assert client.recv() == message
                assert client.ping().wait(10)
                client.close(3000, "done")
                assert client.close_code == 3000
        finally:
            server.shutdown()
            running.join()


def _switches(port: int) -> bool:
    try:
        with connect(f"ws://{LOOPBACK}:{port}/library"):
            return True
    except Exception:
        return False
