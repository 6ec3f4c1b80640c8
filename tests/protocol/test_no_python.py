"""A plain request runs no interpreted code in the process that serves it."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import pytest
import uvloop

from gateway.plane.delta import DeltaBuilder
from gateway.plane.embedded import EngineHost
from gateway.plane.pipeline import load
from gateway.settings import Settings
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.ports import LOOPBACK, free_port
from tests.support.rawclient import RawClient, request
from tests.support.replies import plain

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from types import FrameType

pytestmark = pytest.mark.native

REQUESTS = 10_000
CLIENTS = 4
ALLOWED = REQUESTS // 100
"""Timers and house-keeping of the host may run; anything that grows with the requests would exceed this at once."""


class CallCounter:
    """Counts calls of interpreted functions on the thread that uses it."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __enter__(self) -> Self:
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            self.calls[frame.f_code.co_qualname] += 1


def ask_many(port: int) -> None:
    """``REQUESTS`` requests on a few kept connections, from threads that are not counted."""

    def client() -> None:
        data = request("GET", "/plain")
        with RawClient(port) as connection:
            for _ in range(REQUESTS // CLIENTS):
                assert connection.ask(data).status == 200

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            client()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def test_the_counter_counts() -> None:
    with CallCounter() as counter:
        for _ in range(10):
            free_port()
    assert counter.calls["free_port"] == 10


@pytest.mark.slow
def test_plain_requests_run_no_python(tmp_path: Path) -> None:
    """The engine as a worker hosts it on uvloop, without the master's watchers beside it."""

    async def serve(upstream: int) -> None:
        host, listening = EngineHost(), socket.create_server((LOOPBACK, 0), backlog=128)
        listening.setblocking(False)
        port = listening.getsockname()[1]
        service = f"{LOOPBACK}:{upstream}"
        m.write(tmp_path, "main.yaml", m.listener("http", port), m.host("any"), m.mapping("all", "/", service))
        update = load(Settings(paths=(str(tmp_path),)))
        deltas = DeltaBuilder()
        deltas.update(update.sections)
        (payload,) = deltas.path(None)
        with listening:
            assert host.start() == []
            try:
                assert (await host.apply(payload.data))[1] == []
                host.listen(update.model.listeners[0].name, listening.fileno())
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, ask_many, port)  # connections, caches, first-time code
                done = loop.run_in_executor(None, ask_many, port)
                with CallCounter() as counter:
                    await done
            finally:
                host.close()
        assert counter.calls.total() < ALLOWED, counter.calls.most_common(20)

    with Backend(plain(200, b"ok")) as backend:
        run(serve(backend.port))
        assert len(backend.requests) == 2 * REQUESTS
