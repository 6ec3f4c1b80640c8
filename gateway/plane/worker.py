"""A data-plane process: ``python -m gateway.plane.worker FD``, where ``FD`` is its end of the control connection.

It does what the master says, in order: Configure first, then snapshots and sockets as they come. It imports asyncio,
uvloop, the compiled module and small modules of this package only, because there is one worker for each CPU.
When the control connection ends, the master is gone: the worker finishes what it has and exits.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
from typing import assert_never

import uvloop

from gateway import _native
from gateway.plane import tcp
from gateway.plane.channel import Channel
from gateway.plane.control import (
    REPORT_SIGNAL,
    Applied,
    Bye,
    Configure,
    Drain,
    Failed,
    Issue,
    Listen,
    Message,
    Ready,
    Snapshot,
    Unlisten,
    release,
)
from gateway.plane.embedded import EngineHost
from gateway.plane.upcalls import Limits

logger = logging.getLogger(__name__)

DEFAULT_DRAIN = 30.0
"""Seconds, when the master went before it could say."""
_SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may keep the interpreter from another one. Python's 5 ms would be added to every request."""


class Worker:
    """The life of one worker, in its own process or as a task of an embedding program."""

    def __init__(self, control: socket.socket, *, own_process: bool = False) -> None:
        """``own_process``: what belongs to a process is ours: its garbage collector, its signals, its switches between
        threads."""
        self._control = control
        self._own_process = own_process
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._host: EngineHost | None = None
        self._channel: Channel | None = None
        self._listening: dict[str, list[socket.socket]] = {}
        self._drain_timeout = DEFAULT_DRAIN
        self._handover = 0.25
        self._filter_issues: tuple[Issue, ...] = ()

    async def run(self) -> None:
        """Serve until drained. Raises :class:`gateway._native.NativeError` when the engine cannot start."""
        channel = Channel(asyncio.get_running_loop(), self._control, self._inbox.put_nowait, self._orphaned)
        self._channel = channel
        channel.start()
        try:
            deadline = await self._serve(channel)
            cut = await self._finish(self._host, deadline) if self._host is not None else 0
            channel.send(Bye(cut))
        finally:
            for sock in [sock for sockets in self._listening.values() for sock in sockets]:
                sock.close()
            if self._host is not None:
                self._host.close()
            channel.close()
            while not self._inbox.empty():
                if (message := self._inbox.get_nowait()) is not None:
                    release(message)

    async def _serve(self, channel: Channel) -> float:
        """Handle messages until it is time to go; seconds that are left for running requests."""
        while True:
            message = await self._inbox.get()
            if message is None:
                await self._close_sockets()
                return self._drain_timeout
            if isinstance(message, Drain):
                return message.deadline
            await self._handle(channel, message)

    async def _finish(self, host: EngineHost, deadline: float) -> int:
        """Drain: the master still tells when to stop accepting. Connections that are open after ``deadline``."""
        host.drain()
        drained = asyncio.ensure_future(host.drained(deadline))
        while not drained.done():
            waiting = asyncio.ensure_future(self._inbox.get())
            await asyncio.wait({drained, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
            elif (message := waiting.result()) is None:
                await self._close_sockets()
            elif isinstance(message, Unlisten):
                self._unlisten(message.name)
            else:
                release(message)
        return 0 if drained.result() else host.engine.connections()

    async def _handle(self, channel: Channel, message: Message) -> None:
        match message:
            case Configure():
                self._configure(message)
                channel.send(Ready(0, self._filter_issues))
            case Snapshot():
                await self._apply(channel, message)
            case Listen():
                self._listen(channel, message)
            case Unlisten():
                self._unlisten(message.name)
            case Drain() | Ready() | Applied() | Failed() | Bye():
                channel.send(Failed(f"unexpected message {type(message).__name__}"))
            case _:
                assert_never(message)

    def _configure(self, message: Configure) -> None:
        self._drain_timeout, self._handover = message.drain_timeout, message.handover
        memory = None
        if message.memory_fd is not None:
            memory = _native.SharedMemory(message.memory_fd, message.workers)
        limits = Limits(message.filter_budget, message.filter_block, message.filter_threads)
        self._host = EngineHost(message.slot, message.filters, limits, interrupts=self._own_process)
        self._filter_issues = tuple(self._host.start(memory, message.access_log_fd))
        for fd in (message.memory_fd, message.access_log_fd):
            if fd is not None:
                os.close(fd)  # Both were duplicated.
        if self._own_process:
            if message.filters:
                # A filter that computes in a thread lets go of the interpreter so often that the loop hardly waits.
                sys.setswitchinterval(_SWITCH_INTERVAL)
            # What exists now stays for good: the collector need not walk it while requests wait.
            gc.collect()
            gc.freeze()

    async def _apply(self, channel: Channel, message: Snapshot) -> None:
        host = self._require_host()
        try:
            version, issues = await host.apply_fd(message.fd)
        except _native.NativeError as error:
            channel.send(Failed(f"snapshot {message.version}: {error}", message.version))
        else:
            channel.send(Applied(version, (*self._filter_issues, *issues)))
        finally:
            os.close(message.fd)

    def _listen(self, channel: Channel, message: Listen) -> None:
        sock = socket.socket(fileno=message.fd)
        try:
            host = self._require_host()
            listen = host.listen_udp if sock.type == socket.SOCK_DGRAM else host.listen
            listen(message.name, message.fd)
        except (OSError, _native.NativeError) as error:
            sock.close()
            channel.send(Failed(f"listener {message.name}: {error}"))
        else:
            self._listening.setdefault(message.name, []).append(sock)

    def _unlisten(self, name: str) -> None:
        self._require_host().unlisten(name)
        for sock in self._listening.pop(name, ()):
            sock.close()

    async def _close_sockets(self) -> None:
        """Without a master: refuse new connections, accept what is queued, stop accepting."""
        for sock in [sock for sockets in self._listening.values() for sock in sockets]:
            if sock.type == socket.SOCK_STREAM:
                tcp.refuse_new(sock)
        await asyncio.sleep(self._handover)
        for name in list(self._listening):
            self._unlisten(name)

    def _require_host(self) -> EngineHost:
        if self._host is None:
            raise RuntimeError("the first control message must be Configure")
        return self._host

    def _orphaned(self, reason: str) -> None:
        logger.warning("control connection lost (%s); finishing", reason)
        self._inbox.put_nowait(None)


def main() -> None:
    """Entry point. Signals to the process group are the master's business: it tells its workers what to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s worker %(levelname)s %(message)s", stream=sys.stderr)
    faulthandler.register(REPORT_SIGNAL)
    control = socket.socket(fileno=int(sys.argv[1]))
    control.setblocking(False)
    os.set_inheritable(control.fileno(), False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(control, own_process=True).run())


if __name__ == "__main__":
    main()
