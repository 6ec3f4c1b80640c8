"""Routes, their policies, and the virtual hosts that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ir.actions import Choice, PathRewrite
    from gateway.ir.matching import Origin, RouteMatch, StringMatch


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
class ErrorOverride:
    """Replaces the body of answers with one ``status`` (Emissary: ``error_response_overrides``).

    ``body`` is a template of Envoy's command operators; of format ``json`` it is a JSON object of such templates. An
    empty ``content_type`` is that of the format (``text/plain``, ``application/json``).
    """

    status: int
    format: Literal["text", "json"]
    body: str
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Failures that are injected, to see how clients bear them (Envoy: "Fault injection").

    ``delay_percent`` of the requests wait ``delay_ms`` before they go on; ``abort_percent``, drawn apart, are answered
    ``abort_status`` (200 to 599) instead. A delay of 0 and a status of ``None`` are none.
    """

    delay_ms: int = 0
    delay_percent: float = 100.0
    abort_status: int | None = None
    abort_percent: float = 100.0


@dataclass(frozen=True, slots=True)
class BandwidthLimit:
    """Bodies of answers flow at ``bytes_per_second`` (above 0) each, once ``after_bytes`` have gone at full speed.

    These are nginx's ``limit_rate`` and ``limit_rate_after``. The timeout of the request goes on meanwhile.
    """

    bytes_per_second: int
    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of a virtual host. Routes are listed in rank order: the first that matches wins.

    ``error_overrides`` are used instead of those of the options; ``bypass_error_overrides`` switches both off.
    """

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
    error_overrides: tuple[ErrorOverride, ...] = ()
    bypass_error_overrides: bool = False
    fault: Fault | None = None
    bandwidth: BandwidthLimit | None = None


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
