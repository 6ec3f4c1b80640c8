"""Starting workers: as processes, or as a task of the caller's own loop (``workers=0``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from gateway.plane.control import REPORT_SIGNAL
from gateway.settings import worker_environment

if TYPE_CHECKING:
    import socket
    from concurrent.futures import Future

logger = logging.getLogger(__name__)

_POLL_S = 0.1
"""Between two looks at a process that cannot be watched."""


def raise_descriptor_limit() -> None:
    """Let this process and its workers open as many descriptors as the system allows them: a connection through the
    gateway takes two."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:
        # A hard limit above fs.nr_open cannot be taken, not even partly.
        logger.warning("at most %d descriptors can be open, not %d: %s", now, most, error)


class Running(Protocol):
    """A started worker."""

    @property
    def pid(self) -> int:
        """Process id, 0 for a worker in this process."""

    async def wait(self) -> int:
        """Exit code, once it has ended; negative signal number as of :mod:`subprocess`."""

    def report(self) -> None:
        """Have it write where its threads are to standard error, if it still can."""

    def kill(self) -> None:
        """End it at once; fine when it has ended already."""


class Launcher(Protocol):
    """Makes a worker out of its end of a control connection, which the launcher takes over."""

    async def __call__(self, control: socket.socket) -> Running:
        """Raises :class:`OSError` when no process can be started."""


class ProcessWorker:
    """A worker process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        # Some sandboxes have no handles of processes, or none that can be watched.
        with contextlib.suppress(OSError):
            if self._process.poll() is None:
                await _ended(self._process.pid)
        while (code := self._process.poll()) is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(_POLL_S)
        return code

    def report(self) -> None:
        self._process.send_signal(REPORT_SIGNAL)

    def kill(self) -> None:
        self._process.kill()


class ProcessLauncher:
    """``python -P -m gateway.plane.worker``: ``-P`` keeps the current directory out of its imports.

    Processes inherit the niceness of the thread that starts them, and the master's own may change (see
    :mod:`gateway.base.priority`), so that they have a thread of their own, which stays as it was when the first of
    them was started.
    """

    def __init__(self) -> None:
        self._starter = _starter()

    async def __call__(self, control: socket.socket) -> ProcessWorker:
        try:
            starting = self._starter.submit(_start, control)
        except RuntimeError as error:
            # What was submitted would be done later, for a control connection that nobody has any more.
            self._starter.shutdown(wait=False, cancel_futures=True)
            self._starter = _starter()
            control.close()
            raise OSError(f"no thread can start a worker: {error}") from error
        try:
            return ProcessWorker(await asyncio.wrap_future(starting))
        except asyncio.CancelledError:
            starting.add_done_callback(_discard)
            if starting.cancelled():
                control.close()
            raise


def _starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="start")


def _discard(started: Future[subprocess.Popen[bytes]]) -> None:
    """Nobody waits for this process any more."""
    if not started.cancelled() and started.exception() is None:
        process = started.result()
        process.kill()
        process.wait()


async def _ended(pid: int) -> None:
    """Wait for the end of a process. Raises :class:`OSError` where that cannot be watched."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    handle = os.pidfd_open(pid)
    try:
        loop.add_reader(handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(handle)
    finally:
        os.close(handle)


def _start(control: socket.socket) -> subprocess.Popen[bytes]:
    with control:
        fd = control.fileno()
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "gateway.plane.worker", str(fd)],
            stdin=subprocess.DEVNULL,
            pass_fds=(fd,),
            env=worker_environment(sys.path),
        )


class TaskWorker:
    """A worker inside this loop."""

    pid = 0

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    async def wait(self) -> int:
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return -9
        error = self._task.exception()
        if error is not None:
            logger.error("the embedded worker failed", exc_info=error)
        return 0 if error is None else 1

    def report(self) -> None:
        """Whoever asks has the same threads."""

    def kill(self) -> None:
        self._task.cancel()


async def launch_task(control: socket.socket) -> TaskWorker:
    """Serve in the running loop, uvloop or plain asyncio."""
    from gateway.plane.worker import Worker

    return TaskWorker(asyncio.get_running_loop().create_task(Worker(control).run(), name="sluice-worker"))
