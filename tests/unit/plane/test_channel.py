from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.plane import memfd
from gateway.plane.channel import MAX_QUEUED, Channel, ChannelFullError, pair
from gateway.plane.control import (
    INLINE_LIMIT,
    Applied,
    Bye,
    Configure,
    Drain,
    Failed,
    Listen,
    Message,
    ProtocolError,
    Ready,
    Snapshot,
    Unlisten,
    decode,
    encode,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

MANY = tuple((f"virtual_host/{number}", "routes[3]", "x" * 200) for number in range(1000))


@pytest.fixture
def payload() -> Iterator[int]:
    fd = memfd.sealed("test", b"content")
    yield fd
    os.close(fd)


def open_descriptors() -> int:
    # What earlier tests left to the collector must not be closed between two counts.
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


class End:
    """One end and what arrived there."""

    def __init__(self, sock: socket.socket) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.closed: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self.channel = Channel(loop, sock, self.messages.put_nowait, self.closed.put_nowait)
        self.channel.start()

    async def next(self) -> Message:
        async with asyncio.timeout(5):
            return await self.messages.get()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Unlisten("web"), id="unlisten"),
        pytest.param(Drain(2.5), id="drain"),
        pytest.param(Ready(0, (("filter/f", "", "no module"),)), id="ready"),
        pytest.param(Applied(7, (("cluster/ü", "a.b", "text"),)), id="applied"),
        pytest.param(Applied(7, MANY), id="applied-large"),
        pytest.param(Failed("no", 3), id="failed"),
        pytest.param(Bye(), id="bye"),
    ],
)
async def test_messages_survive_the_way(message: Message) -> None:
    ours, theirs = pair()
    left, right = End(ours), End(theirs)
    left.channel.send(message)
    assert await right.next() == message
    left.channel.close()
    right.channel.close()


async def test_descriptors_travel_and_stay_out_of_child_processes(payload: int) -> None:
    ours, theirs = pair()
    left, right = End(ours), End(theirs)
    left.channel.send(Snapshot(4, payload))
    left.channel.send(Configure(0, 2, 30.0, 0.25, 5.0, (("f", "m:f"),), memory_fd=payload, access_log_fd=None))
    snapshot, configure = await right.next(), await right.next()
    assert isinstance(snapshot, Snapshot)
    assert isinstance(configure, Configure)
    assert memfd.read(snapshot.fd) == b"content"
    assert (configure.filters, configure.access_log_fd) == ((("f", "m:f"),), None)
    assert configure.memory_fd is not None
    for fd in (snapshot.fd, configure.memory_fd):
        assert not os.get_inheritable(fd)
        os.close(fd)
    left.channel.close()
    right.channel.close()


async def test_a_peer_that_does_not_read_blocks_nobody_and_misses_nothing(payload: int) -> None:
    before = open_descriptors()
    ours, theirs = pair()
    left = End(ours)
    sent = 0
    while left.channel.queued < 100:
        left.channel.send(Listen(f"listener-{sent}", payload))
        sent += 1
    right = End(theirs)
    for number in range(sent):
        message = await right.next()
        assert isinstance(message, Listen)
        assert message.name == f"listener-{number}"
        os.close(message.fd)
    assert left.channel.queued == 0
    left.channel.close()
    right.channel.close()
    assert open_descriptors() == before


async def test_the_queue_is_bounded() -> None:
    ours, theirs = pair()
    left = End(ours)
    while left.channel.queued < MAX_QUEUED:
        left.channel.send(Bye())
    with pytest.raises(ChannelFullError):
        left.channel.send(Bye())
    left.channel.close()
    theirs.close()


async def test_closing_with_a_queue_leaks_no_descriptor(payload: int) -> None:
    before = open_descriptors()
    ours, theirs = pair()
    left = End(ours)
    while left.channel.queued < 10:
        left.channel.send(Listen("a", payload))
    left.channel.close()
    theirs.close()
    assert open_descriptors() == before


async def test_the_end_is_told_once_after_the_last_message() -> None:
    ours, theirs = pair()
    left, right = End(ours), End(theirs)
    right.channel.send(Bye())
    right.channel.close()
    assert await left.next() == Bye()
    async with asyncio.timeout(5):
        assert await left.closed.get() == Channel.GONE
    left.channel.send(Bye())
    assert left.closed.empty()


async def test_nonsense_closes_the_channel() -> None:
    ours, theirs = pair()
    left = End(ours)
    theirs.send(b"{}")
    async with asyncio.timeout(5):
        assert "unreadable" in await left.closed.get()
    theirs.close()


def test_large_messages_use_a_memory_file() -> None:
    data, descriptors, spill = encode(Applied(1, MANY))
    assert len(data) <= INLINE_LIMIT
    assert descriptors == [spill]
    assert decode(data, [os.dup(fd) for fd in descriptors]) == Applied(1, MANY)
    assert spill is not None
    os.close(spill)


def test_missing_descriptors_are_an_error() -> None:
    with pytest.raises(ProtocolError):
        decode(b'{"type": "Listen", "fds": ["fd"], "values": {"name": "a"}}', [])


def test_sealed_files_cannot_be_changed(payload: int) -> None:
    with pytest.raises(PermissionError):
        os.write(payload, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(payload, 0)
