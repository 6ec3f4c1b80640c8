"""A network namespace that a test made. What listens in it can be reached from nowhere else, and it is gone with the
last process in it.

A namespace belongs to a thread. A test runs in the namespace while it is inside ``entered``: its sockets, the processes
it starts and the threads it starts. So addresses and ports can be fixed: nobody else is there.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.kube.programs import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

NODE_ADDRESS = "10.244.0.1"
"""Of the bridge that joins the pods: where pods find the API server."""
PREFIX_LENGTH = 16
BRIDGE = "pods"
_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_SETTINGS = {
    # Pods talk to others through the node's rules for Services.
    "ip_forward": "1",
    # Both ends of such a connection are on one bridge; they must not be told of a shorter way.
    "conf/all/send_redirects": "0",
    f"conf/{BRIDGE}/send_redirects": "0",
    # As container runtimes set it: port 80 is for everyone.
    "ip_unprivileged_port_start": "0",
}
_LINKS = f"""\
link set lo up
link add {BRIDGE} type bridge
addr add {NODE_ADDRESS}/{PREFIX_LENGTH} dev {BRIDGE}
link set {BRIDGE} up
"""
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """The namespace of a node: loopback, and a bridge for its pods."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def create(cls) -> Self:
        """Raises ``OSError`` without the right to make namespaces."""
        made: list[int] = []
        failed: list[Exception] = []

        def make() -> None:
            try:
                _check(_libc.unshare(_CLONE_NEWNET), "unshare")
                made.append(os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC))
                _furnish()
            except (OSError, subprocess.SubprocessError) as error:
                failed.append(error)

        thread = threading.Thread(target=make, name="network")
        thread.start()
        thread.join()
        if failed:
            for descriptor in made:
                os.close(descriptor)
            raise failed[0]
        return cls(made[0])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in the namespace; may be nested."""
        before = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self._descriptor, _CLONE_NEWNET), "setns")
            yield
        finally:
            _check(_libc.setns(before, _CLONE_NEWNET), "setns")
            os.close(before)

    def close(self) -> None:
        """Let go of the namespace. Processes that are still in it keep it."""
        os.close(self._descriptor)


def _furnish() -> None:
    ip = tool("ip")
    assert ip is not None, "ip is not installed"
    done = subprocess.run([ip, "-batch", "-"], input=_LINKS, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip -batch: {done.stderr}")
    for name, value in _SETTINGS.items():
        Path("/proc/sys/net/ipv4", name).write_text(value, encoding="ascii")


def _check(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
