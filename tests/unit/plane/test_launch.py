"""Worker processes: how they are started and waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading

import pytest

from gateway.base.priority import BEHIND, stand_back
from gateway.plane.launch import ProcessLauncher


def niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_workers_stay_before_a_master_that_stands_back() -> None:
    found: list[int] = []

    async def master() -> None:
        launcher = ProcessLauncher()
        usual = niceness(threading.get_native_id())
        for _ in range(2):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours:
                worker = await launcher(theirs)
                found.append(niceness(worker.pid) - usual)
                worker.kill()
                assert await worker.wait() == -signal.SIGKILL
            stand_back()
        found.append(niceness(threading.get_native_id()))

    # In a thread of its own, because nobody may take a niceness back.
    thread = threading.Thread(target=asyncio.run, args=(master(),))
    thread.start()
    thread.join()
    assert found == [0, 0, BEHIND]


@pytest.mark.parametrize("handles", [True, False])
async def test_the_exit_code_comes_with_and_without_process_handles(
    handles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not handles:

        def refuse(_: int) -> int:
            raise OSError("not in this sandbox")

        monkeypatch.setattr(os, "pidfd_open", refuse)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker = await ProcessLauncher()(theirs)
    # A worker without a master finishes and ends.
    ours.close()
    assert await worker.wait() == 0
    worker.kill()
