"""A child process of a test: its log is kept, and only it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType


class ChildProcess:
    """A started program. Leaving the context sends SIGTERM and checks how it ended."""

    def __init__(self, arguments: Sequence[str], log: Path, expected_exit: int | None = 0) -> None:
        self._expected_exit = expected_exit
        self.log_path = log
        self.name = Path(arguments[0]).name
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, condition: Callable[[], bool], what: str, deadline: float = 30.0) -> None:
        """Wait for a condition of the running program; its death ends the wait at once."""

        def alive_and_reached() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
            return condition()

        until(alive_and_reached, f"{self.name}: {what}", deadline)

    def children(self) -> list[int]:
        """Process ids of direct children, as the kernel lists them."""
        lists = Path(f"/proc/{self.pid}/task").glob("*/children")
        return sorted(int(word) for path in lists for word in path.read_text(encoding="ascii").split())

    def kill_child(self, pid: int) -> None:
        """kill -9 one of our own children; one that has ended meanwhile is what was wanted."""
        if pid not in self.children():
            raise AssertionError(f"{pid} is not a child of {self.name}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def terminate(self, deadline: float = 30.0) -> int:
        """SIGTERM and wait; SIGKILL only when that did not help."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=deadline)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} ignored SIGTERM for {deadline} s:\n{self.log()}") from None
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.terminate()
        if kind is None and self._expected_exit is not None and code != self._expected_exit:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.log()}")
