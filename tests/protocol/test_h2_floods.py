"""Clients that only want to cost something over HTTP/2 (behaviour rows 46 to 48, 54 and 55).

Whatever they send, the connection is closed or what it costs is bounded: the same worker serves others afterwards, has
not grown, and rests once they are gone.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, RstStreamFrame

from tests.protocol.h2_oracle import Worker
from tests.support import h2frames as f
from tests.support.h2client import pseudo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.protocol.site import Edge
    from tests.support.h2frames import FrameClient

MANY = 10_000
MALFORMED = [*pseudo("GET", "/bad"), (b"connection", b"close")]


@pytest.fixture
def worker(edge: Edge) -> Iterator[Worker]:
    """The worker, which is as it was when the test is over."""
    worker = Worker(edge)
    yield worker
    worker.assert_idle()
    worker.assert_unharmed()


def streams(count: int = MANY) -> range:
    return range(1, 2 * count, 2)


def test_rapid_reset(edge: Edge, worker: Worker) -> None:
    """CVE-2023-44487: ten thousand requests, each cancelled at once."""
    with f.FrameClient(edge.port) as client, f.FrameClient(edge.port) as bystander:
        block = client.block(pseudo("GET", "/rapid"))
        plain = client.block(pseudo("GET", "/rapid"))  # by now all of it is in the table
        client.flood(
            chain((f.headers(1, block), f.reset(1)), *((f.headers(n, plain), f.reset(n)) for n in streams()[1:]))
        )
        assert client.goaway() == f.ENHANCE_YOUR_CALM
        bystander.send(f.headers(1, bystander.block()))
        assert bystander.until(DataFrame, stream=1) is not None
        worker.assert_unharmed()
    assert len(worker.arrived()) < MANY / 10


def window_zero(client: FrameClient, stream: int) -> bytes:
    return f.headers(stream, client.block(), "END_HEADERS") + f.window_update(stream, 0)


def window_overflow(client: FrameClient, stream: int) -> bytes:
    return f.headers(stream, client.block(), "END_HEADERS") + f.window_update(stream, 0x7FFF_FFFF)


def data_behind_the_end(client: FrameClient, stream: int) -> bytes:
    return f.headers(stream, client.block()) + f.data(stream, b"x")


def head_behind_the_end(client: FrameClient, stream: int) -> bytes:
    return f.headers(stream, client.block()) + f.headers(stream, client.block())


def malformed(client: FrameClient, stream: int) -> bytes:
    return f.headers(stream, client.block(MALFORMED))


def longer_than_said(client: FrameClient, stream: int) -> bytes:
    block = client.block([*pseudo("POST", "/bad"), (b"content-length", b"1")])
    return f.headers(stream, block, "END_HEADERS") + f.data(stream, b"xx", "END_STREAM")


def trailers_that_do_not_end(client: FrameClient, stream: int) -> bytes:
    head = f.headers(stream, client.block(pseudo("POST", "/bad")), "END_HEADERS")
    return head + f.headers(stream, client.block([(b"x-a", b"b")]), "END_HEADERS")


def depends_on_itself(client: FrameClient, stream: int) -> bytes:
    priority = 2
    return f.headers(stream, client.block()) + f.raw_frame(priority, 0, stream, stream.to_bytes(4, "big") + b"\x10")


@pytest.mark.parametrize(
    "provoke",
    [
        window_zero,
        window_overflow,
        data_behind_the_end,
        head_behind_the_end,
        malformed,
        longer_than_said,
        trailers_that_do_not_end,
        depends_on_itself,
    ],
)
def test_made_you_reset(edge: Edge, worker: Worker, provoke: Callable[[FrameClient, int], bytes]) -> None:
    """CVE-2025-8671: the client makes the gateway reset its streams, which costs as much as to reset them itself."""
    with f.FrameClient(edge.port) as client:
        client.flood(provoke(client, stream) for stream in streams())
        client.goaway()
        assert client.closed
        assert [frame for frame in client.seen if isinstance(frame, GoAwayFrame)]
        broken = [frame for frame in client.seen if isinstance(frame, RstStreamFrame)]
        assert len(broken) < MANY / 10
    worker.assert_unharmed()
    assert len(worker.arrived()) < MANY / 2


def continuations(client: FrameClient, size: int) -> Iterable[bytes]:
    """A head that never ends (CVE-2024-27983 and its kind)."""
    yield f.headers(1, client.block(), "END_STREAM")
    # Literal fields that are not indexed: they cost the sender their bytes, and whoever keeps them the same.
    yield from repeat(f.continuation(1, (b"\x00\x01x\x7f\x81\x07" + b"a" * 262) * (size // 268)), MANY)


def empty_continuations(client: FrameClient) -> Iterable[bytes]:
    yield f.headers(1, client.block(), "END_STREAM")
    yield from repeat(f.continuation(1, b""), 10 * MANY)


def empty_data(client: FrameClient) -> Iterable[bytes]:
    yield f.headers(1, client.block(pseudo("POST", "/flood")), "END_HEADERS")
    yield from repeat(f.data(1, b""), 20 * MANY)


def padding(client: FrameClient) -> Iterable[bytes]:
    """Data frames that are nothing but padding, within the window."""
    yield f.headers(1, client.block(pseudo("POST", "/flood")), "END_HEADERS")
    padded = 0x8
    yield from repeat(f.raw_frame(0, padded, 1, b"\x00"), 5 * MANY)


def empty_heads(client: FrameClient) -> Iterable[bytes]:
    yield from (f.headers(stream, b"") for stream in streams())


def empty_trailers(client: FrameClient) -> Iterable[bytes]:
    for stream in streams():
        yield f.headers(stream, client.block(pseudo("POST", "/flood")), "END_HEADERS")
        yield f.headers(stream, b"")


def priorities(client: FrameClient) -> Iterable[bytes]:
    priority, weight = 2, b"\x10"
    yield from (f.raw_frame(priority, 0, 1 + 2 * (n % 1000), (0).to_bytes(4, "big") + weight) for n in range(10 * MANY))


def unknown_frames(client: FrameClient) -> Iterable[bytes]:
    yield from repeat(f.raw_frame(0xEE, 0, 0, b"x"), 10 * MANY)


def table_sizes(client: FrameClient) -> Iterable[bytes]:
    yield from (f.settings(HEADER_TABLE_SIZE=n % 2 * 4096) for n in range(5 * MANY))


FLOODS: dict[str, Callable[[FrameClient], Iterable[bytes]]] = {
    "continuation": lambda client: continuations(client, 16_000),
    "small-continuation": lambda client: continuations(client, 268),
    "empty-continuation": empty_continuations,
    "empty-data": empty_data,
    "padding": padding,
    "empty-heads": empty_heads,
    "empty-trailers": empty_trailers,
    "ping": lambda _: repeat(f.ping(), 50 * MANY),
    "settings": lambda _: repeat(f.settings(MAX_CONCURRENT_STREAMS=100), 50 * MANY),
    "table-sizes": table_sizes,
    "priority": priorities,
    "unknown": unknown_frames,
    "window": lambda _: repeat(f.window_update(0, 1), 10 * MANY),
}


@pytest.mark.parametrize("reading", [True, False], ids=["reading", "deaf"])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_floods(edge: Edge, worker: Worker, flood: Callable[[FrameClient], Iterable[bytes]], reading: bool) -> None:
    """Also with a client that does not read what it is told: the gateway stops to listen before it stores answers."""
    with f.FrameClient(edge.port) as client:
        client.flood(flood(client), reading=reading, patience=1.0)
        worker.assert_unharmed()
    assert len(worker.arrived()) < MANY
