"""TracingService and LogService. Source of the rules: Emissary's ``irtracing.py`` and ``irlogservice.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import ir
from gateway.resources import LogService, TracingService
from gateway.resources.telemetry import TraceConfig, TraceSampling
from gateway.translate.ambassador.servicecluster import ServiceWish, only_one
from gateway.translate.differences import DIFFERS
from gateway.translate.origins import ir_origin

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import ResourceSet
    from gateway.resources.telemetry import CustomTag
    from gateway.translate.ambassador.servicecluster import ServiceClusters

FLUSH_INTERVAL_MS = 1_000
FLUSH_BYTES = 16_384
_ALL = 100


def tracing(resources: ResourceSet, clusters: ServiceClusters, found: Collector) -> ir.Tracing | None:
    """Where spans go."""
    item = only_one(TracingService, resources, found)
    if item is None:
        return None
    spec, config, sampling = item.spec, item.spec.config or TraceConfig(), item.spec.sampling or TraceSampling()
    if spec.driver == "lightstep":
        message = "the driver lightstep is not supported, as in Emissary 3 and later; expected opentelemetry"
        found.error("tracing-driver", message, item.origin, "spec.driver")
        return None
    for name in ("access_token_file", "collector_cluster"):
        if getattr(config, name):
            found.notice("field-unused", "the field is accepted and has no effect", item.origin, f"spec.config.{name}")
    wish = ServiceWish(spec.service, http2=spec.driver == "opentelemetry", stats_name=spec.stats_name)
    cluster = clusters.require(item, wish, found)
    if cluster is None:
        return None
    tags = [tag for index, given in enumerate(spec.custom_tags) if (tag := _tag(index, given, item, found))]
    tags += [ir.SpanTag(name, "request_header", name) for name in spec.tag_headers]
    return ir.Tracing(
        origin=ir_origin(item.origin),
        cluster=cluster,
        driver=spec.driver,
        client_percent=_percent(sampling.client, "client", item, found),
        random_percent=_percent(sampling.random, "random", item, found),
        overall_percent=_percent(sampling.overall, "overall", item, found),
        tags=tuple(tags),
        service_name=config.service_name,
        collector_endpoint=config.collector_endpoint,
        collector_endpoint_version=config.collector_endpoint_version or "",
        collector_hostname=config.collector_hostname,
        propagation_modes=config.propagation_modes,
        trace_id_128bit=config.trace_id_128bit,
        shared_span_context=config.shared_span_context,
    )


def access_logs(resources: ResourceSet, clusters: ServiceClusters, found: Collector) -> tuple[ir.AccessLogService, ...]:
    """Who receives the access log. Of two LogServices with one name the first counts."""
    logs: dict[str, ir.AccessLogService] = {}
    for item in resources.of(LogService):
        if item.name in logs:
            message = f"LogService {logs[item.name].origin.namespace}/{item.name} has the same name; that one is used"
            found.error("log-service-duplicate", message, item.origin, "metadata.name")
        elif (log := _access_log(item, clusters, found)) is not None:
            logs[item.name] = log
    return tuple(logs[name] for name in sorted(logs))


def _access_log(item: LogService, clusters: ServiceClusters, found: Collector) -> ir.AccessLogService | None:
    spec = item.spec
    headers = spec.driver_config.additional_log_headers if spec.driver_config is not None else ()
    place = "spec.driver_config.additional_log_headers"
    if spec.driver is None:
        found.error("field-required", "is required; expected one of tcp, http", item.origin, "spec.driver")
        return None
    if headers and spec.driver != "http":
        found.error("field-rule", "is for the driver http only; the LogService is not used", item.origin, place)
        return None
    for index, header in enumerate(headers):
        if not header.header_name:
            message = "is required; the LogService is not used"
            found.error("field-required", message, item.origin, f"{place}[{index}].header_name")
            return None
    if spec.protocol_version != "v3":
        message = "is v3 here whatever is set; Emissary refuses the object without v3"
        found.notice(DIFFERS, message, item.origin, "spec.protocol_version")
    cluster = clusters.require(
        item, ServiceWish(spec.service, http2=bool(spec.grpc), stats_name=spec.stats_name), found
    )
    if cluster is None:
        return None
    return ir.AccessLogService(
        origin=ir_origin(item.origin),
        name=item.name,
        cluster=cluster,
        protocol=spec.driver,
        flush_interval_ms=FLUSH_INTERVAL_MS if spec.flush_interval_time is None else spec.flush_interval_time * 1_000,
        flush_bytes=FLUSH_BYTES if spec.flush_interval_byte_size is None else spec.flush_interval_byte_size,
        headers=tuple(
            ir.LoggedHeader(
                header.header_name.lower(), header.during_request, header.during_response, header.during_trailer
            )
            for header in headers
        ),
    )


def _tag(index: int, tag: CustomTag, item: TracingService, found: Collector) -> ir.SpanTag | None:
    given = [part for part in (tag.literal, tag.environment, tag.request_header) if part is not None]
    if len(given) != 1:
        message = f"expected exactly one of literal, environment and request_header, got {len(given)}"
        found.error("field-rule", f"{message}; the tag is left out", item.origin, f"spec.custom_tags[{index}]")
        return None
    if tag.literal is not None:
        return ir.SpanTag(tag.tag, "literal", tag.literal.value)
    if tag.environment is not None:
        return ir.SpanTag(tag.tag, "environment", tag.environment.name, tag.environment.default_value)
    assert tag.request_header is not None  # noqa: S101 - the only one left
    return ir.SpanTag(tag.tag, "request_header", tag.request_header.name, tag.request_header.default_value)


def _percent(share: int | None, name: str, item: TracingService, found: Collector) -> int:
    if share is None:
        return _ALL
    if not 0 <= share <= _ALL:
        message = f"expected a percentage from 0 to 100, got {share}; {_ALL} is used"
        found.error("field-rule", message, item.origin, f"spec.sampling.{name}")
        return _ALL
    return share
