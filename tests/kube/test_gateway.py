"""``sluice run`` on a real API server: traffic follows the objects, and survives the server."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from tests.support import manifests
from tests.support.backend import Backend
from tests.support.certs import Authority
from tests.support.kube.client import client
from tests.support.kube.gateway import ClusterGateway
from tests.support.ports import LOOPBACK, free_ports
from tests.support.replies import plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.kube.client import KubeClient
    from tests.support.kube.controlplane import ControlPlane

pytestmark = [pytest.mark.native, pytest.mark.timeout(180), pytest.mark.usefixtures("installed")]
GROUP = "getambassador.io/v3alpha1"


@pytest.fixture
def backend(_inside: None) -> Backend:
    return Backend(plain(200))


@pytest.fixture
async def objects(kube: KubeClient, namespace: str, backend: Backend) -> AsyncIterator[list[dict[str, Any]]]:
    with backend:
        ports = free_ports(2)
        authority = Authority()
        leaf = authority.issue("secure.example.org")
        found = [
            manifests.listener("web", ports[0], security="INSECURE"),
            manifests.listener("tls", ports[1], protocol="HTTPS", security="SECURE"),
            manifests.host("all"),
            manifests.host("secure", "secure.example.org", secret="cert"),
            manifests.tls_secret("cert", leaf.chain, leaf.key),
            manifests.mapping("a", "/a/", f"{LOOPBACK}:{backend.port}"),
        ]
        for item in found:
            item["metadata"]["namespace"] = namespace
        await kube.apply(found)
        yield found


def annotated(namespace: str, service: str, prefix: str) -> dict[str, Any]:
    """A Service whose annotation declares a Mapping."""
    text = f"apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: c\nhostname: '*'\nservice: {service}\n"
    annotations = {"getambassador.io/config": f"{text}prefix: {prefix}\n"}
    metadata = {"name": "annotated", "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}


def serial(port: int) -> int:
    """Of the certificate that the gateway shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((LOOPBACK, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="secure.example.org") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


async def test_traffic_follows_the_objects(
    kube: KubeClient, control_plane: ControlPlane, namespace: str, tmp_path: Path, objects: list[dict[str, Any]]
) -> None:
    http, tls = (item["spec"]["port"] for item in objects[:2])
    mapping = objects[-1]
    with ClusterGateway(control_plane, namespace, tmp_path, http, free_ports(1)[0]) as gateway:
        assert gateway.status("/a/") == 200
        moved = {**mapping, "spec": {**mapping["spec"], "prefix": "/b/"}}
        await kube.apply([moved])
        until(lambda: gateway.status("/b/") == 200, "the edited Mapping")
        assert gateway.status("/a/") == 404
        # The API server does not check annotations: what is edited into nonsense there keeps its last good version.
        await kube.apply([annotated(namespace, moved["spec"]["service"], "/c/")])
        until(lambda: gateway.status("/c/") == 200, "the Mapping of an annotation")
        await kube.apply([annotated(namespace, moved["spec"]["service"], "7")])
        until(lambda: "last-good-kept" in gateway.page("/ambassador/v0/diag/")[1], "a finding")
        assert (gateway.status("/b/"), gateway.status("/c/")) == (200, 200)
        await kube.delete(GROUP, "Mapping", "a", namespace)
        until(lambda: gateway.status("/b/") == 404, "the deleted Mapping")
        fresh = Authority().issue("secure.example.org")
        assert serial(tls) != fresh.serial
        rotated = manifests.tls_secret("cert", fresh.chain, fresh.key)
        rotated["metadata"]["namespace"] = namespace
        await kube.apply([rotated])
        until(lambda: serial(tls) == fresh.serial, "the rotated certificate")


@pytest.mark.slow
async def test_the_api_server_may_go_away(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, objects: list[dict[str, Any]]
) -> None:
    http, admin = objects[0]["spec"]["port"], free_ports(1)[0]
    state = tmp_path / "state" / "kubernetes.json"
    with contextlib.ExitStack() as stack:
        with ClusterGateway(control_plane, namespace, tmp_path, http, admin) as gateway:
            until(state.exists, "a copy on disk")
            control_plane.kill_api_server()
            stack.callback(control_plane.start_api_server)
            until(lambda: 'source_up{source="kubernetes"} 0.0' in gateway.page("/metrics")[1], "the loss is noticed")
            assert gateway.status("/a/") == 200
            assert gateway.page("/ready")[0] == 200
        # A container that is restarted meanwhile serves from its copy.
        with ClusterGateway(control_plane, namespace, tmp_path, http, admin) as gateway:
            assert gateway.status("/a/") == 200
            assert 'source_stale{source="kubernetes"} 1.0' in gateway.page("/metrics")[1]
            stack.pop_all()
            control_plane.start_api_server()
            async with client(control_plane.admin, namespace) as kube:
                await kube.apply([{**objects[-1], "metadata": {"name": "new", "namespace": namespace}}])
                await kube.delete(GROUP, "Mapping", "a", namespace)
                await kube.apply(
                    [
                        manifests.mapping("c", "/c/", objects[-1]["spec"]["service"])
                        | {"metadata": {"name": "c", "namespace": namespace}}
                    ]
                )
            until(lambda: gateway.status("/c/") == 200, "what was made since", 40.0)
            until(lambda: 'source_stale{source="kubernetes"} 0.0' in gateway.page("/metrics")[1], "no copy any more")
