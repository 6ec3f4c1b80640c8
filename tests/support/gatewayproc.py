"""The product as a user starts it: ``python -m gateway run FOLDER`` on free loopback ports."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.support.manifests import Object, write
from tests.support.ports import LOOPBACK, free_ports, listens
from tests.support.processes import ChildProcess
from tests.support.rawclient import ask, request
from tests.support.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.messages import Response

READY = "/ambassador/v0/check_ready"


class Ports:
    """The ports of one gateway, known before its manifests are written."""

    def __init__(self, extra: int = 0) -> None:
        self.http, self.https, self.admin, *self.extra = free_ports(3 + extra)


class GatewayProcess(ChildProcess):
    """A running gateway; the constructor returns when it is ready to serve."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        objects: Sequence[Object],
        *,
        workers: int = 1,
        arguments: Sequence[str] = (),
    ) -> None:
        self.ports = ports
        self.folder = folder / "manifests"
        self.folder.mkdir()
        write(self.folder, "main.yaml", *objects)
        command = [sys.executable, "-m", "gateway", "run", str(self.folder)]
        command += ["--workers", str(workers), "--bind-address", LOOPBACK]
        command += ["--http-port", str(ports.http), "--https-port", str(ports.https)]
        command += ["--admin-address", f"{LOOPBACK}:{ports.admin}", *arguments]
        super().__init__(command, folder / "gateway.log")
        try:
            # Another program may have taken the port since it was chosen, even another gateway.
            self.wait_for(lambda: listens(self.pid, ports.admin) and self.admin(READY) == 200, "ready")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def admin(self, path: str) -> int:
        """Status of an admin page, 0 while nothing answers."""
        try:
            return self.admin_page(path).status
        except (OSError, WireError):
            return 0

    def admin_page(self, path: str) -> Response:
        return ask(
            self.ports.admin, request("GET", path, ("Connection", "close"), host=f"{LOOPBACK}:{self.ports.admin}")
        )

    def metric(self, name: str) -> float:
        """Value of a metric without labels."""
        for line in self.admin_page("/metrics").body.decode().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return float(value)
        raise AssertionError(f"no metric {name}")

    def configure(self, *objects: Object, file: str = "main.yaml") -> None:
        """Replace a file of the folder; the gateway takes it up by itself."""
        write(self.folder, file, *objects)
