"""Starting workers: as processes, or as a task of the caller's own loop (``workers=0``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from gateway.plane.control import REPORT_SIGNAL
from gateway.settings import worker_environment

if TYPE_CHECKING:
    import socket

logger = logging.getLogger(__name__)


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
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            handle = os.pidfd_open(self._process.pid)
        except OSError:
            # Not every sandbox has such handles.
            threading.Thread(target=self._wait_for, args=(loop, ended), name="wait", daemon=True).start()
            await ended.wait()
            return self._process.wait()
        loop.add_reader(handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        return self._process.wait()

    def _wait_for(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # Nobody waits any more when the loop is closed.
            loop.call_soon_threadsafe(ended.set)

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
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start")

    async def __call__(self, control: socket.socket) -> ProcessWorker:
        return ProcessWorker(await asyncio.get_running_loop().run_in_executor(self._starter, _start, control))


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
