"""Traffic through a gateway beside a real API server while everything changes: no request fails.

Failures are counted by strict clients (``tests/support/kube/traffic.py``) that send nothing twice.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.support.certs import Authority
from tests.support.kube import edge
from tests.support.kube.edge import PREFIX, echo_server, listener, mapping, restart, scale, service, settled
from tests.support.kube.gateway import ClusterGateway
from tests.support.kube.traffic import Target, Traffic
from tests.support.manifests import tls_secret
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, request
from tests.support.waiting import eventually, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kube.client import KubeClient, Object
    from tests.support.kube.controlplane import ControlPlane

pytestmark = [pytest.mark.native, pytest.mark.timeout(180), pytest.mark.usefixtures("node", "installed")]
EDGE = Target(LOOPBACK, edge.HTTP_PORT)
ENDPOINTS: Object = {"resolver": "endpoint", "load_balancer": {"policy": "round_robin"}}


@pytest.fixture
def gateway(kube: KubeClient, control_plane: ControlPlane, tmp_path: Path) -> Iterator[ClusterGateway]:
    arguments = (control_plane, kube.namespace, tmp_path, edge.HTTP_PORT, edge.ADMIN_PORT, "--workers", "1")
    with ClusterGateway(*arguments) as running:
        yield running


async def test_the_quickstart_and_what_people_do_next(kube: KubeClient, gateway: ClusterGateway) -> None:
    await kube.apply([echo_server(), service(), echo_server("quote-next"), service("quote-next")])
    await settled(kube, "quote")
    await settled(kube, "quote-next")
    await kube.apply([listener(), mapping()])
    until(lambda: gateway.listens() and gateway.status(PREFIX) == 200, "the quickstart is served")
    with Traffic(EDGE, PREFIX, rate=120) as traffic:
        await traffic.more(20)
        # Edit.
        await kube.apply([mapping(rewrite="/deeper/"), mapping("other", "/other/")])
        until(lambda: gateway.status("/other/") == 200, "another Mapping")
        await traffic.more(20)
        await kube.apply([mapping("other", "/another/")])
        until(lambda: gateway.status("/another/") == 200, "another prefix")
        assert gateway.status("/other/") == 404
        # Delete.
        await kube.delete(edge.GROUP, "Mapping", "other")
        until(lambda: gateway.status("/another/") == 404, "the Mapping is gone")
        # A canary takes a part, then everything, then goes.
        await kube.apply([mapping("canary", service="quote-next", weight=50, rewrite="/deeper/")])
        await eventually(lambda: any("quote-next-" in pod for pod in traffic.tally.pods), "answers of the canary")
        await traffic.more(50)
        before = traffic.tally.pods.copy()
        await traffic.more(50)
        shares = {name: count - before[name] for name, count in traffic.tally.pods.items()}
        assert all(count > 0 for count in shares.values()), "a half of all requests each"
        await kube.apply([mapping("canary", service="quote-next", weight=100, rewrite="/deeper/")])
        await traffic.more(50)
        await kube.delete(edge.GROUP, "Mapping", "canary")
        await traffic.more(20)
    print(f"\nedit, delete, canary: {traffic.tally}")
    assert traffic.tally.failures == []


async def test_a_rotated_certificate_is_shown_to_new_connections_alone(
    kube: KubeClient, gateway: ClusterGateway
) -> None:
    name = "secure.example.org"
    old, new = (authority.issue(name) for authority in (Authority(), Authority()))

    def shown(client: RawClient) -> bytes | None:
        return client.tls.getpeercert(binary_form=True)

    def connected() -> RawClient:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return RawClient(edge.HTTPS_PORT, tls=context, server_name=name)

    secret = tls_secret("cert", old.chain, old.key)
    secret["metadata"]["namespace"] = kube.namespace
    host = edge.edge_object("Host", "secure", {"hostname": name, "tlsSecret": {"name": "cert"}})
    await kube.apply([echo_server(), service()])
    await settled(kube, "quote")
    await kube.apply([listener("tls", edge.HTTPS_PORT, protocol="HTTPS"), host, secret, mapping()])
    until(lambda: gateway.listens(edge.HTTPS_PORT), "the port")

    def there() -> bool:
        # A port without a certificate refuses every handshake.
        try:
            connected().sock.close()
        except OSError:
            return False
        return True

    until(there, "a certificate")
    with connected() as kept:
        assert kept.ask(request("GET", PREFIX, host=name)).status == 200
        before = shown(kept)
        secret["data"] = tls_secret("cert", new.chain, new.key)["data"]
        await kube.apply([secret])

        def rotated() -> bool:
            with connected() as client:
                return shown(client) != before and client.ask(request("GET", PREFIX, host=name)).status == 200

        until(rotated, "the new certificate")
        assert kept.ask(request("GET", PREFIX, host=name)).status == 200
        assert shown(kept) == before


@pytest.mark.parametrize("resolver", ["service", "endpoint"])
async def test_a_deployment_that_ends_well_is_scaled_and_rolled(
    kube: KubeClient, gateway: ClusterGateway, resolver: str
) -> None:
    await kube.apply([edge.application(), service(), edge.edge_object("KubernetesEndpointResolver", "endpoint", {})])
    await settled(kube, "quote")
    await kube.apply([listener(), mapping(**(ENDPOINTS if resolver == "endpoint" else {}))])
    until(lambda: gateway.listens() and gateway.status(PREFIX) == 200, "traffic")
    with Traffic(EDGE, PREFIX, rate=120) as traffic:
        await traffic.more(10)
        pods = await scale(kube, "quote", 5)
        # A kept connection to the address of a Service stays with its pod; those that are made later go elsewhere.
        if resolver == "endpoint":
            await eventually(lambda: set(pods) <= traffic.tally.pods.keys(), "answers of all five")
        await scale(kube, "quote", 2)
        await traffic.more(10)
        await restart(kube, "quote")
        pods = await settled(kube, "quote")
        await eventually(lambda: set(pods) & traffic.tally.pods.keys(), "answers of the new ones")
        await traffic.more(10)
    print(f"\n{resolver}: scale and roll an application that ends well: {traffic.tally}")
    assert traffic.tally.failures == []


@pytest.mark.parametrize("resolver", ["service", "endpoint"])
async def test_a_deployment_that_ends_at_once_is_scaled_and_rolled(
    kube: KubeClient, gateway: ClusterGateway, resolver: str
) -> None:
    """Its pods cut what they do, which nobody can send again but for requests that may be done twice (RFC 9110
    section 9.2.2). What was not sent yet goes to another pod in any case. Nobody answers at the address of a pod
    that is gone, so a try has to be shorter than the whole; by default both take 3 s."""
    retries = {"retry_on": "gateway-error", "num_retries": 3, "per_try_timeout": "1s"}
    policy: Object = {"retry_policy": retries, "connect_timeout_ms": 500, "timeout_ms": 10_000}
    await kube.apply([echo_server(), service(), edge.edge_object("KubernetesEndpointResolver", "endpoint", {})])
    await settled(kube, "quote")
    await kube.apply([listener(), mapping(**policy, **(ENDPOINTS if resolver == "endpoint" else {}))])
    until(lambda: gateway.listens() and gateway.status(PREFIX) == 200, "traffic")
    with Traffic(EDGE, PREFIX, rate=120) as traffic:
        await traffic.more(10)
        await scale(kube, "quote", 5)
        await scale(kube, "quote", 2)
        await traffic.more(10)
        await restart(kube, "quote")
        await settled(kube, "quote")
        await traffic.more(10)
    print(f"\n{resolver}: scale and roll an application that ends at once: {traffic.tally}")
    assert traffic.tally.of("kept GET", "new GET") == []
