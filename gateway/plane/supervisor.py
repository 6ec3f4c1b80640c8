"""Keeps one worker in every slot: starts, feeds, replaces and drains them.

Sockets and shared memory belong to the master, so a worker can be replaced without losing a queued connection or a
counter. While a slot waits out a crash loop, or its worker does not turn, a living sibling accepts from its TCP sockets
too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import _native
from gateway.plane.backoff import CrashBackoff
from gateway.plane.control import Configure
from gateway.plane.delta import DeltaBuilder
from gateway.plane.launch import ProcessLauncher, launch_task
from gateway.plane.link import Plan
from gateway.plane.pressure import MemoryWatch, find_memory_files
from gateway.plane.slot import Slot, within
from gateway.plane.sockets import SocketTable
from gateway.plane.stalls import StallWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.diagnostics import Diagnostic
    from gateway.ir.encode import Section
    from gateway.ir.model import Listener
    from gateway.plane.control import Issue
    from gateway.plane.launch import Launcher
    from gateway.plane.pressure import Level
    from gateway.settings import Settings

_TICK = 0.01
"""Seconds between two looks at retired sockets; only while there are some."""
_KILL_SLACK = 2.0
"""Seconds after the drain deadline until a worker that hangs is killed."""
_STDOUT = 1


class Supervisor:
    """The data plane as the master sees it. All methods must be called on the loop's thread."""

    def __init__(
        self,
        settings: Settings,
        on_change: Callable[[], None] = lambda: None,
        launcher: Launcher | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``on_change`` is called whenever readiness, issues or ports may have changed. ``workers.count`` 0 means one
        worker inside this loop. ``jitter`` gives numbers in [0, 1)."""
        workers = settings.workers
        self._settings = settings
        self._on_change = on_change
        self.deltas = DeltaBuilder()
        self.sockets = SocketTable(settings.listen, max(1, workers.count))
        self._plan = Plan(self.deltas)
        self._draining = False
        self._leaving = False
        self._pressure: Level = 0
        self._ending = asyncio.Event()
        self._halted = asyncio.Event()
        launcher = launcher or (ProcessLauncher() if workers.count else launch_task)
        self.slots = [
            Slot(
                number,
                self._plan,
                launcher,
                CrashBackoff(
                    workers.crash_limit, workers.crash_window, workers.backoff_initial, workers.backoff_max, jitter
                ),
                self._ending,
                self._slot_changed,
            )
            for number in range(max(1, workers.count))
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._memory: _native.SharedMemory | None = None
        self._memory_fd = -1
        self.memory: MemoryWatch | None = None
        """How much of the pod's memory is in use; ``None`` without a limit."""
        self._watching: list[asyncio.Task[None]] = []
        self._stalls: StallWatch | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._was_ready = False
        self._open_at_halt = 0

    # ------------------------------------------------------------------------------------------------ configuration

    def start(self) -> None:
        """Make the shared memory and start every worker. Raises :class:`OSError`."""
        self._memory_fd = os.memfd_create("sluice-stats", os.MFD_CLOEXEC)
        self._memory = _native.SharedMemory(self._memory_fd, len(self.slots))
        loop = asyncio.get_running_loop()
        self._watch_memory(loop)
        self._watch_turns(loop)
        self._tasks = [
            loop.create_task(slot.keep(self._configuration(slot.number)), name=f"slot-{slot.number}")
            for slot in self.slots
        ]

    def _watch_memory(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self._settings.overload
        files = find_memory_files(Path(settings.control_groups))
        if files is not None and self._memory is not None:
            self.memory = MemoryWatch(settings, files, self._pressure_changed)
            self._watching.append(loop.create_task(self.memory.run(), name="memory"))

    def _watch_turns(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._settings.workers.count and self._memory is not None:
            self._stalls = StallWatch(
                self._settings.workers.stall_limit,
                self._memory.turns,
                lambda: [slot.number for slot in self.slots if slot.serving],
                self._sync,
                lambda number, reason: self.slots[number].replace(reason),
            )
            self._watching.append(loop.create_task(self._stalls.run(), name="stalls"))

    def _pressure_changed(self, level: Level) -> None:
        self._pressure = level
        self._tell_pressure()
        self._on_change()

    def _tell_pressure(self) -> None:
        if self._memory is not None:
            self._memory.set_pressure(max(self._pressure, 1) if self._leaving else self._pressure)

    def publish(self, sections: Iterable[Section], listeners: Iterable[Listener]) -> None:
        """Make this the configuration of all workers. Returns at once; equal input does nothing."""
        if self._ending.is_set():
            return
        if self.deltas.update(sections) is not None:
            self._plan.forget()
        self.sockets.update(listeners, asyncio.get_running_loop().time())
        self._schedule()
        self._sync()

    def _configuration(self, slot: int) -> Configure:
        settings = self._settings
        return Configure(
            slot=slot,
            workers=len(self.slots),
            drain_timeout=settings.drain.timeout,
            handover=settings.listen.handover,
            filter_budget=settings.workers.filter_budget,
            filter_block=settings.workers.filter_block,
            filter_threads=settings.workers.filter_threads,
            filters=settings.workers.filters,
            memory_fd=self._memory_fd,
            access_log_fd=_STDOUT,
        )

    # ------------------------------------------------------------------------------------------------------- looking

    @property
    def ready(self) -> bool:
        """Every worker has applied a complete configuration once, and at least one can serve now."""
        return self._was_ready and not self._draining and any(slot.serving for slot in self.slots)

    @property
    def reason(self) -> str:
        """Why :attr:`ready` is false; empty when it is true."""
        if self.ready:
            return ""
        if self._draining:
            return "draining"
        if self.deltas.version == 0:
            return "waiting for the first configuration"
        return f"{sum(slot.serving for slot in self.slots)} of {len(self.slots)} workers serve"

    @property
    def workers_current(self) -> int:
        """Workers that serve the newest configuration."""
        return sum(slot.current for slot in self.slots)

    @property
    def restarts(self) -> int:
        """Workers that were replaced after a crash."""
        return sum(slot.restarts for slot in self.slots)

    @property
    def stalls(self) -> int:
        """How often a worker stopped turning."""
        return 0 if self._stalls is None else self._stalls.count

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers, 0 for one inside this process."""
        return [slot.pid for slot in self.slots if slot.pid is not None]

    def issues(self) -> tuple[Issue, ...]:
        """What the workers could not compile or load; each once."""
        reports = (slot.link.report for slot in self.slots if slot.link is not None)
        return tuple({issue: None for report in reports if report is not None for issue in report.issues})

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Ports that cannot be served."""
        return self.sockets.diagnostics()

    def counters(self) -> dict[str, Any] | None:
        """Sums over all workers, ``None`` before :meth:`start` and after :meth:`close`."""
        return None if self._memory is None else self._memory.read()

    # -------------------------------------------------------------------------------------------------------- ending

    async def drain(self) -> int:
        """Fail readiness, keep accepting for the grace, then finish what runs. Ends early after :meth:`halt`.

        In the second half of the grace connections end with their next answer.

        Returns how many connections were still open when their workers ended.
        """
        settings = self._settings.drain
        self._draining = True
        self._on_change()
        if settings.grace:
            # Connections in use learn of the end with an answer, before a request and our close can cross (RFC 9112
            # section 9.5); not at once, because clients that come back at once may still be sent here.
            await within(self._halted, settings.grace / 2)
            self._leaving = True
            self._tell_pressure()
            await within(self._halted, settings.grace / 2)
        self._ending.set()
        links = [slot.link for slot in self.slots if slot.link is not None]
        for link in links:
            with contextlib.suppress(OSError):
                link.drain(settings.timeout)
        loop = asyncio.get_running_loop()
        self.sockets.retire_all(loop.time())
        while self.sockets.busy and self.pids and not await within(self._halted, _TICK):
            self.sockets.advance(loop.time())
        for link in links:
            with contextlib.suppress(OSError):
                link.unlisten_all()
        if self._tasks and not self._halted.is_set():
            await asyncio.wait(self._tasks, timeout=settings.timeout + _KILL_SLACK)
        await self.close()
        return self._open_at_halt + sum(link.cut for link in links)

    def halt(self) -> None:
        """End at once: running requests are cut."""
        if not self._halted.is_set():
            counters = self.counters() or {}
            # Gauges of workers that have ended are zero.
            self._open_at_halt = counters.get("active", 0)
        self._draining = True
        self._ending.set()
        self._halted.set()
        for slot in self.slots:
            slot.halt()

    async def close(self) -> None:
        """Kill what still runs and release everything. Calling it twice is fine."""
        self.halt()
        if self._ticker is not None:
            self._ticker.cancel()
        for task in self._watching:
            task.cancel()
        if self._watching:
            await asyncio.wait(self._watching)
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.sockets.close()
        self._plan.forget()
        self._memory = None
        if self._memory_fd >= 0:
            os.close(self._memory_fd)
            self._memory_fd = -1

    # ------------------------------------------------------------------------------------------------------- feeding

    def _slot_changed(self, slot: Slot) -> None:
        link = slot.link
        if link is None:
            if self._memory is not None:
                self._memory.reset_gauges(slot.number)
        elif link.report is not None and link.current:
            self.deltas.settle(link.report.version, {key for key, _, _ in link.report.issues})
        if all(slot.serving for slot in self.slots):
            self._was_ready = True
        if self.workers_current == len(self.slots):
            self._plan.forget()
        self._sync()
        self._on_change()

    def _sync(self) -> None:
        """Bring every worker closer to what it should have."""
        if self._ending.is_set():
            return
        tables = {slot.number: self.sockets.slot(slot.number) for slot in self.slots}
        stalled = frozenset[int]() if self._stalls is None else self._stalls.stalled
        absent = stalled | {slot.number for slot in self.slots if slot.waiting}
        living = [slot.number for slot in self.slots if slot.serving and slot.number not in absent]
        for slot in self.slots:
            if slot.number in absent and living:
                _merge(tables[living[slot.number % len(living)]], self.sockets.slot(slot.number, lent=True))
        for slot in self.slots:
            slot.sync(tables[slot.number])

    def _schedule(self) -> None:
        """Look at the sockets again when there is a reason to."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        delay = _TICK if self.sockets.busy else self._settings.listen.retry_interval
        if not self._ending.is_set() and (self.sockets.busy or self.sockets.failing):
            self._ticker = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        if self._ending.is_set():
            return
        gone = self.sockets.advance(asyncio.get_running_loop().time())
        if self.sockets.retry() or gone:
            self._sync()
            self._on_change()
        self._schedule()


def _merge(table: dict[str, dict[int, int]], lent: dict[str, dict[int, int]]) -> None:
    for name, sockets in lent.items():
        table[name] = table.get(name, {}) | sockets
