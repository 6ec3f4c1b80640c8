"""The measuring instruments themselves, proven against nginx before they judge anything."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.protocol.rivals import Rival
from tests.support.backend import Backend
from tests.support.rawclient import RawClient, chunked, request
from tests.support.replies import body_in_pieces, early, echo, message, raw
from tests.support.wire import ByteStream, EndOfStreamError, WireError, read_chunked, read_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peers


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend(echo) as running:
        yield running


@pytest.fixture
def nginx(tmp_path: Path, backend: Backend) -> Iterator[int]:
    rival = Rival("nginx", tmp_path, backend.port)
    yield rival.port
    rival.stop()


def stream_of(data: bytes) -> ByteStream:
    left, right = socket.socketpair()
    with left:
        left.sendall(data)
    parts: list[bytes] = []
    with right:
        while part := right.recv(65536):
            parts.append(part)
    return ByteStream(_Parts(parts))


class _Parts:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def recv(self, _size: int, /) -> bytes:
        return self._parts.pop(0) if self._parts else b""


def test_one_request_is_seen_once_and_whole(backend: Backend, nginx: int) -> None:
    with RawClient(nginx) as client:
        reply = client.ask(request("POST", "/x?y=1", ("X-Test", "a"), body=b"hello"), "POST")
    assert (reply.status, reply.json()["target"], reply.json()["body"]) == (200, "/x?y=1", "hello")
    assert [recorded.body for recorded in backend.requests] == [b"hello"]
    assert not backend.faults()


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_request_may_arrive_in_pieces(nginx: int, cut: int) -> None:
    data = request("POST", "/pieces", ("Transfer-Encoding", "chunked")) + chunked(b"abc", b"defg")
    with RawClient(nginx) as client:
        client.send(data, [cut, len(data) - cut])
        assert client.response("POST").json()["body"] == "abcdefg"


def test_pipelined_requests_are_answered_in_order(nginx: int) -> None:
    with RawClient(nginx) as client:
        client.send(b"".join(request(target=f"/{number}") for number in range(10)))
        assert [client.response().json()["target"] for _ in range(10)] == [f"/{number}" for number in range(10)]


def test_scripts_answer_by_prefix(backend: Backend, nginx: int) -> None:
    backend.on("/early", early(message(413, b"no"), close=True))
    backend.on("/pieces", body_in_pieces(b"ab", b"c"))
    backend.on("/bad", raw(b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", close=True))
    with RawClient(nginx) as client:
        assert client.ask(request("POST", "/early", body=b"x" * 10)).status == 413
        assert client.ask(request(target="/pieces")).body == b"abc"
        assert client.ask(request(target="/bad")).status == 502


def test_a_client_sees_the_end(nginx: int) -> None:
    with RawClient(nginx) as client:
        assert client.ask(b"BAD\r\n\r\n").status == 400
        assert client.ended()


def test_reset_drops_connections_and_records(backend: Backend) -> None:
    with RawClient(backend.port) as client:
        client.ask(request())
        backend.reset()
        assert client.ended()
    assert backend.requests == []
    assert threading.active_count() >= 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"A: b\n\r\n", "bad line end", id="bare-lf"),
        pytest.param(b"A: b\rc\r\n\r\n", "bad line end", id="cr-in-value"),
        pytest.param(b"A : b\r\n\r\n", "bad field line", id="space-before-colon"),
        pytest.param(b": b\r\n\r\n", "bad field line", id="empty-name"),
        pytest.param(b"A: b\r\n c\r\n\r\n", "bad field line", id="folded"),
        pytest.param(b"A: b\x00\r\n\r\n", "bad field line", id="nul"),
    ],
)
def test_malformed_fields_are_errors(data: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        read_fields(stream_of(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"0x1\r\na\r\n0\r\n\r\n", id="hex-prefix"),
        pytest.param(b"1\r\nab\r\n0\r\n\r\n", id="too-long"),
        pytest.param(b"1 \r\na\r\n0\r\n\r\n", id="space"),
        pytest.param(b"1\na\r\n0\r\n\r\n", id="bare-lf"),
    ],
)
def test_malformed_chunks_are_errors(data: bytes) -> None:
    with pytest.raises(WireError):
        read_chunked(stream_of(data))


def test_truncated_chunks_are_told_apart() -> None:
    with pytest.raises(EndOfStreamError):
        read_chunked(stream_of(b"5\r\nab"))
