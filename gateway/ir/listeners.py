"""Ports, what is terminated on them, and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ir.matching import Origin


@dataclass(frozen=True, slots=True)
class TlsTermination:
    """TLS settings for the server names it lists (``*`` = default, ``*.suffix``). ``certificate`` names a section."""

    server_names: tuple[str, ...]
    certificate: str
    origin: Origin
    alpn: tuple[str, ...] = ("http/1.1",)
    min_version: Literal["1.2", "1.3"] = "1.2"
    max_version: Literal["1.2", "1.3"] = "1.3"
    cipher_suites: tuple[str, ...] = ()
    client_ca: str | None = None
    """PEM bundle; when set, clients may present a certificate that this bundle signed."""
    client_cert_required: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A port. ``security``: ``xfp`` trusts X-Forwarded-Proto as the hop rules allow, the others are fixed."""

    name: str
    origin: Origin
    address: str
    port: int
    tls: bool
    security: Literal["xfp", "secure", "insecure"]
    virtual_hosts: tuple[str, ...]
    proxy_protocol: bool = False
    trusted_hops: int = 0
    terminations: tuple[TlsTermination, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """A serving or client certificate. ``private_key`` never appears in a dump: see :mod:`gateway.ir.redact`."""

    name: str
    origin: Origin
    chain: str
    private_key: str

    def __repr__(self) -> str:
        return f"Certificate(name={self.name!r}, private_key=<redacted>)"
