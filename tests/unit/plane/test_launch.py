"""Worker processes: how they are started and waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from types import SimpleNamespace
from typing import Any

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


async def test_without_threads_no_process_is_started_and_none_later() -> None:
    launcher = ProcessLauncher()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, pytest.MonkeyPatch.context() as patch:

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="can't start new thread"):
            await launcher(theirs)
        assert theirs.fileno() == -1
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        worker = await launcher(theirs)
        worker.kill()
        assert await worker.wait() == -signal.SIGKILL


async def test_a_launch_that_is_given_up_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, started = threading.Event(), threading.Event(), []

    def slow(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        begun.set()
        go_on.wait(10)
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("gateway.plane.launch.subprocess", SimpleNamespace(Popen=slow, DEVNULL=subprocess.DEVNULL))
    launcher = ProcessLauncher()
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    tasks = [asyncio.create_task(launcher(theirs)) for _, theirs in pairs]
    await asyncio.to_thread(begun.wait)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    go_on.set()
    # One was on its way and is ended, the other never began.
    for ours, theirs in pairs:
        with ours:
            assert await asyncio.to_thread(ours.recv, 1) == b""
        assert theirs.fileno() == -1
    assert [await asyncio.to_thread(process.wait) for process in started] == [-signal.SIGKILL]
