"""Small requests for much memory over HTTP/2: compressed heads, windows of a byte (behaviour rows 44, 48 and 54)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame

from tests.protocol.h2_oracle import Worker
from tests.support import h2frames as f
from tests.support.h2client import pseudo
from tests.support.replies import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.site import Edge

LARGE = 4_000_000
STREAMS = 100
FIRST_DYNAMIC = 62
"""Index of the entry that was added last (RFC 7541, section 2.3.3)."""


@pytest.fixture
def worker(edge: Edge) -> Iterator[Worker]:
    worker = Worker(edge)
    yield worker
    worker.assert_idle()
    worker.assert_unharmed()


def literal(name: bytes, value: bytes) -> bytes:
    """A literal field that is indexed."""
    return b"\x40" + number(len(name), 7) + name + number(len(value), 7) + value


def number(value: int, bits: int) -> bytes:
    """RFC 7541, section 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((value,))
    out, value = bytearray((limit,)), value - limit
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def indexed(index: int, times: int) -> bytes:
    return bytes((0x80 | index,)) * times


@pytest.mark.parametrize("name", [b"x-bomb", b"cookie"])
def test_a_head_that_unfolds(edge: Edge, worker: Worker, name: bytes) -> None:
    """One field of 4,000 bytes in the table, and then a byte for each time it is meant: 64 MB in 16 KB."""
    with f.FrameClient(edge.port) as client:
        client.send(f.headers(1, client.block() + literal(name, b"a" * 4000)))
        for stream in range(3, 2 * STREAMS, 2):
            client.flood([f.headers(stream, client.block() + indexed(FIRST_DYNAMIC, 16_000))])
            if client.closed:
                break
        assert client.until(HeadersFrame, RstStreamFrame, stream=3) is not None or client.closed
        worker.assert_unharmed()
    assert len(worker.arrived()) <= 1


def test_a_head_that_unfolds_over_many_frames(edge: Edge, worker: Worker) -> None:
    with f.FrameClient(edge.port) as client:
        client.send(f.headers(1, client.block() + literal(b"x-bomb", b"a" * 4000)))
        piece = f.continuation(3, indexed(FIRST_DYNAMIC, 16_000))
        client.flood([f.headers(3, client.block(), "END_STREAM"), *[piece] * 1000])
        client.goaway()
        assert client.closed
        worker.assert_unharmed()


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x3f\xe1\xff\xff\xff\x7f", id="table-size"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="index"),
        pytest.param(b"\xbe", id="no-such-entry"),
        pytest.param(b"\x80", id="entry-0"),
        pytest.param(b"\x40\x7f\xff\xff\xff\xff\x0fx", id="length-of-a-name"),
        pytest.param(b"\x40\x01x\x7f\xff\xff\xff\xff\x0fx", id="length-of-a-value"),
        pytest.param(b"\x40\x81\xff\x01x", id="huffman"),
    ],
)
def test_heads_that_cannot_be_unpacked(edge: Edge, worker: Worker, block: bytes) -> None:
    """The connection ends: the two sides no longer agree about the table (RFC 9113, section 4.3)."""
    with f.FrameClient(edge.port) as client:
        client.flood([f.headers(1, block)])
        code = client.goaway()
    protocol_error, compression_error = 1, 9
    assert code in (protocol_error, compression_error)
    worker.assert_unharmed()


def stalled(edge: Edge, client: f.FrameClient) -> None:
    """As many large answers as the gateway takes requests, of which the client lets nothing come."""
    edge.backend.on("/large", plain(200, b"x" * LARGE))
    client.flood(f.headers(n, client.block(pseudo("GET", "/large"))) for n in range(1, 2 * STREAMS, 2))
    for stream in range(1, 2 * STREAMS, 2):
        assert client.until(HeadersFrame, stream=stream) is not None


def test_windows_without_a_byte(edge: Edge, worker: Worker) -> None:
    with f.FrameClient(edge.port, f.settings(INITIAL_WINDOW_SIZE=0)) as client:
        stalled(edge, client)
        worker.assert_unharmed()
        assert not [frame for frame in client.seen if isinstance(frame, DataFrame) and frame.data]


def test_windows_of_a_byte(edge: Edge, worker: Worker) -> None:
    """Byte by byte the answers come, and each byte costs no more than its frame."""
    with f.FrameClient(edge.port, f.settings(INITIAL_WINDOW_SIZE=1)) as client:
        stalled(edge, client)
        for _ in range(20):
            client.flood(f.window_update(stream, 1) for stream in range(1, 2 * STREAMS, 2))
        worker.assert_unharmed()
        for stream in range(1, 2 * STREAMS, 2):
            while sum(len(frame.data) for frame in client.seen if isinstance(frame, DataFrame)) < 21 * STREAMS:
                assert client.until(DataFrame, stream=stream) is not None
                assert client.read()


@pytest.mark.parametrize("size", [0x8000_0000, 0xFFFF_FFFF])
def test_windows_that_are_too_large(edge: Edge, worker: Worker, size: int) -> None:
    settings, window = 4, 4
    with f.FrameClient(edge.port) as client:
        client.send(f.raw_frame(settings, 0, 0, window.to_bytes(2, "big") + size.to_bytes(4, "big")))
        protocol_error, flow_control_error = 1, 3
        assert client.goaway() in (protocol_error, flow_control_error)
    worker.assert_unharmed()


def test_the_window_of_the_connection_overflows(edge: Edge, worker: Worker) -> None:
    with f.FrameClient(edge.port) as client:
        client.flood([f.window_update(0, 0x7FFF_FFFF)] * 2)
        flow_control_error = 3
        assert client.goaway() == flow_control_error
    worker.assert_unharmed()


def test_bodies_that_nobody_reads(edge: Edge, worker: Worker) -> None:
    """The upstream is not there: what a client sends beyond its windows ends the connection, and nothing is kept."""
    with f.FrameClient(edge.port) as client:
        block = client.block(pseudo("POST", "/dead"))
        body = f.data(1, b"x" * 16_384)
        client.flood([f.headers(1, block, "END_HEADERS"), *[body] * 2000])
        worker.assert_unharmed()
