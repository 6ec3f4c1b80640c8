"""AuthService, RateLimitService, TracingService, LogService: all versions give one model; bad ones open nothing."""

from __future__ import annotations

import pytest

from gateway.resources import (
    AuthService,
    ConsulResolver,
    DevPortal,
    Generic,
    LogService,
    Mapping,
    RateLimitService,
    Resource,
    TracingService,
)
from gateway.resources.reader import ReadResult, read_object
from gateway.resources.written import forget_managers
from gateway.resources.yamltree import parse_yaml


def read(kind: str, spec: str, version: str = "v3alpha1", metadata: str = "") -> ReadResult:
    text = (
        f"apiVersion: getambassador.io/{version}\nkind: {kind}\n"
        f"metadata: {{name: m, namespace: ns{metadata}}}\nspec: {spec}\n"
    )
    (document,) = parse_yaml(text)
    return read_object(document.value)


def one(kind: str, spec: str, version: str = "v3alpha1", metadata: str = "") -> Resource:
    result = read(kind, spec, version, metadata)
    assert [str(found) for found in result.diagnostics] == []
    (resource,) = result.resources
    return resource


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_auth_service_of_old(version: str) -> None:
    old = one(
        "AuthService",
        "{auth_service: auth, tls: true, proto: grpc, ambassador_id: default, v3StatsName: s, "
        "v3CircuitBreakers: [{max_requests: 5}], status_on_error: {code: 503}}",
        version,
    )
    assert isinstance(old, AuthService)
    assert (old.spec.auth_service, old.spec.tls, old.spec.stats_name) == ("https://auth", "", "s")
    assert old.spec.circuit_breakers is not None
    assert old.spec.circuit_breakers[0].max_requests == 5
    assert old.spec.status_on_error is not None
    assert old.spec.status_on_error.code == 503


def test_a_rate_limit_service_of_old() -> None:
    old = one(
        "RateLimitService", "{service: rl, tls: ctx, v3GRPC: {use_resource_exhausted_code: true}, v3StatsName: s}", "v2"
    )
    assert isinstance(old, RateLimitService)
    assert (old.spec.service, old.spec.tls, old.spec.stats_name) == ("rl", "ctx", "s")
    assert old.spec.grpc is not None
    assert old.spec.grpc.use_resource_exhausted_code


def test_a_tracing_service_of_old() -> None:
    old = one(
        "TracingService",
        "{driver: zipkin, service: z, v3CustomTags: [{tag: t, literal: {value: v}}], "
        "config: {v3PropagationModes: [B3], trace_id_128bit: true}}",
        "v2",
    )
    assert isinstance(old, TracingService)
    assert old.spec.custom_tags[0].literal is not None
    assert old.spec.config is not None
    assert (old.spec.config.propagation_modes, old.spec.config.trace_id_128bit) == (("B3",), True)


def test_other_kinds_are_typed() -> None:
    log = one("LogService", "{service: l, driver: http, grpc: true, v3ProtocolVersion: v3}", "v2")
    assert isinstance(log, LogService)
    assert log.spec.protocol_version == "v3"
    consul = one("ConsulResolver", "{address: 'consul:8500', datacenter: dc1}")
    assert isinstance(consul, ConsulResolver)
    assert (consul.spec.address, consul.spec.datacenter) == ("consul:8500", "dc1")
    portal = one("DevPortal", "{default: true, docs: [{service: s}], search: {type: title-only}}")
    assert isinstance(portal, DevPortal)
    assert portal.spec.docs[0].service == "s"


@pytest.mark.parametrize("spec", ["{}", "{auth_service: 5}", "text", "{auth_service: a, timeout_ms: soon}"])
def test_an_auth_service_that_cannot_be_read_still_guards(spec: str) -> None:
    result = read("AuthService", spec)
    assert (result.resources, [key.name for key in result.refused]) == ((), ["m"])
    (closed,) = result.stand_ins
    assert isinstance(closed, AuthService)
    assert closed.spec.auth_service == ""


def test_a_filter_policy_that_cannot_be_read_still_guards() -> None:
    result = read("FilterPolicy", "text")
    (closed,) = result.stand_ins
    assert isinstance(closed, Generic)
    assert closed.spec == {"rules": "unreadable"}


