"""Programs that a run starts: pinned to a core, waited for, ended."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import shutil
import socket
import ssl
import subprocess
import time
from abc import ABC, abstractmethod
from typing import IO, TYPE_CHECKING, ClassVar

from benchmarks.load import machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.load.site import Site

TIMEOUT_SECONDS = 3
"""Of connecting, reading and writing, for every gateway that is told."""

# Below the ports that the kernel gives to connections, so that none of a run's many can sit on a gateway's port.
_PORTS = itertools.count(20000 + os.getpid() % 8000)


class StartError(RuntimeError):
    """A program that ended or never answered; the text carries the end of its log."""


class MissingError(RuntimeError):
    """A tool that is neither there nor could be built; a group that needs it is left out."""


def require(tool: str) -> None:
    if shutil.which(tool) is None:
        raise MissingError(f"{tool} is not installed")


def free_port() -> int:
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("ports do not end")


def get(port: int, path: str, host: str, tls: bool = False, address: str = "127.0.0.1") -> tuple[int, bytes]:
    """One request on its own connection."""
    connection: http.client.HTTPConnection
    if tls:
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(address, port, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(address, port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read()


class Program:
    """A child on one core, with its whole tree of processes."""

    def __init__(
        self, command: list[str], core: int | str, log: Path, environment: dict[str, str] | None = None
    ) -> None:
        """``core``: one core, or a list as taskset takes it."""
        self.log = log
        self._output: IO[bytes] = log.open("wb")
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
        )

    def pids(self) -> list[int]:
        return machine.tree(self._process.pid)

    def wait_for(self, port: int, path: str, host: str, tls: bool = False, address: str = "127.0.0.1") -> float:
        """Seconds from the start until a request is answered with 200."""
        return self.wait_until(lambda: get(port, path, host, tls, address)[0] == 200)

    def wait_for_port(self, port: int) -> float:
        """Seconds from the start until connections are taken, for those that do not speak HTTP/1.1."""

        def connects() -> bool:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True

        return self.wait_until(connects)

    def wait_until(self, holds: Callable[[], bool], timeout: float = 120.0) -> float:
        while time.monotonic() < self.started + timeout:
            if self._process.poll() is not None:
                raise StartError(f"ended with {self._process.returncode}: {self.tail()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if holds():
                    return time.monotonic() - self.started
            time.sleep(0.01)
        raise StartError(f"no answer within {timeout:.0f} s: {self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


class Proxy(ABC):
    """A gateway under test: knows how to write its configuration for a site and how it is started."""

    name: ClassVar[str] = ""

    def __init__(self, site: Site, folder: Path, core: int) -> None:
        self.site = site
        self.folder = folder / f"{self.name}-{site.name}"
        self.folder.mkdir()
        self.port = free_port()
        command = self.configure()
        self.program = Program(command, core, self.folder / "log", self.environment())

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """What is measured; empty when it is not installed."""

    @abstractmethod
    def configure(self) -> list[str]:
        """Write the configuration into ``folder`` and return the command."""

    def environment(self) -> dict[str, str]:
        return {}

    def ready(self) -> float:
        """Seconds from the start to the first answer on the last route (or connection, on an HTTP/2 port)."""
        if self.site.prior_knowledge:
            return self.program.wait_for_port(self.port)
        last = self.site.routes[-1]
        return self.program.wait_for(self.port, last.prefix, last.host, self.site.tls)

    def url(self, path: str) -> str:
        return f"{'https' if self.site.tls else 'http'}://127.0.0.1:{self.port}{path}"
