"""What a connection carries after one message: unread bodies, upgrades, tunnels (behaviour rows 10 to 13 and 18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import SMUGGLED, probe
from tests.protocol.site import ABSENT
from tests.support.rawclient import RawClient, chunked, request
from tests.support.replies import accept_key, early, message, plain, raw, tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.protocol.site import Edge

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)


def bodies(size: int) -> list[tuple[bytes, bytes]]:
    filler = (SMUGGLED * (size // len(SMUGGLED) + 1))[:size]
    return [
        (request("POST", "/", host=ABSENT, body=filler), b""),
        (request("POST", "/", ("Transfer-Encoding", "chunked"), host=ABSENT), chunked(filler)),
    ]


@pytest.mark.parametrize("size", [1, 1000, 100_000, 1_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_body_of_a_refused_request_is_not_a_request(edge: Edge, size: int, framing: str) -> None:
    """404 is known before the body: the body is drained or the connection ends, and its bytes stay a body."""
    head, body = bodies(size)[framing == "chunked"]
    with RawClient(edge.port) as client:
        try:
            client.send(head + body + request(target="/next"))
        except (BrokenPipeError, ConnectionResetError):
            assert size > 65_536, "small bodies are drained"
        assert client.response("POST").status == 404
        assert client.ended() or client.response().json()["target"] == "/next"
    probe(edge)
    assert {head.target for head in edge.backend.heads()} <= {"/next", edge.backend.heads()[-1].target}
    assert b"/smuggled" not in edge.backend.received()


@pytest.mark.parametrize("close", [False, True], ids=["keeps-reading", "closes"])
def test_an_early_answer_of_the_upstream(edge: Edge, close: bool) -> None:
    edge.backend.on("/early", early(message(413, b"too much"), close=close))
    body = b"x" * 300_000
    with RawClient(edge.port) as client:
        client.send(request("POST", "/early", ("Content-Length", str(len(body)))) + body[:1000])
        response = client.response("POST")
        assert (response.status, response.body) == (413, b"too much")
        if response.announces_close:
            assert client.ended()
        else:
            client.send(body[1000:])
            assert client.ask(request(target="/next")).json()["target"] == "/next"
    assert all(recorded.head.target != "/smuggled" for recorded in edge.backend.requests)


def test_a_refused_upgrade_is_not_a_tunnel(edge: Edge) -> None:
    """The upstream answers 200: what follows the request is the next request, judged as any other."""
    edge.backend.on("/socket", plain(200, b"no"))
    with RawClient(edge.port) as client:
        client.send(request("GET", "/socket", *UPGRADE) + request("GET", "/smuggled", host=ABSENT))
        assert client.response().body == b"no"
        assert client.ended() or client.response().status == 404
    probe(edge)
    assert b"/smuggled" not in edge.backend.received()


def test_garbage_behind_a_refused_upgrade(edge: Edge) -> None:
    edge.backend.on("/socket", plain(200, b"no"))
    with RawClient(edge.port) as client:
        client.send(request("GET", "/socket", *UPGRADE) + b"\x81\x85garbage\r\n\r\n")
        assert client.response().body == b"no"
        assert client.ended() or client.response().status == 400
    probe(edge)
    assert b"garbage" not in edge.backend.received()


@pytest.mark.parametrize("target", ["/socket", "/plain"])
def test_early_tunnel_bytes_wait_for_the_answer(edge: Edge, target: str) -> None:
    """Nothing behind the request goes upstream before the upstream agreed to switch."""
    edge.backend.on(target, raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
    with RawClient(edge.port) as client:
        client.send(request("GET", target, *UPGRADE) + b"\x00early")
        assert client.response().status == 403
    probe(edge)
    assert b"early" not in edge.backend.received()


@pytest.mark.parametrize(
    ("target", "fields", "answer"),
    [
        pytest.param("/socket", UPGRADE, SWITCH % b"bm90IHRoZSByaWdodCBvbmU=", id="wrong-accept"),
        pytest.param(
            "/socket",
            UPGRADE,
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            id="no-accept",
        ),
        pytest.param("/socket", (), SWITCH % accept_key(KEY).encode(), id="not-asked"),
        pytest.param(
            "/socket",
            UPGRADE,
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n",
            id="other-protocol",
        ),
        pytest.param("/plain", UPGRADE, SWITCH % accept_key(KEY).encode(), id="route-without-upgrade"),
    ],
)
def test_a_switch_that_nobody_may_do(
    edge: Edge, target: str, fields: tuple[tuple[str, str], ...], answer: bytes
) -> None:
    edge.backend.on(target, raw(answer + b"tunnelled", close=True))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", target, *fields))
        assert response.status == 502
        assert b"tunnelled" not in response.body


def test_a_websocket_is_a_tunnel(edge: Edge) -> None:
    edge.backend.on("/socket", tunnel)
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/socket", *UPGRADE))
        assert response.status == 101
        assert response.fields.one("upgrade").lower() == "websocket"
        assert response.fields.one("sec-websocket-accept") == accept_key(KEY)
        for piece in (b"\x81\x03abc", bytes(range(256)), b"z" * 200_000):
            client.send(piece)
            assert client.stream.exactly(len(piece)) == piece
        client.half_close()
        assert client.ended()
    until(lambda: edge.backend.connections[0].closed, "the upstream side of the tunnel to close")


def test_tunnel_bytes_in_the_segment_of_the_request(edge: Edge) -> None:
    edge.backend.on("/socket", tunnel)
    with RawClient(edge.port) as client:
        client.send(request("GET", "/socket", *UPGRADE) + b"first")
        assert client.response().status == 101
        assert client.stream.exactly(5) == b"first"


def test_a_tunnel_ends_with_its_upstream(edge: Edge) -> None:
    edge.backend.on("/socket", tunnel)
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/socket", *UPGRADE)).status == 101
        edge.backend.drop_connections()
        assert client.ended()


def test_h2c_upgrade_is_dropped(edge: Edge) -> None:
    fields = (
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    )
    for target in ("/plain", "/socket"):
        with RawClient(edge.port) as client:
            assert client.ask(request("GET", target, *fields)).status == 200
            assert client.ask(request("GET", "/next")).status == 200
    for head in edge.backend.heads():
        assert "upgrade" not in head.fields
        assert "http2-settings" not in head.fields