@pytest.mark.parametrize("kind", ["Filter", "LogService"])
def test_what_guards_nothing_has_no_stand_in(kind: str) -> None:
    assert read(kind, "text").stand_ins == ()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param("headers: {x: true}, v3StatsName: s, tls: true", id="types and names"),
        pytest.param("labels: {ambassador: [{g: [remote_address, {x: {header: X-A}}]}]}", id="labels"),
        pytest.param("remove_request_headers: a, cors: {origins: 'a,b'}", id="lists"),
    ],
)
def test_what_was_written_in_v2_means_the_same_under_the_name_of_v3alpha1(fields: str) -> None:
    """Definitions without a conversion webhook hand it out so."""
    spec = f"{{hostname: a, prefix: /a/, service: s, {fields}}}"
    old, new = one("Mapping", spec, "v2"), one("Mapping", spec)
    assert isinstance(old, Mapping)
    assert isinstance(new, Mapping)
    assert old.spec == new.spec


def fields_v1(version: str, time: str, owned: str = "'f:spec': {'f:prefix': {}}") -> str:
    return f"{{apiVersion: getambassador.io/{version}, time: '{time}', manager: m, fieldsV1: {{{owned}}}}}"


@pytest.mark.parametrize(
    ("read_as", "entries", "hostname"),
    [
        pytest.param("v3alpha1", [fields_v1("v2", "2026-01-01T00:00:00Z")], "*", id="written in v2"),
        pytest.param("v2", [fields_v1("v3alpha1", "2026-01-01T00:00:00Z")], "", id="written in v3alpha1"),
        pytest.param(
            "v2",
            [fields_v1("v2", "2026-01-01T00:00:00Z"), fields_v1("v3alpha1", "2026-01-02T00:00:00Z")],
            "",
            id="the last writer counts",
        ),
        pytest.param(
            "v2",
            [
                fields_v1("v2", "2026-01-01T00:00:00Z"),
                fields_v1("v3alpha1", "2026-01-02T00:00:00Z", "'f:metadata': {'f:labels': {}}"),
            ],
            "*",
            id="a label is no new version",
        ),
        pytest.param("v3alpha1", ["5", "{fieldsV1: text}"], "", id="nonsense"),
        pytest.param("v2", [], "*", id="nothing known"),
    ],
)
def test_a_mapping_without_a_host_means_what_it_meant_when_it_was_written(
    read_as: str, entries: list[str], hostname: str
) -> None:
    managed = f", managedFields: [{', '.join(entries)}]"
    mapping = one("Mapping", "{prefix: /a/, service: s}", read_as, managed)
    assert isinstance(mapping, Mapping)
    assert mapping.spec.hostname == hostname


@pytest.mark.parametrize("read_as", ["v2", "v3alpha1"])
@pytest.mark.parametrize("written", ["v2", "v3alpha1"])
def test_managers_can_be_forgotten(read_as: str, written: str) -> None:
    managed = [{"apiVersion": f"getambassador.io/{written}", "time": "t", "fieldsV1": {"f:spec": {"f:prefix": {}}}}] * 9
    metadata: dict[str, object] = {"name": "m", "managedFields": managed}
    spec = {"prefix": "/a/", "service": "s"}
    raw: dict[str, object] = {
        "apiVersion": f"getambassador.io/{read_as}",
        "kind": "Mapping",
        "metadata": metadata,
        "spec": spec,
    }
    forget_managers(raw)
    left = metadata.get("managedFields", [])
    assert isinstance(left, list)
    assert len(left) == (0 if written == read_as else 1)
    (mapping,) = read_object(raw).resources
    assert isinstance(mapping, Mapping)
    assert mapping.spec.hostname == ("*" if written == "v2" else "")


def test_the_webhook_of_emissary_left_its_mark() -> None:
    mapping = one("Mapping", "{prefix: /a/, service: s, host: _skip_mapping_with_empty_host_}")
    assert isinstance(mapping, Mapping)
    assert (mapping.spec.host, mapping.spec.hostname) == ("", "")
