"""AuthServices become one external authorisation.

Source of the rules: Emissary's ``irauth.py``. Several AuthServices share the requests; the first that sets a value
decides, and one that says something else is told so. Lists of header names are joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from gateway import ir
from gateway.resources import AuthService
from gateway.resources.auth import AuthServiceSpec
from gateway.translate.ambassador.servicecluster import ServiceWish
from gateway.translate.differences import DIFFERS
from gateway.translate.origins import ir_origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.diagnostics import Collector
    from gateway.resources import ModuleConfig, ResourceSet
    from gateway.translate.ambassador.servicecluster import ServiceClusters

REQUEST_HEADERS: Final = (
    "authorization",
    "cookie",
    "from",
    "proxy-authorization",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
)
"""Sent to the service whatever the object lists."""
AUTHORIZATION_HEADERS: Final = ("authorization", "location", "proxy-authenticate", "set-cookie", "www-authenticate")
"""Taken from the service's answer whatever the object lists."""
TIMEOUT_MS: Final = 5_000
OLD_BODY: Final = ir.RequestBody(4096, allow_partial=True)
"""What ``allow_request_body`` means."""
STATUS_ON_ERROR: Final = 403

_PLAIN = AuthServiceSpec(auth_service="")
_SHARED = (
    "proto",
    "path_prefix",
    "timeout_ms",
    "include_body",
    "allow_request_body",
    "status_on_error",
    "failure_mode_allow",
    "add_linkerd_headers",
)


def external_authorization(
    resources: ResourceSet, module: ModuleConfig, clusters: ServiceClusters, found: Collector
) -> ir.ExternalAuthorization | None:
    """The authorisation that all AuthServices together ask for; ``None`` where none can be asked."""
    # A stand-in for one that could not be read has no service; it guards routes and is no more.
    services = [item for item in resources.of(AuthService) if item.spec.auth_service.strip()]
    if not services:
        return None
    first, specs = services[0], [item.spec for item in services]
    protocol: Literal["http", "grpc"] = next((spec.proto for spec in specs if spec.proto is not None), "http")
    names = [name for item in services if (name := _cluster(item, protocol, clusters, found)) is not None]
    _report(services, found)
    body = next((spec.include_body for spec in specs if spec.include_body is not None), None)
    linkerd = next((spec.add_linkerd_headers for spec in specs if spec.add_linkerd_headers is not None), None)
    return ir.ExternalAuthorization(
        origin=ir_origin(first.origin),
        clusters=tuple(dict.fromkeys(names)),
        protocol=protocol,
        path_prefix=next((spec.path_prefix for spec in specs if spec.path_prefix), ""),
        timeout_ms=next((spec.timeout_ms for spec in specs if spec.timeout_ms), TIMEOUT_MS),
        allowed_request_headers=_names(REQUEST_HEADERS, *(spec.allowed_request_headers for spec in specs)),
        allowed_authorization_headers=_names(
            AUTHORIZATION_HEADERS, *(spec.allowed_authorization_headers for spec in specs)
        ),
        add_headers=tuple(
            ir.HeaderValue(name, value, append=False)
            for name, value in sorted(
                {k: v for spec in reversed(specs) for k, v in spec.add_auth_headers.items()}.items()
            )
        ),
        linkerd_headers=bool(module.add_linkerd_headers if linkerd is None else linkerd),
        body=ir.RequestBody(body.max_bytes, body.allow_partial)
        if body is not None
        else (OLD_BODY if any(spec.allow_request_body for spec in specs) else None),
        status_on_error=_status(services, found),
        failure_mode_allow=specs[0].failure_mode_allow,
    )


def _cluster(item: AuthService, protocol: str, clusters: ServiceClusters, found: Collector) -> str | None:
    spec = item.spec
    http2 = protocol == "grpc"
    wish = ServiceWish(spec.auth_service, "auth_service", http2, spec.tls, spec.stats_name, spec.circuit_breakers)
    return clusters.require(item, wish, found)


def _status(services: Sequence[AuthService], found: Collector) -> int:
    for item in services:
        status = item.spec.status_on_error.code if item.spec.status_on_error is not None else None
        if status is None:
            continue
        if 400 <= status <= 599:
            return status
        message = f"expected a status from 400 to 599, got {status}; {STATUS_ON_ERROR} is used"
        found.error("field-rule", message, item.origin, "spec.status_on_error.code")
    return STATUS_ON_ERROR


def _report(services: Sequence[AuthService], found: Collector) -> None:
    first = services[0]
    for item in services:
        spec = item.spec
        if spec.protocol_version == "v2" or (spec.proto == "grpc" and spec.protocol_version is None):
            message = "is v3 here whatever is set; Emissary refuses the object without v3"
            found.notice(DIFFERS, message, item.origin, "spec.protocol_version")
        if spec.include_body is not None and spec.allow_request_body:
            found.error("auth-service-body", "is ignored beside include_body", item.origin, "spec.allow_request_body")
        for name in _SHARED if item is not first else ():
            if getattr(spec, name) not in (getattr(_PLAIN, name), getattr(first.spec, name)):
                message = f"differs from AuthService {first.namespace}/{first.name}, with which it shares the requests"
                found.error("auth-service-conflict", message, item.origin, f"spec.{name}")


def _names(always: Iterable[str], *lists: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*always, *(name.lower() for names in lists for name in names)}))
