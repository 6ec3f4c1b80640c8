"""etcd, kube-apiserver and kube-controller-manager on the ports they always have, inside a network of a test."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any

from tests.support.kube.credentials import MASTERS, Credentials, Kubeconfig
from tests.support.kube.network import NODE_ADDRESS
from tests.support.kube.programs import tool
from tests.support.ports import LOOPBACK
from tests.support.processes import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.kube.network import Network

ETCD_PORT = 2379
ETCD = f"http://{LOOPBACK}:{ETCD_PORT}"
_ETCD_PEERS = f"http://{LOOPBACK}:2380"
PORT = 6443
SERVER = f"https://{LOOPBACK}:{PORT}"
SERVICE_RANGE = "10.96.0.0/16"
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "endpointslice-controller",
    "endpoints-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "disruption-controller",
)
START_SECONDS = 120.0
"""Bounds a start that fails; a good one takes a few seconds."""
LOG_TAIL = 6000
"""As many characters of a log say why a program ended."""


class Part(ChildProcess):
    """A program of the cluster. It dies with the test run, and how it ends is of no interest."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        setpriv = tool("setpriv")
        assert setpriv is not None, "setpriv is not installed"
        super().__init__([setpriv, "--pdeathsig", "KILL", "--", *arguments], log, expected_exit=None)
        self.name = log.stem

    def log(self) -> str:
        return super().log()[-LOG_TAIL:]

    def kill(self) -> None:
        """At once, without a chance to say goodbye."""
        self.process.kill()
        self.process.wait()


