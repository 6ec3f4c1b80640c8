"""``sluice run`` beside the cluster: a process in the network of the test that reads one namespace of it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import orjson

from gateway.plane.delta import DeltaBuilder
from gateway.plane.pipeline import load
from gateway.settings import KubernetesSettings, ListenSettings, Settings
from tests.support.ports import LOOPBACK, listens
from tests.support.processes import ChildProcess
from tests.support.rawclient import ask, request
from tests.support.wire import WireError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kube.controlplane import ControlPlane

DIAGNOSTICS = "/ambassador/v0/diag/"


class ClusterGateway(ChildProcess):
    """A gateway with a cluster as its source; the constructor returns when it is ready."""

    def __init__(
        self, control_plane: ControlPlane, namespace: str, folder: Path, http: int, admin: int, *arguments: str
    ) -> None:
        self.http, self.admin_port = http, admin
        command = [sys.executable, "-m", "gateway", "run", "--kubeconfig", str(control_plane.admin.path)]
        command += ["--namespace", namespace, "--state-dir", str(folder / "state"), "--bind-address", LOOPBACK]
        command += ["--admin-address", f"{LOOPBACK}:{admin}", "--http-port", str(http), *arguments]
        super().__init__(command, folder / f"gateway-{admin}.log")
        try:
            self.wait_for(lambda: listens(self.pid, admin) and self.page("/ready")[0] == 200, "ready")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def listens(self, port: int | None = None) -> bool:
        """Whether the master, whom all sockets belong to, listens on a port; by default that of HTTP."""
        return listens(self.pid, port or self.http)

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of an admin page; status 0 while nothing answers."""
        try:
            answer = ask(self.admin_port, request("GET", path, ("Connection", "close")))
        except (OSError, WireError):
            return 0, ""
        return answer.status, answer.body.decode()

    def status(self, path: str) -> int:
        """Of a request over HTTP."""
        return ask(self.http, request("GET", path, ("Connection", "close"))).status

    def metric(self, series: str) -> float:
        """The value of one series, written as on the page of metrics. One that is not there raises."""
        (value,) = re.findall(rf"^{re.escape(series)} (\S+)$", self.page("/metrics")[1], re.MULTILINE)
        return float(value)

    @property
    def digest(self) -> str:
        """Hash of the configuration in force."""
        (value,) = re.findall(r"hash (\w+)", self.page("/ready")[1])
        return str(value)

    def findings(self) -> list[dict[str, Any]]:
        """What the diagnostics say."""
        found: list[dict[str, Any]] = orjson.loads(self.page(DIAGNOSTICS)[1])["diagnostics"]
        return found


def fresh_digest(control_plane: ControlPlane, namespace: str, http: int) -> str:
    """Hash of the configuration that somebody makes who lists everything now, and has no past."""
    settings = Settings(
        kubernetes=KubernetesSettings(kubeconfig=str(control_plane.admin.path), namespaces=(namespace,)),
        listen=ListenSettings(bind_address=LOOPBACK, http_port=http),
    )
    builder = DeltaBuilder()
    builder.update(load(settings).sections)
    return builder.digest
