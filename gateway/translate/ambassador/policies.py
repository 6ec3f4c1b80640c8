"""Retries, circuit breakers, keep-alive, priorities and DNS settings, each from its field to the IR.

Source of the rules: Emissary's ``irretrypolicy.py``, ``irbasemapping.py`` and ``v3cluster.py`` (features.md 1.2,
"Traffic policy"); the defaults of what is not set are Envoy's and are those of the IR. A part that cannot mean anything
is reported and left out, the rest counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway import ir
from gateway.base.durations import parse_duration_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.diagnostics import Collector, Origin
    from gateway.resources import MappingSpec
    from gateway.resources.policy import CircuitBreaker, KeepAlive, RetryPolicy

_KEEPALIVE_SECONDS = 32_767
"""Linux, ``MAX_TCP_KEEPIDLE`` and ``MAX_TCP_KEEPINTVL``."""
_KEEPALIVE_PROBES = 127
"""Linux, ``MAX_TCP_KEEPCNT``."""


def retry_policy(policy: RetryPolicy | None, origin: Origin, found: Collector, field: str) -> ir.RetryPolicy | None:
    """``None`` without a policy, and for one that does not say when: Emissary calls that invalid."""
    if policy is None:
        return None
    if policy.retry_on is None:
        found.error("retry-policy", "retry_on is missing: nothing is retried", origin, f"{field}.retry_on")
        return None
    timeout = parse_duration_ms(policy.per_try_timeout) if policy.per_try_timeout else 0
    return ir.RetryPolicy((policy.retry_on,), 1 if policy.num_retries is None else policy.num_retries, timeout or None)


def breakers(
    settings: Iterable[CircuitBreaker] | None, origin: Origin, found: Collector, field: str
) -> tuple[ir.CircuitBreaker, ...]:
    """One breaker per priority, ``default`` first. As in Envoy, the first of one priority counts."""
    chosen: dict[str, ir.CircuitBreaker] = {}
    for index, item in enumerate(settings or ()):
        if item.priority in chosen:
            found.warning(
                "circuit-breakers",
                f"priority {item.priority} is set before, this entry is ignored",
                origin,
                f"{field}[{index}]",
            )
            continue
        limits = {
            name: value
            for name in ("max_connections", "max_pending_requests", "max_requests", "max_retries")
            if (value := getattr(item, name)) is not None
        }
        chosen[item.priority] = ir.CircuitBreaker(item.priority, **limits)
    return tuple(chosen[priority] for priority in sorted(chosen))


def keepalive(settings: KeepAlive | None, origin: Origin, found: Collector, field: str) -> ir.TcpKeepalive | None:
    """``idle_time`` is the name in the CRD, ``time`` the one that Emissary reads: both are taken."""
    if settings is None:
        return None

    def number(name: str, value: int | None, highest: int) -> int | None:
        if value is None or 0 < value <= highest:
            return value
        found.error("keepalive", f"expected 1 to {highest}, got {value}: it is ignored", origin, f"{field}.{name}")
        return None

    idle = ("idle_time", settings.idle_time) if settings.idle_time is not None else ("time", settings.time)
    return ir.TcpKeepalive(
        number(*idle, _KEEPALIVE_SECONDS),
        number("interval", settings.interval, _KEEPALIVE_SECONDS),
        number("probes", settings.probes, _KEEPALIVE_PROBES),
    )


def priority(spec: MappingSpec, origin: Origin, found: Collector) -> Literal["default", "high"]:
    """Envoy's two priorities, in any case."""
    match spec.priority.lower():
        case "high":
            return "high"
        case "" | "default":
            return "default"
    found.error("priority", f"{spec.priority!r} is neither default nor high: default", origin, "spec.priority")
    return "default"


def is_logical_dns(spec: MappingSpec, origin: Origin, found: Collector) -> bool:
    """``dns_type``, in any case. As in Emissary, everything unknown is ``strict_dns``."""
    kind = spec.dns_type.lower()
    if kind not in {"", "strict_dns", "logical_dns"}:
        found.error("dns-type", f"{spec.dns_type!r} is unknown: strict_dns is used", origin, "spec.dns_type")
    return kind == "logical_dns"
