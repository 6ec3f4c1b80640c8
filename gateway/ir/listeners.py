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
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    min_version: Literal["1.2", "1.3"] = "1.2"
    max_version: Literal["1.2", "1.3"] = "1.3"
    cipher_suites: tuple[str, ...] = ()
    client_ca: str | None = None
    """PEM bundle; when set, clients may present a certificate that this bundle signed."""
    client_cert_required: bool = False


@dataclass(frozen=True, slots=True)
class TcpChoice:
    """One member of a TCP route; ``weight`` is its own share of the connections in percent."""

    weight: float
    cluster: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class TcpRoute:
    """Connections that are forwarded byte by byte (Emissary: a group of TCPMappings).

    ``server_names`` are compared with the name in the client's TLS hello. With ``terminate`` the listener's termination
    for that name ends TLS and the cleartext is forwarded; without it the TLS bytes go on as they are. A route without
    names takes what no name of another route and no TLS termination of the listener takes, cleartext included.
    Without ``choices`` connections are closed: a route that cannot work keeps its names from everybody else.
    ``idle_timeout_ms`` is silence in both directions, ``None`` for one hour (Envoy's default), 0 for no limit.
    ``proxy_protocol``: a header of the PROXY protocol with the client's address goes in front of each connection to an
    endpoint, before TLS (haproxy.org, "The PROXY protocol"); no Emissary kind sets it.
    """

    name: str
    origin: Origin
    server_names: tuple[str, ...]
    choices: tuple[TcpChoice, ...]
    idle_timeout_ms: int | None = None
    terminate: bool = False
    proxy_protocol: Literal["v1", "v2"] | None = None


@dataclass(frozen=True, slots=True)
class UdpRoute:
    """Datagrams that are forwarded. Those of one client address make a session, which keeps its endpoint.

    ``idle_timeout_ms`` is silence in both directions that ends a session, ``None`` for one minute (Envoy's default).
    ``max_sessions``: sessions of one worker, ``None`` for 4096; clients above it are not served. No Emissary kind sets
    it.
    """

    name: str
    origin: Origin
    choices: tuple[TcpChoice, ...]
    idle_timeout_ms: int | None = None
    max_sessions: int | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """A port. ``security``: ``xfp`` trusts X-Forwarded-Proto as the hop rules allow, the others are fixed.

    ``tls``: HTTP is served over TLS; TCP routes say themselves what becomes of TLS, with the same ``terminations``.

    ``protocol``: ``http`` is HTTP over TCP, perhaps beside ``tcp_routes``, which go first; ``tcp`` has ``tcp_routes``
    only; ``udp`` is HTTP/3 (RFC 9114) with ``http3``, and forwards datagrams with ``udp_route``. ``http3`` on an
    ``http`` listener says that a ``udp`` one has the same address and port: answers advertise it (RFC 7838).
    ``http2``: HTTP/2 is taken, by ALPN on TLS and by prior knowledge on cleartext (RFC 9113, section 3.3).
    ``max_connections``, ``max_connections_per_address``: most open connections, in all workers; those of an address (an
    IPv6 /64 network) count over all listeners, but for UDP sessions: who sends a datagram is not known. ``None`` for
    no limit.
    ``http2_max_concurrent_streams``: ``None`` for that of the options (Emissary: ``http2MaxConcurrentStreams``).
    """

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
    protocol: Literal["http", "tcp", "udp"] = "http"
    http2: bool = True
    http2_max_concurrent_streams: int | None = None
    http3: bool = False
    tcp_routes: tuple[TcpRoute, ...] = ()
    max_connections: int | None = None
    max_connections_per_address: int | None = None
    udp_route: UdpRoute | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """A serving or client certificate. ``private_key`` never appears in a dump: see :mod:`gateway.ir.redact`."""

    name: str
    origin: Origin
    chain: str
    private_key: str

    def __repr__(self) -> str:
        return f"Certificate(name={self.name!r}, private_key=<redacted>)"
