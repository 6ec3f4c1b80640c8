"""Rules between fields, which a type cannot express. Each returns the faults of one typed object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.base.durations import DurationError, parse_duration_ms
from gateway.base.globs import is_glob
from gateway.resources.consul import consul_url
from gateway.resources.hosts import ConsulResolver, Host, Listener
from gateway.resources.mapping import Mapping
from gateway.resources.module import Module
from gateway.resources.networking import Ingress
from gateway.resources.policy import OutlierDetection
from gateway.resources.schema import Problem, join
from gateway.resources.tcp import TCPMapping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as Map

    from gateway.resources.model import Resource
    from gateway.resources.module import ModuleConfig
    from gateway.resources.networking import IngressBackend
    from gateway.resources.policy import (
        AddedHeader,
        ErrorResponseOverride,
        HealthCheck,
        LabelSpecifier,
        LoadBalancer,
        RetryPolicy,
    )


def broken_rules(resource: Resource) -> Iterator[Problem]:
    """Yield the faults of one object; objects without rules yield nothing."""
    match resource:
        case Mapping():
            yield from _mapping(resource)
        case TCPMapping():
            yield from _tcp_mapping(resource)
        case Host():
            yield from _host(resource)
        case Listener():
            yield from _listener(resource)
        case Module():
            yield from _module(resource.spec.config, "spec.config")
        case Ingress():
            yield from _ingress(resource)
        case ConsulResolver():
            yield from _consul_resolver(resource)


def _error(path: str, message: str, hint: str = "") -> Problem:
    return Problem("error", "field-rule", path, message, hint)


def _consul_resolver(resolver: ConsulResolver) -> Iterator[Problem]:
    if not resolver.spec.datacenter:
        yield _error("spec.datacenter", "is required, as in Emissary", "Consul's own default is dc1")
    try:
        consul_url(resolver.spec.address)
    except ValueError as error:
        yield _error("spec.address", str(error))


def _mapping(mapping: Mapping) -> Iterator[Problem]:
    spec = mapping.spec
    if spec.hostname:
        yield from hostname_problems(spec.hostname, "spec.hostname")
    if not spec.service.strip():
        yield _error("spec.service", "is empty; expected a service such as quote, quote.shop or https://quote:8443")
    yield from _balancing(spec.load_balancer, "spec.load_balancer")
    yield from _retries(spec.retry_policy, "spec.retry_policy")
    if isinstance(spec.outlier_detection, OutlierDetection):
        for name in ("interval", "base_ejection_time", "max_ejection_time"):
            yield from _duration(getattr(spec.outlier_detection, name), f"spec.outlier_detection.{name}")
    for index, check in enumerate(spec.health_checks):
        yield from _health_check(check, f"spec.health_checks[{index}]")
    for domain, groups in spec.labels.items():
        for index, group in enumerate(groups):
            path = f"{join('spec.labels', domain)}[{index}]"
            if len(group) != 1:
                yield _error(path, f"expected exactly one group name, got {len(group)}")
            for name, specifiers in group.items():
                yield from _labels(specifiers, join(path, name))
    yield from _error_bodies(spec.error_response_overrides, "spec.error_response_overrides")
    yield from _header_names(spec.add_request_headers, "spec.add_request_headers")
    yield from _header_names(spec.add_response_headers, "spec.add_response_headers")


def _tcp_mapping(mapping: TCPMapping) -> Iterator[Problem]:
    if mapping.spec.host:
        yield from hostname_problems(mapping.spec.host, "spec.host")
    if not mapping.spec.service.strip():
        yield _error("spec.service", "is empty; expected a service such as postgres:5432 or postgres.shop:5432")


def _host(host: Host) -> Iterator[Problem]:
    if host.spec.hostname:
        yield from hostname_problems(host.spec.hostname, "spec.hostname")
    if host.spec.tls is not None and host.spec.tls_context is not None:
        yield _error("spec.tls", "stands beside spec.tlsContext; expected one of the two")


def _listener(listener: Listener) -> Iterator[Problem]:
    if listener.spec.protocol is None and not listener.spec.protocol_stack:
        yield _error("spec.protocol", "is missing; expected spec.protocol or spec.protocolStack")


def _module(config: ModuleConfig, path: str) -> Iterator[Problem]:
    yield from _balancing(config.load_balancer, f"{path}.load_balancer")
    yield from _retries(config.retry_policy, f"{path}.retry_policy")
    yield from _error_bodies(config.error_response_overrides, f"{path}.error_response_overrides")
    for domain, labels in config.default_labels.items():
        yield from _labels(labels.defaults, join(f"{path}.default_labels", domain) + ".defaults")


def _ingress(ingress: Ingress) -> Iterator[Problem]:
    if ingress.spec.default_backend is not None:
        yield from _backend(ingress.spec.default_backend, "spec.defaultBackend")
    for number, rule in enumerate(ingress.spec.rules):
        if rule.host:
            yield from hostname_problems(rule.host, f"spec.rules[{number}].host")
        for index, path in enumerate(rule.http.paths if rule.http is not None else ()):
            place = f"spec.rules[{number}].http.paths[{index}]"
            yield from _backend(path.backend, f"{place}.backend")
            if not path.path.startswith("/") and path.path_type != "ImplementationSpecific":
                yield _error(f"{place}.path", f"expected a path that starts with /, got {path.path!r}")


def _backend(backend: IngressBackend, path: str) -> Iterator[Problem]:
    if (backend.service is None) == (backend.resource is None):
        yield _error(path, "expected exactly one of service and resource")
    if backend.service is not None and bool(backend.service.port.name) == (backend.service.port.number is not None):
        yield _error(f"{path}.service.port", "expected exactly one of name and number")


def hostname_problems(hostname: str, path: str) -> Iterator[Problem]:
    """What is wrong with the hostname of a Host, an Ingress or a TCPMapping."""
    name = hostname.partition(":")[0]
    if not is_glob(name) or any(character in name for character in "/ \t\r\n\0@?#"):
        yield _error(path, f"expected a host name, *, *.suffix or prefix.*, got {hostname[:80]!r}")


def _balancing(balancer: LoadBalancer | None, path: str) -> Iterator[Problem]:
    if balancer is None:
        return
    keys = (balancer.cookie is not None) + bool(balancer.header) + balancer.source_ip
    if balancer.policy in ("ring_hash", "maglev") and keys != 1:
        yield _error(path, f"policy {balancer.policy} expects exactly one of cookie, header and source_ip")
    if balancer.policy in ("round_robin", "least_request") and keys:
        yield _error(path, f"policy {balancer.policy} takes no cookie, header or source_ip")
    if balancer.cookie is not None:
        yield from _duration(balancer.cookie.ttl, f"{path}.cookie.ttl")


def _retries(policy: RetryPolicy | None, path: str) -> Iterator[Problem]:
    if policy is not None:
        yield from _duration(policy.per_try_timeout, f"{path}.per_try_timeout")


def _health_check(check: HealthCheck, path: str) -> Iterator[Problem]:
    if (check.health_check.http is None) == (check.health_check.grpc is None):
        yield _error(f"{path}.health_check", "expected exactly one of http and grpc")
    yield from _duration(check.interval, f"{path}.interval")
    yield from _duration(check.timeout, f"{path}.timeout")


def _labels(specifiers: tuple[LabelSpecifier, ...], path: str) -> Iterator[Problem]:
    for index, item in enumerate(specifiers):
        kinds = (item.source_cluster, item.destination_cluster, item.request_headers, item.remote_address)
        given = sum(kind is not None for kind in (*kinds, item.generic_key))
        if given != 1:
            yield _error(
                f"{path}[{index}]",
                "expected exactly one of source_cluster, destination_cluster, request_headers, remote_address "
                f"and generic_key, got {given}",
            )


def _error_bodies(overrides: tuple[ErrorResponseOverride, ...], path: str) -> Iterator[Problem]:
    for index, override in enumerate(overrides):
        body = override.body
        formats = (body.text_format, body.json_format, body.text_format_source)
        if sum(given is not None for given in formats) != 1:
            yield _error(
                f"{path}[{index}].body", "expected exactly one of text_format, json_format and text_format_source"
            )


def _header_names(headers: Map[str, AddedHeader], path: str) -> Iterator[Problem]:
    for name, header in headers.items():
        if not name or any(character in name for character in " \t\r\n\0:"):
            yield _error(join(path, name), "expected the name of a header")
        if any(character in header.value for character in "\r\n\0"):
            yield _error(join(path, name), "has a value with a line break or a NUL, which no header can carry")


def _duration(text: str, path: str) -> Iterator[Problem]:
    if not text:
        return
    try:
        parse_duration_ms(text)
    except DurationError as error:
        yield _error(path, str(error))