class ControlPlane:
    """Start it inside its network; it keeps all its data in ``folder``."""

    def __init__(self, folder: Path, network: Network, program: Path) -> None:
        self.folder = folder
        self.network = network
        self.program = program
        self.server = SERVER
        self.credentials = Credentials(folder / "credentials")
        self._parts: dict[str, Part] = {}
        self._starts = 0
        self._context: ssl.SSLContext | None = None
        self._identities: dict[str, Kubeconfig] = {}

    # ------------------------------------------------------------------------------------------------------ life

    def start(self, deadline: float = START_SECONDS) -> None:
        """Returns when the API server is ready and the controllers are on their way."""
        users = [("admin", [MASTERS]), ("system:kube-controller-manager", [MASTERS]), ("kubelet", [MASTERS])]
        tokens = self.credentials.write(users)
        for user, token in tokens.items():
            name = user.rpartition(":")[2]
            self._identities[name] = self.credentials.kubeconfig(name, SERVER, token)
        self._context = ssl.create_default_context(cafile=str(self.credentials.authority))
        try:
            with self.network.entered():
                self._begin("etcd", self._etcd())
                self._begin("apiserver", self._apiserver())
                self.wait_ready(deadline)
                self._begin("controllers", self._controllers())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends what was started, the newest first. The data goes with the folder."""
        while self._parts:
            self._parts.popitem()[1].kill()

    def kill_api_server(self) -> None:
        """The API server is gone; clients see refused connections until ``start_api_server``."""
        self._parts.pop("apiserver").kill()

    def start_api_server(self, deadline: float = START_SECONDS) -> None:
        """Again at the same port with the same data; returns when it is ready.

        The controllers begin anew: between two tries of an outage they wait for up to a minute, and so would tests.
        """
        with self.network.entered():
            self._begin("apiserver", self._apiserver())
            self.wait_ready(deadline)
            self._parts.pop("controllers").kill()
            self._begin("controllers", self._controllers())

    def wait_ready(self, deadline: float = START_SECONDS) -> None:
        """Until /readyz says so; the end of the API server or of etcd ends the wait with the tail of its log."""
        etcd = self._parts["etcd"]

        def ready() -> bool:
            if etcd.process.poll() is not None:
                raise AssertionError(f"etcd ended with {etcd.process.returncode}:\n{etcd.log()}")
            return self._ready()

        self._parts["apiserver"].wait_for(ready, "ready", deadline)

    def pid(self, part: str) -> int:
        """Of etcd, apiserver, controllers or kubelet: for signals, and for what /proc says about it."""
        return self._parts[part].pid

    def log(self, part: str) -> str:
        """The tail of its log."""
        return self._parts[part].log()

    def begin(self, name: str, arguments: Sequence[str]) -> Part:
        """One more program that belongs to the cluster and ends with it."""
        with self.network.entered():
            return self._begin(name, arguments)

    # -------------------------------------------------------------------------------------------------- identity

    @property
    def admin(self) -> Kubeconfig:
        """May do everything."""
        return self._identities["admin"]

    def identity(self, name: str) -> Kubeconfig:
        """Of a part of the cluster."""
        return self._identities[name]

    def kubeconfig(self, name: str, token: str, namespace: str = "default") -> Kubeconfig:
        """For a token of a ServiceAccount (``KubeClient.token``)."""
        return self.credentials.kubeconfig(name, SERVER, token, namespace)

    # ------------------------------------------------------------------------------------------------------ etcd

    def compact(self) -> int:
        """Throw away the whole history: a watch from before answers 410 once the API server has forgotten it too, so
        restart it. Returns the revision that is the oldest now."""
        with self.network.entered():
            head = _etcd("kv/range", {"key": base64.b64encode(b"nothing").decode()})["header"]
            _etcd("kv/compaction", {"revision": head["revision"], "physical": True})
        return int(head["revision"])

    # --------------------------------------------------------------------------------------------------- private

    def _begin(self, name: str, arguments: Sequence[str]) -> Part:
        self._starts += 1
        part = Part(arguments, self.folder / f"{name}-{self._starts}.log")
        self._parts[name] = part
        return part

    def _ready(self) -> bool:
        connection = http.client.HTTPSConnection(LOOPBACK, PORT, timeout=5, context=self._context)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _etcd(self) -> list[str]:
        etcd = tool("etcd")
        assert etcd is not None, "etcd is not installed"
        return [
            etcd,
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={_ETCD_PEERS}",
            f"--initial-advertise-peer-urls={_ETCD_PEERS}",
            f"--initial-cluster=default={_ETCD_PEERS}",
            # The data need not outlive the machine.
            "--unsafe-no-fsync",
            "--logger=zap",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        of = self.credentials
        return [
            str(self.program),
            "apiserver",
            f"--etcd-servers={ETCD}",
            # Pods reach it over the bridge, everything else over loopback.
            "--bind-address=0.0.0.0",
            f"--secure-port={PORT}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--cert-dir={self.folder}",
            f"--tls-cert-file={of.certificate}",
            f"--tls-private-key-file={of.key}",
            f"--token-auth-file={of.tokens}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={of.signer}",
            f"--service-account-signing-key-file={of.signer}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--kubelet-certificate-authority={of.authority}",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            "--profiling=false",
        ]

    def _controllers(self) -> list[str]:
        of = self.credentials
        return [
            str(self.program),
            "controllers",
            f"--kubeconfig={self._identities['kube-controller-manager'].path}",
            f"--controllers={','.join(CONTROLLERS)}",
            f"--root-ca-file={of.authority}",
            f"--service-account-private-key-file={of.signer}",
            "--leader-elect=false",
            f"--bind-address={LOOPBACK}",
            f"--cert-dir={self.folder}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            # Endpoints change as soon as pods do.
            "--endpointslice-updates-batch-period=0s",
            "--endpoint-updates-batch-period=0s",
            "--profiling=false",
        ]


def _etcd(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """etcd's API as JSON (its gRPC gateway)."""
    connection = http.client.HTTPConnection(LOOPBACK, ETCD_PORT, timeout=30)
    try:
        connection.request("POST", f"/v3/{path}", json.dumps(body))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    assert answer.status == http.client.OK, text
    document: dict[str, Any] = json.loads(text)
    return document
