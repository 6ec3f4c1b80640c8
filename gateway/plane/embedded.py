"""An engine inside the caller's own loop: plain asyncio or uvloop, a worker process or an embedding program.

The loop calls ``engine.turn`` directly, so a request that needs no Python filter runs no Python at all. Imported by
workers: no package beyond asyncio and the compiled module.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from gateway import _native
from gateway.base.priority import stand_back
from gateway.plane import memfd
from gateway.plane.upcalls import Dispatcher, Limits, load_filters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from gateway.plane.control import Issue

    Source = TypeVar("Source", bytes, int)

POLL_INTERVAL = 0.02
"""Seconds between two looks at the engine while it drains; never used while it serves."""
_SLACK = 1.0
"""Seconds after a filter's budget until the engine answers by itself: the dispatcher comes first."""


class EngineHost:
    """Runs one engine. All methods must be called on the loop's thread."""

    def __init__(
        self,
        slot: int = 0,
        filters: Sequence[tuple[str, str]] = (),
        limits: Limits | None = None,
        *,
        interrupts: bool = False,
    ) -> None:
        """``interrupts``: the process and its signals are ours, so that filters which block can be interrupted."""
        self._slot = slot
        self._filters = tuple(filters)
        self._limits = limits or Limits()
        self._interrupts = interrupts
        self._engine: _native.Engine | None = None
        self._snapshot: _native.Snapshot | None = None
        self._dispatcher: Dispatcher | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._names: set[str] = set()

    def start(self, memory: _native.SharedMemory | None = None, access_log_fd: int | None = None) -> list[Issue]:
        """Make the engine and hand it to the running loop; issues of filters that could not be loaded."""
        loop = asyncio.get_running_loop()
        registry, issues = load_filters(self._filters)
        engine = _native.Engine(self._slot, memory, self._receive, access_log_fd, self._limits.budget + _SLACK)
        self._engine = engine
        self._dispatcher = Dispatcher(
            loop, registry, engine.answer, self._limits, count=engine.count_filter, interrupts=self._interrupts
        )
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compile", initializer=stand_back)
        loop.add_reader(self._engine.fileno(), self._engine.turn)
        return issues

    async def apply(self, delta: bytes) -> tuple[int, list[Issue]]:
        """Compile in a thread and make current: (version, everything that could not be compiled).

        Raises :class:`gateway._native.SnapshotError` when the delta cannot be read; the current snapshot stays.
        """
        return await self._apply(_native.Snapshot.compile, delta)

    async def apply_fd(self, fd: int) -> tuple[int, list[Issue]]:
        """As :meth:`apply`, from a memory file; ``fd`` stays open."""
        return await self._apply(_compile_file, fd)

    def listen(self, listener: str, fd: int) -> None:
        """Accept from a listening socket, beside those of the same listener. The engine duplicates ``fd``."""
        self.engine.listen(listener, fd)
        self._names.add(listener)

    def listen_udp(self, listener: str, fd: int) -> None:
        """As :meth:`listen`, for HTTP/3 on a UDP socket."""
        self.engine.listen_udp(listener, fd)
        self._names.add(listener)

    def unlisten(self, listener: str) -> None:
        """Stop accepting for a listener; its connections stay, but those of HTTP/3 are asked to leave."""
        self.engine.unlisten(listener)
        self._names.discard(listener)

    def drain(self) -> None:
        """Close idle connections, answer the rest with ``Connection: close``."""
        self.engine.drain()

    @property
    def idle(self) -> bool:
        """Nothing listens and nothing is connected."""
        return not self._names and not self.engine.in_flight() and not self.engine.connections()

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109 - the deadline is part of the protocol
        """Wait until :attr:`idle`; False when ``timeout`` seconds were not enough."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not self.idle:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(POLL_INTERVAL)
        return True

    def close(self) -> None:
        """Drop everything at once. Calling it twice is fine."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        asyncio.get_running_loop().remove_reader(engine.fileno())
        if self._dispatcher is not None:
            self._dispatcher.cancel()
        engine.close()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    @property
    def engine(self) -> _native.Engine:
        """The running engine. Raises :class:`RuntimeError` before :meth:`start` and after :meth:`close`."""
        if self._engine is None:
            raise RuntimeError("the engine host is not running")
        return self._engine

    @property
    def snapshot(self) -> _native.Snapshot | None:
        """What new requests use."""
        return self._snapshot

    def _receive(self, upcalls: list[_native.Upcall]) -> None:
        if self._dispatcher is not None:
            self._dispatcher(upcalls)

    async def _apply(
        self, compiler: Callable[[Source, _native.Snapshot | None], _native.Snapshot], source: Source
    ) -> tuple[int, list[Issue]]:
        loop = asyncio.get_running_loop()
        snapshot = await loop.run_in_executor(self._executor, compiler, source, self._snapshot)
        self.engine.apply(snapshot)
        self._snapshot = snapshot
        return snapshot.version, snapshot.issues


def _compile_file(fd: int, base: _native.Snapshot | None) -> _native.Snapshot:
    return _native.Snapshot.compile(memfd.read(fd), base)
