"""AuthService, RateLimitService, TracingService and LogService: what they ask for, and that nobody calls them yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import ir
from gateway.resources import AuthService, ModuleConfig, RateLimit, RateLimitService
from gateway.translate.ambassador.authorization import external_authorization
from gateway.translate.ambassador.module import label_domain
from gateway.translate.ambassador.ratelimits import report_limits
from gateway.translate.ambassador.servicecluster import ServiceClusters, ServiceWish, only_one
from gateway.translate.ambassador.telemetry import access_logs, tracing
from gateway.translate.differences import DIFFERS
from gateway.translate.origins import ir_origin
from gateway.translate.protection import authenticators
from gateway.translate.unused import KINDS_WITHOUT_EFFECT

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import Module, ResourceSet
    from gateway.translate.clusters import ClusterTable
    from gateway.translate.settings import TranslateSettings


def translate_services(
    resources: ResourceSet,
    settings: TranslateSettings,
    module: Module | None,
    table: ClusterTable,
    found: Collector,
) -> ir.Services:
    """Compile all of them, and say of each what it does not do."""
    for kind, message in KINDS_WITHOUT_EFFECT.items():
        if kind is AuthService and settings.allow_unenforced_auth:
            continue
        for item in resources.of(kind):
            found.warning("kind-not-acted-on", message, item.origin)
    if settings.allow_unenforced_auth:
        for guard in authenticators(resources):
            message = "is not enforced: requests pass without authorisation, as --allow-unenforced-auth wants"
            found.error("auth-not-enforced", message, guard.origin)
    report_limits(resources.of(RateLimit), found)
    clusters = ServiceClusters(table, {})
    config = module.spec.config if module is not None else ModuleConfig()
    authorization = external_authorization(resources, config, clusters, found)
    limiter = _rate_limits(resources, label_domain(module), clusters, found)
    traces = tracing(resources, clusters, found)
    logs = access_logs(resources, clusters, found)
    built = tuple(clusters.built[name] for name in sorted(clusters.built))
    return ir.Services(authorization, limiter, traces, logs, built)


def _rate_limits(
    resources: ResourceSet, default_domain: str, clusters: ServiceClusters, found: Collector
) -> ir.RateLimitClient | None:
    """The limiter that is asked."""
    item = only_one(RateLimitService, resources, found)
    if item is None:
        return None
    spec = item.spec
    if spec.protocol_version != "v3":
        message = "is v3 here whatever is set; Emissary refuses the object without v3"
        found.notice(DIFFERS, message, item.origin, "spec.protocol_version")
    wish = ServiceWish(spec.service, http2=True, tls=spec.tls, stats_name=spec.stats_name)
    cluster = clusters.require(item, wish, found)
    if cluster is None:
        return None
    return ir.RateLimitClient(
        origin=ir_origin(item.origin),
        cluster=cluster,
        domain=spec.domain or default_domain,
        timeout_ms=20 if spec.timeout_ms is None else spec.timeout_ms,
        failure_mode_deny=spec.failure_mode_deny,
        resource_exhausted=spec.grpc is not None and spec.grpc.use_resource_exhausted_code,
    )
