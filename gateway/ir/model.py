"""The neutral intermediate representation: what the edge shall do, without any dialect.

Every object is a frozen, slotted dataclass that serialises by ``orjson`` to the wire form that the native
compiler reads (``_native/snapshot``); field names are the same on both sides. Durations are milliseconds unless the
name says otherwise, sizes are bytes, weights are percent. ``None`` means "use the default of the layer above".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was declared, so that every diagnostic can name it."""

    kind: str
    namespace: str
    name: str
    path: str = ""


# --------------------------------------------------------------------------------------------------- matching


@dataclass(frozen=True, slots=True)
class StringMatch:
    """How one string is compared. A regex must match the whole value (RE2 syntax, linear time)."""

    kind: Literal["exact", "prefix", "suffix", "regex", "present"]
    value: str = ""
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class PathMatch:
    """Path comparison on the normalised path without its query.

    ``prefix`` is a plain string prefix (Emissary: ``/man`` matches ``/mankind``); ``segment_prefix`` is the
    Kubernetes ``pathType: Prefix`` (``/foo`` matches ``/foo`` and ``/foo/bar``, not ``/foobar``).
    """

    kind: Literal["exact", "prefix", "segment_prefix", "regex"]
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class NamedMatch:
    """A comparison on a named thing: a header (name is compared without case) or a query parameter."""

    name: str
    match: StringMatch
    invert: bool = False


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All parts must hold. ``authority`` is compared with the normalised host (no port, lower case)."""

    path: PathMatch
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: tuple[NamedMatch, ...] = ()
    query: tuple[NamedMatch, ...] = ()


# ----------------------------------------------------------------------------------------------------- actions


@dataclass(frozen=True, slots=True)
class HeaderValue:
    """One header to add. ``append`` keeps existing values of the same name; otherwise they are replaced."""

    name: str
    value: str
    append: bool = True


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Removals are applied first, then additions."""

    add: tuple[HeaderValue, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathRewrite:
    """``prefix``: the matched prefix becomes ``value``. ``full``: the whole path becomes ``value``. ``regex``:
    ``pattern`` is replaced by ``value`` (``\\1`` groups, RE2 replace-all semantics as Envoy's ``regex_rewrite``)."""

    kind: Literal["prefix", "regex", "full"]
    value: str
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request to a cluster. Exactly one of ``host_rewrite`` and ``auto_host_rewrite`` may be set."""

    cluster: str
    path_rewrite: PathRewrite | None = None
    host_rewrite: str | None = None
    auto_host_rewrite: bool = False
    timeout_ms: int = 3000
    idle_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a redirect. Parts that are ``None`` are taken from the request. The query is kept.

    ``path`` replaces the whole path; ``prefix`` replaces the matched prefix; ``regex`` rewrites the path.
    """

    status: int = 301
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None
    prefix: str | None = None
    regex: PathRewrite | None = None


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """Answer without an upstream. ``body`` is UTF-8 text."""

    status: int
    body: str = ""
    headers: tuple[HeaderValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One member of a canary group. ``weight`` is its own share in percent; shares of one route are summed in order
    and a remainder up to 100 falls through to the next matching route. Exactly one action is set."""

    weight: float
    origin: Origin
    forward: Forward | None = None
    redirect: Redirect | None = None
    direct: DirectResponse | None = None
    request_headers: HeaderEdits = field(default_factory=HeaderEdits)
    response_headers: HeaderEdits = field(default_factory=HeaderEdits)


@dataclass(frozen=True, slots=True)
class Shadow:
    """Mirror ``percent`` of the requests of a route to another cluster; answers are read and dropped."""

    cluster: str
    percent: float = 100.0
    path_rewrite: PathRewrite | None = None
    host_rewrite: str | None = None


@dataclass(frozen=True, slots=True)
class Cors:
    """Cross-origin policy (WHATWG Fetch). An origin of ``*`` allows every origin, without credentials reflection."""

    origins: tuple[StringMatch, ...]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    credentials: bool = False
    max_age: str | None = None


@dataclass(frozen=True, slots=True)
class LimitKey:
    """One part of a bucket key. ``expected`` other than ``None`` must equal the value or the limit does not apply.

    ``generic``: constant ``value``. ``header``: value of header ``value`` (absent header: limit does not apply).
    ``remote_address``: trusted client address.
    """

    source: Literal["generic", "header", "remote_address"]
    value: str = ""
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class RouteLimit:
    """A local rate limit bound to a route: GCRA, ``rate`` requests per ``period_ms`` with a bucket of ``burst``.

    ``name`` identifies the bucket together with the key values, so routes that share a limit share its buckets.
    """

    name: str
    rate: int
    period_ms: int
    burst: int
    keys: tuple[LimitKey, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of a virtual host. Routes are listed in rank order: the first that matches wins."""

    name: str
    origin: Origin
    match: RouteMatch
    choices: tuple[Choice, ...]
    shadows: tuple[Shadow, ...] = ()
    cors: Cors | None = None
    limits: tuple[RouteLimit, ...] = ()
    upgrades: tuple[str, ...] = ()
    bypass_auth: bool = False
    filters: tuple[str, ...] = ()
    insecure_exempt: bool = False
    """True for routes served over cleartext whatever the host's ``insecure_action`` (ACME challenges, probes)."""


# ------------------------------------------------------------------------------------------- virtual hosts, listeners


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """Routes for a set of domains. A domain is ``*``, ``name``, ``*.suffix`` or ``prefix.*``; no port.

    Longest match wins in the order exact, ``*.suffix``, ``prefix.*``, ``*`` (as Envoy).
    """

    name: str
    origin: Origin
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    insecure_action: Literal["redirect", "reject", "route"] = "route"
    redirect_port: int | None = None
    """Port put into the ``https`` redirect, ``None`` for the default port."""


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
    """A port. ``security``: ``xfp`` trusts X-Forwarded-Proto as the hop rules allow, the others are fixed.

    ``protocol``: ``http`` is HTTP over TCP; ``udp`` is HTTP/3 (RFC 9114), with ``http3`` set. ``http3`` on an ``http``
    listener says that a ``udp`` listener has the same address and port, which answers advertise (Alt-Svc, RFC 7838).
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
    protocol: Literal["http", "udp"] = "http"
    http3: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """A serving or client certificate. ``private_key`` never appears in a dump: see :mod:`gateway.ir.redact`."""

    name: str
    origin: Origin
    chain: str
    private_key: str

    def __repr__(self) -> str:
        return f"Certificate(name={self.name!r}, private_key=<redacted>)"


# ------------------------------------------------------------------------------------------------------- clusters


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and port. ``weight`` is relative inside the cluster."""

    address: str
    port: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class DnsTarget:
    """A name that the worker resolves (A and AAAA as enabled) and keeps fresh."""

    host: str
    port: int
    ipv4: bool = True
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS towards an upstream. ``verify`` uses ``ca`` (PEM) or the system roots, against ``server_name``."""

    server_name: str
    verify: bool = True
    ca: str | None = None
    certificate: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"
    max_version: Literal["1.2", "1.3"] = "1.3"
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Endpoints that serve the same thing. Either ``endpoints`` or ``dns`` is used; no usable endpoint: 503."""

    name: str
    origin: Origin
    endpoints: tuple[Endpoint, ...] = ()
    dns: DnsTarget | None = None
    tls: UpstreamTls | None = None
    connect_timeout_ms: int = 3000
    idle_timeout_ms: int = 3_600_000
    max_connection_lifetime_ms: int | None = None
    stats_name: str = ""


# -------------------------------------------------------------------------------------------------------- options


@dataclass(frozen=True, slots=True)
class Options:
    """Gateway-wide HTTP behaviour (Emissary: the ``ambassador`` Module)."""

    server_name: str = "sluice"
    max_request_headers_kb: int = 60
    max_headers: int = 100
    max_target_bytes: int = 16_384
    request_head_timeout_ms: int = 10_000
    body_idle_timeout_ms: int = 30_000
    listener_idle_timeout_ms: int = 3_600_000
    enable_http10: bool = True
    use_remote_address: bool = True
    xff_num_trusted_hops: int = 0
    preserve_external_request_id: bool = False
    suppress_envoy_headers: bool = False
    headers_with_underscores: Literal["allow", "reject", "drop"] = "reject"
    merge_slashes: bool = False
    escaped_slashes: Literal["reject", "keep"] = "reject"
    strip_matching_host_port: bool = False
    x_forwarded_proto_redirect: bool = False
    access_log: Literal["off", "json", "text"] = "off"
    access_log_format: str = ""
    """Text form: Envoy's command operators (``%REQ(:METHOD)%`` …). JSON form: a JSON object of such templates."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The whole configuration; every tuple is ordered by name, so equal inputs give equal bytes."""

    options: Options = field(default_factory=Options)
    listeners: tuple[Listener, ...] = ()
    virtual_hosts: tuple[VirtualHost, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    certificates: tuple[Certificate, ...] = ()
