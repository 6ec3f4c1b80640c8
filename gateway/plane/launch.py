"""Starting workers: as processes, or as a task of the caller's own loop (``workers=0``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import sys
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

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        return await self._process.wait()

    def report(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(REPORT_SIGNAL)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def launch_process(control: socket.socket) -> ProcessWorker:
    """``python -P -m gateway.plane.worker``: ``-P`` keeps the current directory out of its imports."""
    with control:
        fd = control.fileno()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "gateway.plane.worker",
            str(fd),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(fd,),
            env=worker_environment(sys.path),
        )
    return ProcessWorker(process)


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
