"""What every gateway of a run is asked to serve: routes, a backend and, for TLS, one certificate."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

HOST = "bench.example"


@dataclass(frozen=True)
class Route:
    """Requests for ``host`` below ``prefix`` go to the backend, with the prefix replaced by ``rewrite``."""

    host: str
    prefix: str
    rewrite: str = "/"


@dataclass(frozen=True)
class Pair:
    """A self-signed ECDSA P-256 certificate: chain and key apart and, as HAProxy wants them, in one file."""

    chain: Path
    key: Path
    both: Path


@dataclass(frozen=True)
class Site:
    name: str
    routes: tuple[Route, ...]
    backend: int
    """Port of the backend on loopback."""
    certificate: Pair | None = None
    """Set where the gateway terminates TLS; the same for every gateway of a run. HTTP/2 is then offered by ALPN."""
    prior_knowledge: bool = False
    """Clients speak HTTP/2 on the cleartext port."""
    grpc: bool = False
    """The backend speaks gRPC, HTTP/2 by prior knowledge, and paths are kept."""
    websocket: bool = False
    """Upgrades are allowed."""

    @property
    def tls(self) -> bool:
        return self.certificate is not None

    def by_host(self) -> dict[str, list[Route]]:
        hosts: dict[str, list[Route]] = {}
        for route in self.routes:
            hosts.setdefault(route.host, []).append(route)
        return hosts


def routes(count: int, hosts: int) -> tuple[Route, ...]:
    """``count`` routes spread evenly over ``hosts``; all prefixes have the same length."""
    return tuple(Route(f"host{index % hosts:03}.bench.example", f"/r{index:05}/") for index in range(count))


def make_certificate(folder: Path) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair = Pair(folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    pair.chain.write_bytes(chain)
    pair.key.write_bytes(secret)
    pair.both.write_bytes(chain + secret)
    return pair
