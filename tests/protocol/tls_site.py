"""A gateway with two certificates, an authority that clients trust, and upstreams that speak TLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support import manifests as m
from tests.support.certs import Authority, Leaf, serial_of
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient

if TYPE_CHECKING:
    import ssl

    from tests.support.backend import Backend
    from tests.support.gatewayproc import GatewayProcess, Ports

ONE = "one.example"
TWO = "two.example"
SHARED = "shared.example"


@dataclass(frozen=True, slots=True)
class Leaves:
    """Serving certificates; ``one`` also covers a second host, so that both may share a connection."""

    one: Leaf
    two: Leaf


@dataclass(frozen=True, slots=True)
class TlsEdge:
    gateway: GatewayProcess
    backend: Backend
    authority: Authority
    leaves: Leaves
    objects: list[m.Object]

    def connect(self, server_name: str | None, context: ssl.SSLContext | None = None) -> RawClient:
        return RawClient(
            self.gateway.ports.https, tls=context or self.authority.client_context(), server_name=server_name
        )

    def serial(self, server_name: str) -> int:
        """Serial number of the certificate that a new connection is shown."""
        with self.connect(server_name) as client:
            return shown_serial(client)


def shown_serial(client: RawClient) -> int:
    certificate = client.tls.getpeercert(binary_form=True)
    assert certificate is not None
    return serial_of(certificate)


def tls_site(ports: Ports, upstream: int, leaves: Leaves, extra: list[m.Object]) -> list[m.Object]:
    """Hosts ``one`` (cleartext redirected), ``two`` (cleartext rejected) and ``shared`` (cleartext routed)."""
    return [
        m.listener("http", ports.http),
        m.listener("https", ports.https, "HTTPS"),
        m.tls_secret("cert-one", leaves.one.chain, leaves.one.key),
        m.tls_secret("cert-two", leaves.two.chain, leaves.two.key),
        m.host("one", ONE, "Redirect", "cert-one"),
        m.host("two", TWO, "Reject", "cert-two"),
        m.host("shared", SHARED, "Route", "cert-one"),
        m.mapping("all", "/", f"{LOOPBACK}:{upstream}"),
        m.mapping("challenge", "/.well-known/acme-challenge/", f"{LOOPBACK}:{upstream}"),
        *extra,
    ]
