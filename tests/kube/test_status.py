"""Statuses on a real API server: they appear, follow edits, come from one of two replicas, and leave others alone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.kube.client import KubeClient, Object, client, documents, eventually
from tests.support.manifests import GROUP, host, listener, mapping
from tests.support.ports import LOOPBACK, free_ports, listens
from tests.support.processes import ChildProcess
from tests.support.rawclient import ask, request
from tests.support.wire import WireError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.kube.controlplane import ControlPlane

pytestmark = [pytest.mark.kube, pytest.mark.timeout(120)]
DEPLOY = Path(__file__).parents[2] / "deploy"
OURS, DEPLOYED = DEPLOY / "crds", DEPLOY / "kustomize" / "base" / "sluice.yaml"
INGRESS = "networking.k8s.io/v1"
LEASES = "coordination.k8s.io/v1"
TEXT = {"type": "string"}
STATES = {
    "Mapping": {"state": {**TEXT, "enum": ["", "Inactive", "Running"]}, "reason": TEXT},
    "Host": {
        "state": {**TEXT, "enum": ["Initial", "Pending", "Ready", "Error"]},
        "tlsCertificateSource": {**TEXT, "enum": ["Unknown", "None", "Other", "ACME"]},
        "errorReason": TEXT,
        "errorTimestamp": {**TEXT, "format": "date-time"},
        "errorBackoff": TEXT,
    },
    "Listener": {},
}


def published(kind: str) -> Object:
    """A CustomResourceDefinition with the status that Emissary's has, without room for conditions."""
    status = STATES[kind]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": {"type": "object", "properties": status}}}
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.getambassador.io"},
        "spec": {
            "group": "getambassador.io",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {
                    "name": "v3alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


@pytest.fixture(params=[True])
def room(request: pytest.FixtureRequest) -> bool:
    """Whether the definitions are ours, which have room for conditions, or as Emissary's."""
    return bool(request.param)


@pytest_asyncio.fixture
async def kube(namespace: str, control_plane: ControlPlane, room: bool) -> AsyncIterator[KubeClient]:
    """A client of the same namespace. The definitions, and all objects that it makes, are gone when the test ends."""
    definitions = documents(OURS) if room else [published(kind) for kind in STATES]
    async with client(control_plane.admin, namespace) as edge:
        await edge.apply(definitions)
        yield edge
        await edge.clear()
        for one in definitions:
            path = await edge.path(one["apiVersion"], one["kind"], one["metadata"]["name"])
            await edge.request("DELETE", path)
            await edge.wait_gone(path)


def account(name: str, rules: list[Object], namespace: str) -> list[Object]:
    """A ServiceAccount that may do this in its namespace."""
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


class Replica(ChildProcess):
    """``sluice run`` on the cluster, for one namespace that is its own too."""

    def __init__(self, folder: Path, kubeconfig: Path, namespace: str, *arguments: str, ended: int | None = 0) -> None:
        folder.mkdir()
        http, https, self.admin_port = free_ports(3)
        command = ["/usr/bin/env", f"AMBASSADOR_NAMESPACE={namespace}", sys.executable, "-m", "gateway", "run"]
        command += ["--kubeconfig", str(kubeconfig), "--namespace", namespace, "--workers", "1"]
        command += ["--bind-address", LOOPBACK, "--http-port", str(http), "--https-port", str(https)]
        command += ["--admin-address", f"{LOOPBACK}:{self.admin_port}", *arguments]
        super().__init__(command, folder / "gateway.log", ended)
        self.wait_for(lambda: listens(self.pid, self.admin_port) and self._ready(), "ready", 60.0)

    def metric(self, name: str) -> float:
        page = ask(self.admin_port, request("GET", "/metrics", ("Connection", "close"), host=LOOPBACK))
        lines = (line.rpartition(" ") for line in page.body.decode().splitlines())
        return next((float(value) for key, _, value in lines if key == name), 0.0)

    def written(self) -> float:
        return self.metric('sluice_status_writes_total{result="written"}')

    @property
    def leads(self) -> bool:
        return self.metric("sluice_leader") == 1

    def _ready(self) -> bool:
        try:
            page = ask(self.admin_port, request("GET", "/ambassador/v0/check_ready", ("Connection", "close"), host="a"))
        except (OSError, WireError):
            return False
        return page.status == 200


def objects(namespace: str, *more: Object) -> list[Object]:
    """A Listener, a Host and what is given, in a namespace."""
    made = [listener("l", free_ports(1)[0]), host("h", "a.example.com"), *more]
    return [{**item, "metadata": {**item["metadata"], "namespace": namespace}} for item in made]


async def status(kube: KubeClient, kind: str, name: str, wanted: Callable[[Any], bool], what: str) -> Object:
    path = await kube.path(GROUP if kind in STATES else INGRESS, kind, name)
    found: Object = await kube.wait(path, lambda item: wanted(item.get("status", {})), what, 60.0)
    return found


def balancer(address: str) -> Object:
    """A patch that gives a Service or an Ingress an address."""
    return {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}


async def shows(kube: KubeClient, name: str, address: str) -> None:
    """Wait until an Ingress shows an address."""
    wanted = balancer(address)["status"]["loadBalancer"]["ingress"]

    def there(said: Any) -> bool:
        return bool(said.get("loadBalancer", {}).get("ingress") == wanted)

    await status(kube, "Ingress", name, there, f"with {address}")


@pytest.mark.parametrize("room", [True, False], indirect=True)
async def test_statuses_appear_and_a_bad_edit_shows_in_them(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path, room: bool
) -> None:
    good = mapping("m", "/", "svc", hostname="a.example.com")
    await kube.apply(objects(kube.namespace, good))
    with Replica(tmp_path / "a", control_plane.admin.path, kube.namespace) as replica:
        running = await status(kube, "Mapping", "m", lambda said: said.get("state") == "Running", "running")
        await status(kube, "Host", "h", lambda said: said.get("state") == "Ready", "ready")
        if room:
            conditions = {item["type"]: item for item in running["status"]["conditions"]}
            assert {name: item["status"] for name, item in conditions.items()} == {
                "Accepted": "True",
                "Programmed": "True",
            }
            assert conditions["Accepted"]["observedGeneration"] == running["metadata"]["generation"]
        else:
            assert "conditions" not in running["status"]
        # Of what ours let pass, and of what no API server with ours would take.
        field, wrong, right = ("service", "a b", "svc") if room else ("timeout_ms", "soon", None)
        await kube.patch(GROUP, "Mapping", "m", {"spec": {field: wrong}})
        shown = await status(kube, "Mapping", "m", lambda said: said.get("state") == "Inactive", "inactive")
        assert f"spec.{field}" in shown["status"]["reason"]
        await kube.patch(GROUP, "Mapping", "m", {"spec": {field: right}})
        mended = await status(kube, "Mapping", "m", lambda said: said.get("state") == "Running", "running again")
        assert not mended["status"].get("reason")
        await eventually(_async(lambda: replica.metric("sluice_status_pending") == 0), lambda: "nothing waits")
        before = replica.written()
        await kube.patch(GROUP, "Mapping", "m", {"metadata": {"labels": {"a": "b"}}})
        await kube.patch(GROUP, "Host", "h", {"spec": {"hostname": "b.example.com"}})
        await status(kube, "Mapping", "m", lambda said: said.get("state") == "Inactive", "taken by no Host")
        assert replica.written() - before <= 2 + room, "the label alone changes nothing"


async def test_a_host_in_error_says_since_when(kube: KubeClient, control_plane: ControlPlane, tmp_path: Path) -> None:
    wanted = host("t", "t.example.com", secret="nowhere")
    await kube.apply(objects(kube.namespace, wanted))
    with Replica(tmp_path / "a", control_plane.admin.path, kube.namespace):
        shown = await status(kube, "Host", "t", lambda said: said.get("state") == "Error", "in error")
        assert "nowhere" in shown["status"]["errorReason"]
        assert shown["status"]["errorTimestamp"]
        assert shown["status"]["tlsCertificateSource"] == "Other"
        await kube.patch(GROUP, "Host", "t", {"spec": {"tlsSecret": None}})
        shown = await status(kube, "Host", "t", lambda said: said.get("state") == "Ready", "ready")
        assert "errorReason" not in shown["status"]
        assert "errorTimestamp" not in shown["status"]


async def test_objects_of_others_and_fields_of_others_stay_untouched(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path
) -> None:
    ours = mapping("ours", "/", "svc", hostname="a.example.com")
    theirs = mapping("theirs", "/their/", "svc", hostname="a.example.com", ambassador_id=["other"])
    await kube.apply(objects(kube.namespace, ours, theirs))
    foreign = {
        "type": "Audited",
        "status": "True",
        "reason": "Audited",
        "message": "by somebody",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    for name in ("ours", "theirs"):
        await kube.patch(GROUP, "Mapping", name, {"status": {"conditions": [foreign]}}, sub="status")
    before = await kube.get(GROUP, "Mapping", "theirs")
    backend = {"service": {"name": "svc", "port": {"number": 80}}}
    for name, kind in (("ours", "sluice"), ("theirs", "nginx"), ("shared", "sluice")):
        raw: Object = {
            "apiVersion": INGRESS,
            "kind": "Ingress",
            "metadata": {"name": name, "namespace": kube.namespace},
            "spec": {"ingressClassName": kind, "defaultBackend": backend},
        }
        if name == "shared":
            path = {"path": "/shared", "pathType": "Prefix", "backend": backend}
            raw["spec"] = {"ingressClassName": kind, "rules": [{"http": {"paths": [path]}}]}
        await kube.apply([raw])
        if name != "ours":
            await kube.patch(INGRESS, "Ingress", name, balancer("198.51.100.1"), sub="status")
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "edge", "labels": {"app.kubernetes.io/component": "ambassador-service"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    await kube.apply([service])
    await kube.patch("v1", "Service", "edge", balancer("192.0.2.7"), sub="status")
    with Replica(tmp_path / "a", control_plane.admin.path, kube.namespace) as replica:
        shown = await status(kube, "Mapping", "ours", lambda said: said.get("state") == "Running", "running")
        assert foreign in shown["status"]["conditions"]
        await shows(kube, "ours", "192.0.2.7")
        await eventually(
            _async(lambda: replica.metric('sluice_status_writes_total{result="foreign"}') > 0), lambda: "left alone"
        )
        shared = await kube.get(INGRESS, "Ingress", "shared")
        assert shared["status"]["loadBalancer"]["ingress"] == [{"ip": "198.51.100.1"}]
        other = await kube.get(INGRESS, "Ingress", "theirs")
        assert other["status"]["loadBalancer"]["ingress"] == [{"ip": "198.51.100.1"}]
        assert (await kube.get(GROUP, "Mapping", "theirs"))["metadata"] == before["metadata"]
    # The operator switches over; from then on the addresses are ours, also for a process that was not told.
    chosen = ("--publish-service", f"{kube.namespace}/edge")
    with Replica(tmp_path / "b", control_plane.admin.path, kube.namespace, *chosen):
        await shows(kube, "shared", "192.0.2.7")
    await kube.patch("v1", "Service", "edge", balancer("192.0.2.8"), sub="status")
    with Replica(tmp_path / "c", control_plane.admin.path, kube.namespace):
        await shows(kube, "shared", "192.0.2.8")


@pytest.mark.slow
async def test_one_of_two_replicas_writes_and_when_it_is_killed_the_other_takes_over(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path
) -> None:
    await kube.apply(objects(kube.namespace, mapping("m", "/", "svc", hostname="a.example.com")))
    with (
        Replica(tmp_path / "a", control_plane.admin.path, kube.namespace, ended=None) as first,
        Replica(tmp_path / "b", control_plane.admin.path, kube.namespace) as second,
    ):
        await status(kube, "Mapping", "m", lambda said: said.get("state") == "Running", "running")
        assert first.leads
        assert not second.leads
        lease = await kube.get(LEASES, "Lease", "sluice-status")
        children = first.children()
        os.kill(first.pid, signal.SIGKILL)
        first.process.wait()
        assert children, "its workers end by themselves"
        await kube.patch(GROUP, "Mapping", "m", {"spec": {"service": "a b"}})
        shown = await status(kube, "Mapping", "m", lambda said: said.get("state") == "Inactive", "told by the other")
        assert "spec.service" in shown["status"]["reason"]
        assert second.leads
        taken = await kube.get(LEASES, "Lease", "sluice-status")
        assert taken["spec"]["leaseTransitions"] == lease["spec"]["leaseTransitions"] + 1
        assert taken["spec"]["holderIdentity"] != lease["spec"]["holderIdentity"]


async def test_a_replica_that_ends_gives_its_lease_up(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path
) -> None:
    await kube.apply(objects(kube.namespace, mapping("m", "/", "svc", hostname="a.example.com")))
    with Replica(tmp_path / "a", control_plane.admin.path, kube.namespace) as replica:
        await status(kube, "Mapping", "m", lambda said: said.get("state") == "Running", "running")
        assert replica.leads
    lease = await kube.get(LEASES, "Lease", "sluice-status")
    assert not lease["spec"].get("holderIdentity")


async def test_the_rights_that_deployments_give_are_enough(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path
) -> None:
    roles = [item for item in documents(DEPLOYED) if item["kind"] in ("ClusterRole", "Role")]
    rules = [rule for role in roles for rule in role["rules"]]
    await kube.apply(account("sluice", rules, kube.namespace))
    await kube.apply(objects(kube.namespace, mapping("m", "/", "svc", hostname="a.example.com")))
    identity = control_plane.kubeconfig("sluice", await kube.token("sluice"))
    with Replica(tmp_path / "a", identity.path, kube.namespace) as replica:
        await status(kube, "Mapping", "m", lambda said: said.get("state") == "Running", "running")
        await status(kube, "Host", "h", lambda said: said.get("state") == "Ready", "ready")
        assert not replica.metric('sluice_status_writes_total{result="refused"}')
        assert "addresses for Ingresses cannot be had" not in replica.log()


async def test_without_the_right_to_a_lease_traffic_is_served_and_the_log_says_it_once(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path
) -> None:
    rules = [
        {"apiGroups": [group], "resources": ["*"], "verbs": ["get", "list", "watch"]}
        for group in ("", "getambassador.io", "networking.k8s.io", "discovery.k8s.io")
    ]
    await kube.apply(account("reader", rules, kube.namespace))
    await kube.apply(objects(kube.namespace, mapping("m", "/", "svc", hostname="a.example.com")))
    identity = control_plane.kubeconfig("reader", await kube.token("reader"))
    with Replica(tmp_path / "a", identity.path, kube.namespace) as replica:
        await eventually(_async(lambda: "cannot be had" in replica.log()), replica.log)
        assert not replica.leads
        assert "status" not in await kube.get(GROUP, "Mapping", "m")
        assert replica.log().count("cannot be had") == 1


def _async(condition: Callable[[], bool]) -> Callable[[], Any]:
    async def asked() -> bool:
        return condition()

    return asked
