"""A Python filter that blocks costs its own requests, not the edge (behaviour row 56). Workers are real processes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.ir.encode import encode
from gateway.plane.pipeline import load
from gateway.plane.supervisor import Supervisor
from gateway.settings import Settings, WorkerSettings
from tests.support import filters
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.ports import LOOPBACK, free_port
from tests.support.rawclient import RawClient, request
from tests.support.replies import plain
from tests.support.waiting import until
from tests.support.wire import WireError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gateway.ir.model import Gateway

pytestmark = [pytest.mark.native, pytest.mark.timeout(120)]

NAMES = ("polite", "sleeps", "computes", "holds", "declared")
BLOCK = 0.3


class Edge:
    """A supervisor in this loop, its workers, and clients in threads."""

    def __init__(self, port: int, supervisor: Supervisor) -> None:
        self.port = port
        self.supervisor = supervisor

    def get(self, target: str, timeout: float = 60.0) -> int:
        with RawClient(self.port, timeout=timeout) as client:
            return client.ask(request("GET", target, ("Connection", "close"))).status

    async def ask(self, target: str) -> int:
        return await asyncio.to_thread(self.get, target)

    def count(self, name: str) -> int:
        counters = self.supervisor.counters()
        assert counters is not None
        value: int = counters[name]
        return value

    async def until(self, condition: Callable[[], object], what: str, deadline: float = 20.0) -> None:
        await asyncio.to_thread(until, condition, what, deadline)


def filtered(gateway: Gateway) -> Gateway:
    """``/NAME`` passes through the filter of that name."""
    hosts = tuple(
        replace(
            host,
            routes=tuple(
                replace(route, filters=(route.match.path.value.strip("/"),))
                if route.match.path.value.strip("/") in NAMES
                else route
                for route in host.routes
            ),
        )
        for host in gateway.virtual_hosts
    )
    return replace(gateway, virtual_hosts=hosts)


@asynccontextmanager
async def serving(folder: Path, upstream: int, **workers: float) -> AsyncIterator[Edge]:
    port = free_port()
    mappings = [m.mapping(name, f"/{name}", f"{LOOPBACK}:{upstream}") for name in NAMES]
    rest = m.mapping("all", "/", f"{LOOPBACK}:{upstream}")
    m.write(folder, "main.yaml", m.listener("http", port), m.host("any"), rest, *mappings)
    settings = Settings(
        paths=(str(folder),),
        workers=WorkerSettings(
            **{"count": 1, "filter_budget": 5.0, "filter_block": BLOCK, **workers},  # type: ignore[arg-type]
            filters=tuple((name, f"{filters.__name__}:{name}") for name in NAMES),
        ),
    )
    model = filtered(load(settings).model)
    supervisor = Supervisor(settings)
    supervisor.start()
    try:
        supervisor.publish(encode(model), model.listeners)
        edge = Edge(port, supervisor)
        await edge.until(lambda: supervisor.ready and supervisor.workers_current == settings.workers.count, "ready")
        assert supervisor.issues() == ()
        yield edge
    finally:
        await supervisor.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sleeps", "computes"])
async def test_a_filter_that_blocks_is_interrupted_and_then_runs_aside(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """One worker: what else it serves waits once, for a moment, and after that no more."""
    with Backend(plain(200, b"hello")) as backend:
        async with serving(tmp_path, backend.port) as edge:
            assert await edge.ask(f"/{name}") == 200, "it does not block by nature"
            stuck = asyncio.create_task(edge.ask(f"/{name}?{filters.FAR}"))
            await edge.until(lambda: edge.count("upcalls") == 2, "the filter begins")
            assert await edge.ask("/") == 200
            assert await stuck == 504
            assert edge.count("filter_stalled") == 1
            stuck = asyncio.create_task(edge.ask(f"/{name}?{filters.FAR}"))
            await edge.until(lambda: edge.count("upcalls") == 3, "the filter begins again")
            for _ in range(20):
                assert await edge.ask("/") == 200
                assert await edge.ask("/polite") == 200
            assert not stuck.done(), "all that while it blocks"
            assert await stuck == 504
            assert (edge.count("filter_stalled"), edge.count("filter_timeout")) == (1, 1)
            assert await edge.ask(f"/{name}?0.001") == 200
            assert edge.supervisor.restarts == 0
    log = capfd.readouterr().err
    assert log.count(f"filter {name} has kept its worker") == 1
    assert "tests/support/filters.py" in log, "the stack says where"


async def test_a_filter_that_says_so_never_keeps_its_worker(tmp_path: Path) -> None:
    with Backend(plain(200, b"hello")) as backend:
        async with serving(tmp_path, backend.port, filter_budget=3.0, filter_threads=2) as edge:
            assert await edge.ask("/declared?0.001") == 200
            stuck = [asyncio.create_task(edge.ask(f"/declared?{filters.FAR}")) for _ in range(2)]
            await edge.until(lambda: edge.count("upcalls") == 3, "both threads block")
            for _ in range(20):
                assert await edge.ask("/") == 200
            assert not any(task.done() for task in stuck)
            assert await asyncio.gather(*stuck) == [504, 504]
            assert await edge.ask("/declared") == 503, "both threads hang"
            assert await edge.ask("/polite") == 200
            assert edge.count("filter_stalled") == 0
            assert (edge.count("filter_timeout"), edge.count("filter_refused")) == (2, 1)


@pytest.mark.slow
async def test_a_worker_that_cannot_be_interrupted_is_replaced(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Native code keeps the interpreter. The other worker takes all connections meanwhile."""
    with Backend(plain(200, b"hello")) as backend:
        async with serving(tmp_path, backend.port, count=2, stall_limit=8.0) as edge:
            stuck = asyncio.create_task(edge.ask("/holds?1"))
            stuck.add_done_callback(lambda task: task.exception())
            await edge.until(lambda: edge.count("upcalls") == 1, "the filter begins")
            # Some of these are in the queue of the worker that hangs, until it is lent.
            assert set(await asyncio.gather(*(edge.ask("/") for _ in range(30)))) == {200}
            assert (edge.supervisor.stalls, edge.supervisor.restarts, stuck.done()) == (1, 0, False)
            await edge.until(lambda: edge.supervisor.restarts == 1, "it is replaced")
            await edge.until(lambda: edge.supervisor.workers_current == 2, "its successor serves")
            with pytest.raises((OSError, WireError)):
                await stuck
            assert await edge.ask("/") == 200
    assert "in holds" in capfd.readouterr().err, "its stack was written before it ended"
