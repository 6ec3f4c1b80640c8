"""Free loopback ports."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """``count`` different ports that nothing listens on; all are held open until the last one is chosen."""
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    try:
        return [int(sock.getsockname()[1]) for sock in held]
    finally:
        for sock in held:
            sock.close()


def listens(pid: int, port: int) -> bool:
    """Whether the process ``pid`` has a listening TCP socket on the IPv4 port: that something answers there does not
    say who does."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # Descriptors may be closed while they are listed.
        with contextlib.suppress(OSError):
            own.add(str(link.readlink()))
    lines = Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" and f"socket:[{row[9]}]" in own for row in rows)


def free_port() -> int:
    return free_ports(1)[0]
