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
