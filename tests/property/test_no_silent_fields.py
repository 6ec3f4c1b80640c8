"""No field is taken in silence: setting it changes what the gateway does, or a finding says that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import inspect

from gateway.resources import ResourceSet
from gateway.resources.model import GETAMBASSADOR
from gateway.resources.module import MappingDefaults, ModuleConfig
from gateway.resources.reader import read_object
from gateway.resources.registry import KINDS
from gateway.translate import TranslateSettings, Translation, translate
from tests.support.certs import Authority

if TYPE_CHECKING:
    from gateway.diagnostics import Diagnostic
    from gateway.resources import Resource

Raw = dict[str, Any]

ROUND_TRIP = {"v2ExplicitTLS", "v2BoolHeaders", "v2BoolQueryParameters"}
"""Notes of a version conversion, written by machines for machines."""

BASE: dict[str, Raw] = {
    "Mapping": {"prefix": "/a/", "service": "quote", "hostname": "*"},
    "TCPMapping": {"port": 9000, "service": "db:5432"},
    "Host": {"hostname": "a.example", "tlsSecret": {"name": "cert"}},
    "Listener": {
        "port": 8445,
        "protocol": "HTTPS",
        "securityModel": "XFP",
        "hostBinding": {"namespace": {"from": "ALL"}},
    },
    "TLSContext": {"hosts": ["c.example"], "secret": "cert"},
    "Module": {"config": {}},
    "AuthService": {"auth_service": "auth"},
    "RateLimitService": {"service": "limiter"},
    "TracingService": {"service": "collector", "driver": "zipkin"},
    "LogService": {"service": "logs", "driver": "http"},
    "RateLimit": {"domain": "ambassador", "limits": [{"pattern": [{"generic_key": "x"}], "rate": 5, "unit": "second"}]},
    "ConsulResolver": {"address": "consul:8500", "datacenter": "dc1"},
    "DevPortal": {},
    "KubernetesServiceResolver": {},
    "KubernetesEndpointResolver": {},
}
BREAKERS = [{"max_requests": 3}]
ADDED = {"x-a": {"value": "b"}}
REWRITE = {"pattern": "/a/(.*)", "substitution": "/q/\\1"}
LABELS = {"ambassador": [{"g": [{"generic_key": {"value": "x"}}]}]}
ERRORS = [{"on_status_code": 404, "body": {"text_format": "gone"}}]
VALUES: dict[str, Any] = {
    "Mapping.hostname": "a.example",
    "Mapping.host": "b.example",
    "Mapping.host_regex": True,
    "Mapping.method": "GET",
    "Mapping.weight": 30,
    "Mapping.rewrite": "/other/",
    "Mapping.regex_rewrite": REWRITE,
    "Mapping.redirect_response_code": 302,
    "Mapping.add_request_headers": ADDED,
    "Mapping.add_response_headers": ADDED,
    "Mapping.retry_policy": {"retry_on": "5xx"},
    "Mapping.load_balancer": {"policy": "maglev", "header": "x"},
    "Mapping.health_checks": [{"health_check": {"http": {"path": "/health"}}}],
    "Mapping.keepalive": {"probes": 3},
    "Mapping.priority": "high",
    "Mapping.outlier_detection": {"consecutive_5xx": 3},
    "Mapping.dns_type": "logical_dns",
    "Mapping.enable_ipv4": False,
    "Mapping.case_sensitive": False,
    "Mapping.tls": "client",
    "Mapping.allow_upgrade": ["websocket"],
    "Mapping.cors": {"origins": ["*"]},
    "Mapping.labels": LABELS,
    "Mapping.resolver": "endpoint",
    "Mapping.error_response_overrides": ERRORS,
    "Mapping.docs": {"path": "/openapi"},
    "Mapping.prefix": "/other/",
    "Mapping.regex_redirect": REWRITE,
    "TCPMapping.host": "b.example",
    "TCPMapping.address": "127.0.0.1",
    "TCPMapping.weight": 30,
    "TCPMapping.tls": "client",
    "TCPMapping.resolver": "endpoint",
    "TCPMapping.enable_ipv4": False,
    "TCPMapping.idle_timeout_ms": "5000",
    "Host.hostname": "c.example",
    "Host.mappingSelector": {"matchLabels": {"a": "b"}},
    "Host.selector": {"matchLabels": {"a": "b"}},
    "Host.tlsSecret": {"name": "other"},
    "Host.tlsContext": {"name": "client"},
    "Host.tls": {"min_tls_version": "v1.3"},
    "Host.requestPolicy": {"insecure": {"action": "Route"}},
    "Host.acmeProvider": {"authority": "https://acme.example"},
    "Host.previewUrl": {"enabled": True},
    "Listener.port": 8446,
    "Listener.protocol": "HTTP",
    "Listener.protocolStack": ["HTTP", "TCP"],
    "Listener.securityModel": "INSECURE",
    "Listener.hostBinding": {"namespace": {"from": "SELECTOR"}},
    "Listener.bind_address": "127.0.0.1",
    "TLSContext.hosts": ["b.example"],
    "TLSContext.secret": "other",
    "TLSContext.secret_namespacing": False,
    "TLSContext.alpn_protocols": "h2",
    "TLSContext.min_tls_version": "v1.3",
    "TLSContext.max_tls_version": "v1.2",
    "TLSContext.cert_required": True,
    "TLSContext.ca_secret": "cert",
    "AuthService.proto": "grpc",
    "AuthService.protocol_version": "v2",
    "AuthService.include_body": {"max_bytes": 5, "allow_partial": True},
    "AuthService.status_on_error": {"code": 500},
    "AuthService.tls": "client",
    "RateLimitService.protocol_version": "v3",
    "RateLimitService.grpc": {"use_resource_exhausted_code": True},
    "RateLimitService.tls": "client",
    "TracingService.driver": "datadog",
    "TracingService.sampling": {"random": 5},
    "TracingService.custom_tags": [{"tag": "a", "literal": {"value": "b"}}],
    "TracingService.config": {"service_name": "edge"},
    "LogService.protocol_version": "v3",
    "LogService.driver": "tcp",
    "LogService.driver_config": {"additional_log_headers": [{"header_name": "x", "during_request": True}]},
    "RateLimit.limits": [{"pattern": [{"generic_key": "x"}], "rate": 6, "unit": "second"}],
    "DevPortal.content": {"url": "https://git.example"},
    "DevPortal.docs": [{"service": "s"}],
    "DevPortal.selector": {"matchLabels": {"a": "b"}},
    "DevPortal.naming_scheme": "name.prefix",
    "DevPortal.search": {"enabled": True},
    "Module.admin_port": 9000,
    "Module.service_port": 9001,
    "Module.buffer": {"max_request_bytes": 5},
    "Module.cors": {"origins": ["*"]},
    "Module.default_labels": {"ambassador": {"defaults": [{"generic_key": {"value": "y"}}]}},
    "Module.defaults": {"httpmapping": {"timeout_ms": 9}},
    "Module.diagnostics": {"enabled": False},
    "Module.enable_ipv4": False,
    "Module.envoy_log_type": "json",
    "Module.error_response_overrides": ERRORS,
    "Module.forward_client_cert_details": "FORWARD_ONLY",
    "Module.set_current_client_cert_details": {"subject": True},
    "Module.grpc_stats": {"all_methods": True},
    "Module.gzip": {"min_content_length": 5},
    "Module.headers_with_underscores_action": "ALLOW",
    "Module.ip_allow": [{"remote": "10.0.0.0/8"}],
    "Module.ip_deny": [{"remote": "10.0.0.0/8"}],
    "Module.keepalive": {"probes": 3},
    "Module.liveness_probe": {"enabled": False},
    "Module.readiness_probe": {"enabled": False},
    "Module.load_balancer": {"policy": "least_request"},
    "Module.retry_policy": {"retry_on": "5xx"},
    "Module.use_remote_address": False,
    "Module.enable_http10": False,
    "Module.prune_unreachable_routes": False,
    "Module.reject_requests_with_escaped_slashes": False,
    "Module.resolver": "endpoint",
    "Module.listener_idle_timeout_ms": 7,
}
BY_NAME: dict[str, Any] = {"circuit_breakers": BREAKERS, "ambassador_id": ["default"]}
BESIDE: dict[str, Raw] = {
    "Mapping.path_redirect": {"host_redirect": True},
    "Mapping.prefix_redirect": {"host_redirect": True},
    "Mapping.regex_redirect": {"host_redirect": True},
    "Mapping.redirect_response_code": {"host_redirect": True},
    "Mapping.method_regex": {"method": "GET"},
    "Mapping.host_regex": {"host": "a.example", "hostname": None},
    "Mapping.host": {"hostname": None},
    "Mapping.weight": {"prefix": "/o/"},
    "TCPMapping.weight": {"port": 9100},
    "Host.tlsContext": {"tlsSecret": None},
    "Listener.protocolStack": {"protocol": None},
    "TLSContext.secret_namespacing": {"secret": "cert.d"},
}
"""Fields without which a field means nothing; ``None`` takes one of ``BASE`` out."""
WHOLE_KIND = {"DevPortal"}
"""Kinds of which one finding says that nothing of them acts."""


def secret(name: str) -> Raw:
    leaf = Authority().issue("a.example")
    data = {"tls.crt": leaf.chain, "tls.key": leaf.key, "ca.crt": leaf.chain}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "d"}, "stringData": data}


def ambassador(kind: str, name: str, spec: Raw) -> Raw:
    meta = {"name": name, "namespace": "d"}
    return {"apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": meta, "spec": spec}


EVERYWHERE = {"namespace": {"from": "ALL"}}
SURROUNDINGS = [
    secret("cert"),
    secret("other"),
    ambassador("TLSContext", "client", {"ca_secret": "cert"}),
    ambassador(
        "Listener",
        "http",
        {"port": 8080, "protocol": "HTTP", "securityModel": "XFP", "hostBinding": EVERYWHERE},
    ),
    ambassador(
        "Listener",
        "https",
        {"port": 8443, "protocol": "HTTPS", "securityModel": "XFP", "hostBinding": EVERYWHERE},
    ),
    ambassador("Host", "b", {"hostname": "b.example"}),
    ambassador("Host", "c", {"hostname": "c.example"}),
    ambassador("Mapping", "other", {"prefix": "/o/", "service": "o", "hostname": "*"}),
    ambassador("Mapping", "labelled", {"prefix": "/l/", "service": "l", "hostname": "*", "labels": LABELS}),
    ambassador("Mapping", "balanced", {"prefix": "/b/", "service": "b", "hostname": "*", "resolver": "endpoint"}),
    ambassador("TCPMapping", "twin", {"port": 9100, "service": "db:5432"}),
    ambassador(
        "RateLimit",
        "limits",
        {
            "domain": "ambassador",
            "limits": [
                {"pattern": [{"generic_key": "x"}], "rate": 9, "unit": "second"},
                {"pattern": [{"generic_key": "y"}, {"generic_key": "x"}], "rate": 4, "unit": "second"},
            ],
        },
    ),
]
ALSO: dict[str, list[Raw]] = {
    "Module": [ambassador("RateLimitService", "limiter", {"service": "limiter"})],
    "ConsulResolver": [ambassador("Mapping", "q", {"hostname": "*", "prefix": "/q/", "service": "q", "resolver": "m"})],
}
"""What the objects of a kind work on."""


def outcome(kind: str, spec: Raw) -> tuple[Translation, list[Diagnostic]]:
    resources: list[Resource] = []
    found: list[Diagnostic] = []
    for raw in [*SURROUNDINGS, *ALSO.get(kind, ()), ambassador(kind, "ambassador" if kind == "Module" else "m", spec)]:
        result = read_object(raw)
        resources += result.resources
        found += result.diagnostics
    translation = translate(ResourceSet.build(resources), TranslateSettings(namespace="gateway"))
    return translation, [*found, *translation.diagnostics]


def cases() -> list[object]:
    result: list[object] = []
    for (group, kind), entry in KINDS.items():
        if group == GETAMBASSADOR:
            model = ModuleConfig if kind == "Module" else entry.body
            names = [name for name in model.__struct_encode_fields__ if name not in ROUND_TRIP]
            result += [pytest.param(kind, name, id=f"{kind}.{name}") for name in names if name != "ambassador_id"]
    return result


def value_of(kind: str, name: str) -> object:
    """A value that is not the default."""
    if f"{kind}.{name}" in VALUES:
        return VALUES[f"{kind}.{name}"]
    if name in BY_NAME:
        return BY_NAME[name]
    model = ModuleConfig if kind == "Module" else KINDS[GETAMBASSADOR, kind].body
    (field,) = (item for item in inspect.type_info(model).fields if item.encode_name == name)  # type: ignore[attr-defined]
    kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    (first, *_) = [item for item in kinds if not isinstance(item, inspect.NoneType)]
    match first:
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 7
        case inspect.StrType():
            return "x"
        case inspect.VarTupleType(inspect.StrType()):
            return ["x"]
        case inspect.VarTupleType():
            return [{}]
        case _:
            return {"x-a": "b"}


@pytest.mark.parametrize(("kind", "name"), cases())
def test_a_field_acts_or_is_said_not_to(kind: str, name: str) -> None:
    place = f"{kind}.{name}"
    base: Raw = {**BASE[kind], **BESIDE.get(place, {})}
    base = {key: value for key, value in base.items() if value is not None}
    given: Raw
    if kind == "Module":
        prefix, given = "spec.config.", {"config": {name: value_of(kind, name)}}
    else:
        prefix, given = "spec.", {**base, name: value_of(kind, name)}
    before, old = outcome(kind, base)
    after, new = outcome(kind, given)
    said = [*(item for item in new if item not in old), *(item for item in old if item not in new)]
    named = any(finding.field.startswith(prefix + name) or finding.field.rpartition(".")[2] == name for finding in said)
    whole = kind in WHOLE_KIND and any(finding.code == "kind-not-acted-on" for finding in new)
    assert before.gateway != after.gateway or named or whole


@pytest.mark.parametrize("name", MappingDefaults.__struct_encode_fields__)
def test_a_default_of_mappings_acts_or_is_said_not_to(name: str) -> None:
    value = VALUES.get(f"Mapping.{name}", BY_NAME.get(name))
    if value is None:
        value = value_of("Mapping", name)
    before, old = outcome("Module", {"config": {}})
    after, new = outcome("Module", {"config": {"defaults": {"httpmapping": {name: value}}}})
    named = any(finding.field.startswith("spec.config.defaults") for finding in new if finding not in old)
    assert before.gateway != after.gateway or named


LIMIT: Raw = {"pattern": [{"generic_key": "x"}], "rate": 5, "unit": "second"}
NESTED: list[tuple[str, Raw, Raw, str]] = [
    (
        "RateLimit",
        {"limits": [LIMIT]},
        {"limits": [{**LIMIT, "errorResponse": {"bodyTemplate": "x"}}]},
        "errorResponse",
    ),
    *(
        ("RateLimit", {"limits": [LIMIT]}, {"limits": [{**LIMIT, name: [{"name": "a", "value": "b"}]}]}, name)
        for name in ("injectRequestHeaders", "injectResponseHeaders")
    ),
    (
        "Mapping",
        {"labels": {"ambassador": [{"g": [{"request_headers": {"key": "a", "header_name": "x"}}]}]}},
        {
            "labels": {
                "ambassador": [
                    {"g": [{"request_headers": {"key": "a", "header_name": "x", "omit_if_not_present": True}}]}
                ]
            }
        },
        "omit_if_not_present",
    ),
]
"""Fields inside of fields that have no effect; the rest of the object does."""


@pytest.mark.parametrize(("kind", "without", "given", "name"), NESTED)
def test_fields_inside_of_fields(kind: str, without: Raw, given: Raw, name: str) -> None:
    before, old = outcome(kind, {**BASE[kind], **without})
    after, new = outcome(kind, {**BASE[kind], **given})
    assert before.gateway == after.gateway
    assert [item.field.rpartition(".")[2] for item in new if item not in old] == [name]
