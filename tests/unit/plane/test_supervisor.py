"""Master and worker together over a real control connection, in one loop, with a stand-in for the engine."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.ir.encode import Section
from gateway.plane import embedded, supervisor, worker
from gateway.plane.launch import TaskWorker, launch_task
from gateway.plane.supervisor import Supervisor
from gateway.settings import DrainSettings, ListenSettings, Settings, WorkerSettings
from tests.unit.plane import fake_native
from tests.unit.plane.test_sockets import listener, quic

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from gateway.ir.model import Listener

SETTINGS = Settings(
    listen=ListenSettings(handover=0.01),
    drain=DrainSettings(timeout=5.0),
    workers=WorkerSettings(count=2, crash_limit=1, backoff_initial=60.0),
)
WEB = listener("web")


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = fake_native.module()
    for user in (embedded, supervisor, worker):
        monkeypatch.setattr(user, "_native", module)
    return module


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


class Launcher:
    """Starts workers in this loop and remembers them."""

    def __init__(self) -> None:
        self.started: list[TaskWorker] = []
        self.refuse = False

    async def __call__(self, control: socket.socket) -> TaskWorker:
        if self.refuse:
            control.close()
            raise OSError("no more processes")
        self.started.append(await launch_task(control))
        return self.started[-1]


class Plane:
    """A supervisor that is watched."""

    def __init__(self, settings: Settings) -> None:
        self._event = asyncio.Event()
        self.launcher = Launcher()
        self.supervisor = Supervisor(settings, self._event.set, self.launcher, jitter=lambda: 1.0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._event.clear()
                await asyncio.wait({asyncio.ensure_future(self._event.wait())}, timeout=0.01)

    def publish(self, *listeners: Listener, **bodies: Any) -> None:
        sections = [
            Section(f"cluster/{name}", data := json.dumps(body).encode(), data.hex()) for name, body in bodies.items()
        ]
        self.supervisor.publish(sections, listeners)

    def engine(self, slot: int) -> fake_native.Engine:
        return [engine for engine in fake_native.Engine.made if engine.worker == slot][-1]


@asynccontextmanager
async def running(settings: Settings = SETTINGS) -> AsyncIterator[Plane]:
    plane = Plane(settings)
    plane.supervisor.start()
    try:
        yield plane
    finally:
        await plane.supervisor.close()


async def test_ready_when_every_worker_has_the_first_configuration() -> None:
    async with running() as plane:
        await plane.until(lambda: len(fake_native.Engine.made) == 2)
        assert not plane.supervisor.ready
        assert "first configuration" in plane.supervisor.reason
        plane.publish(WEB, a={"x": 1})
        await plane.until(lambda: plane.supervisor.ready)
        assert plane.supervisor.reason == ""
        await plane.until(lambda: all(plane.engine(slot).log == [("listen", "web")] for slot in (0, 1)))
        assert [plane.engine(slot).applied[-1].sections for slot in (0, 1)] == [{"cluster/a": {"x": 1}}] * 2


async def test_a_lagging_worker_skips_to_the_newest_version() -> None:
    async with running() as plane:
        plane.publish(a={"x": 0})
        await plane.until(lambda: plane.supervisor.ready)
        for x in range(1, 50):
            plane.publish(a={"x": x})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        applied = plane.engine(0).applied
        assert applied[-1].sections == {"cluster/a": {"x": 49}}
        assert len(applied) < 10


async def test_issues_are_reported_and_the_last_good_body_stays_for_replaced_workers() -> None:
    async with running() as plane:
        plane.publish(a={"x": 1})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        plane.publish(a={"broken": True}, b={"x": 1})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        assert plane.supervisor.issues() == (("cluster/a", "body", "broken"),)
        plane.launcher.started[0].kill()
        await plane.until(lambda: len(plane.launcher.started) == 3 and plane.supervisor.workers_current == 2)
        assert plane.engine(0).applied[-1].sections == {"cluster/a": {"x": 1}, "cluster/b": {"x": 1}}
        assert plane.supervisor.restarts == 1


async def test_a_crash_loop_lends_the_sockets_to_a_sibling() -> None:
    async with running() as plane:
        plane.publish(WEB, a={"x": 1})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        plane.launcher.started[0].kill()
        await plane.until(lambda: len(plane.launcher.started) == 3 and plane.supervisor.workers_current == 2)
        await plane.until(lambda: plane.engine(0).log == [("listen", "web")])
        plane.launcher.started[2].kill()
        await plane.until(lambda: plane.supervisor.slots[0].waiting)
        await plane.until(lambda: plane.engine(1).log == [("listen", "web")] * 2)
        assert plane.supervisor.ready, "one worker serves"


async def test_a_crash_loop_lends_no_udp_sockets() -> None:
    """Two readers would tear the connections of one socket apart."""
    async with running() as plane:
        plane.publish(quic("quic"), WEB, a={"x": 1})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        for crash in (0, 2):
            await plane.until(lambda crash=crash: len(plane.launcher.started) > crash)  # type: ignore[misc]
            plane.launcher.started[crash].kill()
        await plane.until(lambda: plane.supervisor.slots[0].waiting)
        await plane.until(lambda: plane.engine(1).log.count(("listen", "web")) == 2)
        assert plane.engine(1).log.count(("listen_udp", "quic")) == 1


async def test_a_worker_that_does_not_turn_lends_its_sockets_until_it_turns_again() -> None:
    async with running() as plane:
        plane.publish(WEB, a={"x": 1})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        memory = cast("fake_native.SharedMemory", plane.supervisor._memory)
        memory.stalled.add(0)
        await plane.until(lambda: plane.engine(1).log == [("listen", "web")] * 2)
        assert plane.supervisor.stalls == 1
        memory.stalled.clear()
        await plane.until(lambda: plane.engine(1).log[2:] == [("unlisten", "web"), ("listen", "web")])
        assert len(plane.launcher.started) == 2


async def test_a_worker_that_never_turns_again_is_replaced() -> None:
    settings = replace(SETTINGS, workers=replace(SETTINGS.workers, stall_limit=0.0))
    async with running(settings) as plane:
        plane.publish(WEB, a={"x": 1})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        memory = cast("fake_native.SharedMemory", plane.supervisor._memory)
        memory.stalled.add(0)
        await plane.until(lambda: len(plane.launcher.started) == 3)
        memory.stalled.clear()
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        assert plane.supervisor.restarts == 1


async def test_a_worker_that_cannot_be_started_is_tried_again() -> None:
    settings = replace(SETTINGS, workers=WorkerSettings(count=1, crash_limit=1, backoff_initial=0.01))
    plane = Plane(settings)
    plane.launcher.refuse = True
    plane.supervisor.start()
    plane.publish(a={})
    await plane.until(lambda: plane.supervisor.restarts >= 3)
    plane.launcher.refuse = False
    await plane.until(lambda: plane.supervisor.ready)
    await plane.supervisor.close()


async def test_a_changed_listener_moves_without_a_gap() -> None:
    async with running() as plane:
        plane.publish(WEB, a={})
        await plane.until(lambda: plane.supervisor.workers_current == 2)
        plane.publish(listener("other"), a={})
        await plane.until(lambda: ("unlisten", "web") in plane.engine(0).log)
        assert ("listen", "other") in plane.engine(0).log
        assert list(plane.supervisor.sockets.ports()) == ["other"]


async def test_drain_fails_readiness_first_and_waits_for_connections() -> None:
    async with running() as plane:
        plane.publish(WEB, a={})
        await plane.until(lambda: plane.supervisor.ready and ("listen", "web") in plane.engine(1).log)
        plane.engine(0).busy = 1
        draining = asyncio.ensure_future(plane.supervisor.drain())
        await plane.until(lambda: not plane.supervisor.ready)
        assert plane.supervisor.reason == "draining"
        await plane.until(lambda: plane.engine(0).log[-2:] == [("drain", ""), ("unlisten", "web")])
        await plane.until(lambda: len(plane.supervisor.pids) == 1)
        assert not draining.done()
        plane.engine(0).busy = 0
        async with asyncio.timeout(5):
            assert await draining == 0


async def test_connections_end_with_their_answers_before_those_without_one_are_closed() -> None:
    async with running(replace(SETTINGS, drain=DrainSettings(grace=0.02, timeout=5.0))) as plane:
        plane.publish(WEB, a={})
        await plane.until(lambda: plane.supervisor.ready and ("listen", "web") in plane.engine(1).log)
        assert await plane.supervisor.drain() == 0
        assert fake_native.SharedMemory.made[0].pressures == [(1, 0)]
        assert ("drain", "") in plane.engine(0).log


async def test_drain_tells_how_many_connections_were_cut() -> None:
    async with running(replace(SETTINGS, drain=DrainSettings(timeout=0.05))) as plane:
        plane.publish(WEB, a={})
        await plane.until(lambda: plane.supervisor.ready and ("listen", "web") in plane.engine(1).log)
        plane.engine(0).busy, plane.engine(1).busy = 2, 1
        async with asyncio.timeout(5):
            assert await plane.supervisor.drain() == 3


async def test_halt_cuts_a_drain_short() -> None:
    async with running(replace(SETTINGS, drain=DrainSettings(grace=600.0, timeout=600.0))) as plane:
        plane.publish(WEB, a={})
        await plane.until(lambda: plane.supervisor.ready)
        draining = asyncio.ensure_future(plane.supervisor.drain())
        await plane.until(lambda: not plane.supervisor.ready)
        plane.supervisor.halt()
        async with asyncio.timeout(5):
            await draining


async def test_a_worker_without_a_master_finishes_and_ends(native: Any) -> None:
    from gateway.plane.channel import pair
    from gateway.plane.control import Configure, encode

    ours, theirs = pair()
    running_worker = await launch_task(theirs)
    ours.send(encode(Configure(0, 1, 5.0, 0.01, 5.0))[0])
    ours.close()
    async with asyncio.timeout(5):
        assert await running_worker.wait() == 0
    assert fake_native.Engine.made[-1].log == [("drain", "")]
