"""What is done with a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ir.matching import Origin


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
class HashSource:
    """What of a request chooses its endpoint (Emissary: ``load_balancer`` of policy ``ring_hash`` or ``maglev``).

    ``cookie``: value of the cookie ``name``; with ``ttl_ms`` the gateway sets a cookie that is absent, for ``path`` if
    that is not empty, and a ``ttl_ms`` of 0 makes it a session cookie. ``header``: value of the header ``name``.
    ``source_address``: address of the connection's peer, without its port. What is absent chooses at random.
    """

    kind: Literal["cookie", "header", "source_address"]
    name: str = ""
    path: str = ""
    ttl_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a request is sent again, and how often at most (Emissary: ``retry_policy``).

    ``retry_on`` are Envoy's words (``x-envoy-retry-on``). ``num_retries`` counts attempts after the first; Envoy's
    default is 1. ``per_try_timeout_ms`` ends one attempt, ``None`` leaves that to the timeout of the request.
    """

    retry_on: tuple[str, ...]
    num_retries: int = 1
    per_try_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request to a cluster. Exactly one of ``host_rewrite`` and ``auto_host_rewrite`` may be set.

    ``hash`` is for clusters whose balancer hashes. ``priority`` chooses the circuit breaker of the cluster.
    """

    cluster: str
    path_rewrite: PathRewrite | None = None
    host_rewrite: str | None = None
    auto_host_rewrite: bool = False
    timeout_ms: int = 3000
    idle_timeout_ms: int | None = None
    hash: HashSource | None = None
    retry: RetryPolicy | None = None
    priority: Literal["default", "high"] = "default"


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
