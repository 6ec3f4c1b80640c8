"""Raw objects to typed ones, and what is said about faults."""

from __future__ import annotations

import pytest

from gateway.resources import (
    Generic,
    Host,
    Ingress,
    IngressClass,
    Listener,
    Mapping,
    Module,
    RateLimit,
    Secret,
    Service,
    TCPMapping,
)
from gateway.resources.reader import ReadResult, ReadSettings, read_object
from gateway.resources.registry import KINDS
from gateway.resources.yamltree import parse_yaml


def read(text: str, settings: ReadSettings | None = None) -> ReadResult:
    (document,) = parse_yaml(text)
    return read_object(document.value, "m.yaml", settings or ReadSettings())


def manifest(kind: str, spec: str, version: str = "v3alpha1") -> str:
    return f"apiVersion: getambassador.io/{version}\nkind: {kind}\nmetadata: {{name: m, namespace: ns}}\nspec: {spec}\n"


def spec_of(text: str) -> object:
    (resource,) = read(text).resources
    assert isinstance(resource, (Mapping, Host, Listener, Module, RateLimit))
    return resource.spec


MAPPING = "{hostname: '*', prefix: /a/, service: quote, %s}"


def mapping(fields: str, version: str = "v3alpha1") -> Mapping:
    result = read(manifest("Mapping", "{prefix: /a/, service: quote, " + fields + "}", version))
    assert [str(found) for found in result.diagnostics] == []
    (resource,) = result.resources
    assert isinstance(resource, Mapping)
    return resource


def messages(result: ReadResult) -> list[tuple[str, str, str]]:
    return [(found.severity, found.field, found.message) for found in result.diagnostics]


def test_a_mapping_is_typed() -> None:
    spec = mapping("hostname: a.b, timeout_ms: 5, headers: {x: v}, cors: {origins: [a]}, weight: 20").spec
    assert (spec.prefix, spec.service, spec.hostname, spec.timeout_ms, spec.weight) == ("/a/", "quote", "a.b", 5, 20)
    assert spec.headers == {"x": "v"}
    assert spec.cors is not None
    assert spec.cors.origins == ("a",)
    assert spec.rewrite is None


def test_all_faults_of_an_object_are_found_with_their_paths() -> None:
    result = read(
        manifest(
            "Listener",
            "{port: '80', securityModel: xfp, hostBindin: {}, hostBinding: {namespace: {from: ANY}}, l7Depth: true}",
        )
    )
    assert result.resources == ()
    assert messages(result) == [
        ("error", "spec.hostBinding.namespace.from", "expected one of ALL, SELECTOR, SELF, got 'ANY'"),
        ("error", "spec.l7Depth", "expected an integer from 0 to 255, got true"),
        ("error", "spec.port", "expected an integer from 1 to 65535, got '80'"),
        ("error", "spec.securityModel", "expected one of INSECURE, SECURE, XFP, got 'xfp'"),
        ("warning", "spec.hostBindin", "is not a known field and is ignored"),
    ]
    hints = {found.field: found.hint for found in result.diagnostics}
    assert hints["spec.port"] == "remove the quotes"
    assert hints["spec.securityModel"] == "did you mean XFP?"
    assert hints["spec.hostBindin"] == "did you mean hostBinding?"


def test_missing_fields_are_named() -> None:
    assert messages(read(manifest("Mapping", "{}"))) == [
        ("error", "spec.prefix", "is required; expected a string"),
        ("error", "spec.service", "is required; expected a string"),
    ]


def test_an_unknown_field_is_a_warning_and_the_object_stays() -> None:
    result = read(manifest("Mapping", MAPPING % "timeout: 5, prefx: /"))
    assert len(result.resources) == 1
    assert {(found.field, found.hint) for found in result.diagnostics} == {
        ("spec.timeout", "did you mean timeout_ms?"),
        ("spec.prefx", "did you mean prefix?"),
    }


def test_fields_outside_spec_are_pointed_at() -> None:
    text = manifest("Mapping", "{prefix: /a/, service: s}") + "hostname: x\n"
    assert messages(read(text)) == [("warning", "hostname", "is not a known field and is ignored")]


def test_a_flood_of_faults_is_cut_and_errors_come_first() -> None:
    fields = ", ".join(f"field_{number}: 1" for number in range(5_000))
    result = read(manifest("Mapping", "{prefix: /a/, service: 5, " + fields + "}"))
    assert len(result.diagnostics) == 101
    assert result.diagnostics[0].field == "spec.service"
    assert "4901 more findings" in result.diagnostics[-1].message


def test_null_means_not_set() -> None:
    assert mapping("hostname: null, timeout_ms: null, cors: null").spec.hostname == ""


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        pytest.param("Mapping", MAPPING % "weight: 101", "spec.weight", id="weight"),
        pytest.param("Mapping", MAPPING % "headers: {x: 5}", "spec.headers.x", id="header value"),
        pytest.param("Mapping", MAPPING % "timeout_ms: -1", "spec.timeout_ms", id="negative timeout"),
        pytest.param("Mapping", MAPPING % "timeout_ms: 1.5", "spec.timeout_ms", id="fraction"),
        pytest.param("Mapping", MAPPING % "allow_upgrade: websocket", "spec.allow_upgrade", id="no list"),
        pytest.param("Mapping", MAPPING % "cors: {origins: [5]}", "spec.cors.origins[0]", id="list item"),
        pytest.param("Mapping", "{hostname: a*b, prefix: /a/, service: quote}", "spec.hostname", id="star inside"),
        pytest.param("Mapping", MAPPING % "load_balancer: {policy: maglev}", "spec.load_balancer", id="no hash key"),
        pytest.param(
            "Mapping",
            MAPPING % "load_balancer: {policy: ring_hash, header: x, source_ip: true}",
            "spec.load_balancer",
            id="two hash keys",
        ),
        pytest.param(
            "Mapping", MAPPING % "retry_policy: {per_try_timeout: 5}", "spec.retry_policy.per_try_timeout", id="no text"
        ),
        pytest.param(
            "Mapping",
            MAPPING % "retry_policy: {per_try_timeout: fast}",
            "spec.retry_policy.per_try_timeout",
            id="no duration",
        ),
        pytest.param(
            "Mapping", MAPPING % "labels: {d: [{g: [{}]}]}", "spec.labels.d[0].g[0]", id="specifier without kind"
        ),
        pytest.param("Mapping", MAPPING % "labels: {d: [{g: [], h: []}]}", "spec.labels.d[0]", id="two group names"),
        pytest.param(
            "Mapping", MAPPING % 'add_request_headers: {x: "a\\nb"}', "spec.add_request_headers.x", id="line break"
        ),
        pytest.param(
            "Mapping",
            MAPPING % "error_response_overrides: [{on_status_code: 404, body: {}}]",
            "spec.error_response_overrides[0].body",
            id="no body format",
        ),
        pytest.param("Host", "{tls: {}, tlsContext: {name: x}}", "spec.tls", id="tls twice"),
        pytest.param("Host", "{tls: {min_tls_version: v9}}", "spec.tls.min_tls_version", id="TLS version"),
        pytest.param("Listener", "{port: 80, securityModel: XFP, hostBinding: {}}", "spec.protocol", id="no protocol"),
        pytest.param(
            "RateLimit", "{domain: d, limits: [{rate: 5, unit: year, pattern: []}]}", "spec.limits[0].unit", id="unit"
        ),
        pytest.param("TLSContext", "{hosts: a.b}", "spec.hosts", id="one string for a list"),
    ],
)
def test_every_fault_is_an_error_at_its_field_and_nothing_is_applied(kind: str, spec: str, field: str) -> None:
    result = read(manifest(kind, spec))
    assert result.resources == ()
    assert [found.field for found in result.diagnostics] == [field]
    assert result.diagnostics[0].severity == "error"
    assert (result.diagnostics[0].origin.kind, result.diagnostics[0].origin.name) == (kind, "m")
    assert [key.name for key in result.refused] == ["m"]


@pytest.mark.parametrize("version", ["v0", "v1", "v2"])
def test_older_versions_become_v3alpha1(version: str) -> None:
    spec = mapping(
        "host: a.b, headers: {x: true, u: z, w: false}, query_parameters: {q: true}, tls: true, "
        "ambassador_id: default, "
        "add_request_headers: {a: b}, remove_request_headers: x-gone, "
        "cors: {origins: 'http://a, http://b', methods: GET}, v3StatsName: st, "
        "labels: {d: [{g: [remote_address, word, {k: {header: x-h, omit_if_not_present: true}}, {generic_key: v}]}]}",
        version,
    ).spec
    assert (spec.hostname, spec.host) == ("a.b", "")
    assert spec.headers == {"u": "z"}
    assert spec.regex_headers == {"x": ".*"}
    assert spec.v2_bool_headers == ("x",)
    assert spec.regex_query_parameters == {"q": ".*"}
    assert (spec.service, spec.tls) == ("https://quote", "")
    assert spec.ambassador_id == ("default",)
    assert spec.add_request_headers["a"].value == "b"
    assert spec.remove_request_headers == ("x-gone",)
    assert spec.cors is not None
    assert (spec.cors.origins, spec.cors.methods) == (("http://a", "http://b"), ("GET",))
    assert spec.stats_name == "st"
    address, word, header, generic = spec.labels["d"][0]["g"]
    assert address.remote_address is not None
    assert word.generic_key is not None
    assert word.generic_key.value == "word"
    assert header.request_headers is not None
    assert (header.request_headers.key, header.request_headers.header_name) == ("k", "x-h")
    assert generic.generic_key is not None
    assert generic.generic_key.value == "v"


@pytest.mark.parametrize(
    ("fields", "hostname", "host"),
    [
        pytest.param("", "*", "", id="no host is every host"),
        pytest.param("host: a", "a", "", id="host"),
        pytest.param("host: a.+, host_regex: true", "", "a.+", id="regex"),
    ],
)
def test_the_host_of_v2(fields: str, hostname: str, host: str) -> None:
    spec = mapping(fields, "v2").spec
    assert (spec.hostname, spec.host) == (hostname, host)


@pytest.mark.parametrize(
    ("fields", "service", "tls"),
    [
        ("tls: true", "https://quote", ""),
        ("tls: false", "quote", ""),
        ("tls: ctx", "quote", "ctx"),
        ("", "quote", ""),
    ],
)
def test_tls_of_v2(fields: str, service: str, tls: str) -> None:
    spec = mapping(fields, "v2").spec
    assert (spec.service, spec.tls) == (service, tls)


def test_hosts_of_v2() -> None:
    spec = spec_of(
        manifest("Host", "{ambassadorId: default, selector: {matchLabels: {a: b}}, tls: {v3CRLSecret: c}}", "v2")
    )
    assert isinstance(spec, Host.__annotations__["spec"])
    assert spec.effective_selector is not None
    assert spec.effective_selector.matches({"a": "b"})


def test_a_listener_exists_in_v3alpha1_only() -> None:
    result = read(manifest("Listener", "{port: 80, protocol: HTTP, securityModel: XFP, hostBinding: {}}", "v2"))
    assert result.resources == ()
    assert result.diagnostics[0].field == "apiVersion"


def test_rate_limits_of_edge_stack() -> None:
    spec = spec_of(
        manifest(
            "RateLimit",
            "{domain: d, limits: [{name: x, action: logonly, pattern: [{a: b, c: '*'}, {d: ''}], "
            "rate: 5, unit: MINUTE, "
            "burstFactor: 2, injectResponseHeaders: [{name: h, value: v}], errorResponse: {bodyTemplate: t}}]}",
        )
    )
    assert isinstance(spec, RateLimit.__annotations__["spec"])
    (limit,) = spec.limits
    assert (limit.action, limit.unit, limit.period_ms, limit.rate, limit.burst_factor) == (
        "LogOnly",
        "minute",
        60_000,
        5,
        2,
    )
    assert limit.pattern == ({"a": "b", "c": "*"}, {"d": ""})
    assert limit.error_response is not None
    assert limit.error_response.body_template == "t"


def test_the_module_knows_its_keys() -> None:
    text = manifest(
        "Module", "{config: {xff_num_trusted_hops: 1, defaults: {httpmapping: {add_request_headers: {a: b}}}}}"
    )
    spec = spec_of(text.replace("name: m,", "name: ambassador,"))
    assert isinstance(spec, Module.__annotations__["spec"])
    assert spec.config.xff_num_trusted_hops == 1
    assert spec.config.defaults is not None
    assert spec.config.defaults.httpmapping is not None
    assert spec.config.defaults.httpmapping.add_request_headers is not None
    assert spec.config.defaults.httpmapping.add_request_headers["a"].value == "b"


def test_another_module_has_no_effect() -> None:
    result = read(manifest("Module", "{config: {server: {enabled: true}}}"))
    assert [found.code for found in result.diagnostics] == ["module-ignored"]
    assert isinstance(result.resources[0], Generic)


@pytest.mark.parametrize(("config", "closed"), [("{ip_deny: 1}", True), ("{proper_case: 1}", False)])
def test_a_module_that_cannot_be_read_does_not_open_what_it_closes(config: str, closed: bool) -> None:
    result = read(manifest("Module", f"{{config: {config}}}").replace("name: m,", "name: ambassador,"))
    assert (result.resources, [key.name for key in result.refused]) == ((), ["ambassador"])
    assert [(item.key.name, item.spec.config.ip_allow) for item in result.stand_ins if isinstance(item, Module)] == (
        [("ambassador", ())] if closed else []
    )


@pytest.mark.parametrize("kind", ["Filter", "FilterPolicy"])
def test_kinds_of_edge_stack_are_accepted_and_said_to_be_unused(kind: str) -> None:
    result = read(manifest(kind, "{service: x}"))
    assert isinstance(result.resources[0], Generic)
    assert str(result.resources[0].key) == f"{kind}.getambassador.io ns/m"
    (found,) = result.diagnostics
    assert (found.severity, found.code) == ("warning", "kind-not-acted-on")
    if kind == "FilterPolicy":
        assert "refused with 500 until" in found.message
    else:
        assert found.message == f"kind {kind} is accepted but not acted on yet"


@pytest.mark.parametrize("version", ["v2", "v3alpha1"])
def test_tcp_mappings_are_typed(version: str) -> None:
    text = manifest("TCPMapping", "{port: 5432, service: 'pg:5432', idle_timeout_ms: '1000'}")
    if version == "v2":
        text = text.replace("v3alpha1", "v2").replace("service:", "tls: true, v3StatsName: pg, service:")
    result = read(text)
    (mapping,) = result.resources
    assert isinstance(mapping, TCPMapping)
    assert result.diagnostics == ()
    assert mapping.spec.service == ("https://pg:5432" if version == "v2" else "pg:5432")
    assert (mapping.spec.stats_name, mapping.spec.idle_timeout_ms) == ("pg" if version == "v2" else "", "1000")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param("{port: 0, service: x}", "spec.port", id="port"),
        pytest.param("{port: 1, service: ' '}", "spec.service", id="service"),
        pytest.param("{port: 1, service: x, host: 'a*b'}", "spec.host", id="host"),
        pytest.param("{port: 1, service: x, weight: 101}", "spec.weight", id="weight"),
    ],
)
def test_tcp_mappings_are_checked(spec: str, field: str) -> None:
    result = read(manifest("TCPMapping", spec))
    assert (result.resources, [found.field for found in result.diagnostics]) == ((), [field])


@pytest.mark.parametrize(
    ("value", "field"),
    [
        pytest.param("{consecutive_5xx: 3, interval: 1s}", "", id="object"),
        pytest.param("'{}'", "", id="text"),
        pytest.param("{interval: soon}", "spec.outlier_detection.interval", id="duration"),
        pytest.param("{max_ejection_percent: 200}", "spec.outlier_detection", id="percent"),
    ],
)
def test_outlier_detection_is_an_object_or_text(value: str, field: str) -> None:
    found = read(manifest("Mapping", f"{{prefix: /, service: x, outlier_detection: {value}}}")).diagnostics
    assert [item.field for item in found] == ([field] if field else [])


def test_unrelated_kinds_are_a_notice() -> None:
    result = read("{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}")
    assert (result.resources, [found.severity for found in result.diagnostics]) == ((), ["notice"])


def test_a_misspelt_kind_is_an_error() -> None:
    (found,) = read(manifest("Maping", "{}")).diagnostics
    assert (found.severity, found.hint) == ("error", "did you mean Mapping?")


@pytest.mark.parametrize(
    "text", ["[]", "text", "5", "{}", "{kind: Mapping}", "{apiVersion: v1}", "{apiVersion: 1, kind: 2}"]
)
def test_what_is_no_object_is_an_error(text: str) -> None:
    (found,) = read(text).diagnostics
    assert (found.severity, found.origin.path) == ("error", "m.yaml")


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ("{}", "metadata.name"),
        ("{name: ''}", "metadata.name"),
        ("{name: 5}", "metadata.name"),
        ("{name: a/b}", "metadata.name"),
        ("{name: a, labels: {x: 1}}", "metadata.labels.x"),
        ("{name: a, annotations: []}", "metadata.annotations"),
    ],
)
def test_metadata_is_checked(metadata: str, field: str) -> None:
    text = f"{{apiVersion: getambassador.io/v2, kind: Mapping, metadata: {metadata}, spec: {{prefix: /, service: s}}}}"
    result = read(text)
    assert (result.resources, [found.field for found in result.diagnostics]) == ((), [field])


@pytest.mark.parametrize(
    ("given", "own", "taken"),
    [
        ("", "default", True),
        ("", "prod", False),
        ("ambassador_id: [prod]", "default", False),
        ("ambassador_id: [prod, default]", "default", True),
        ("ambassador_id: prod", "prod", True),
        ("ambassador_id: [_automatic_]", "prod", True),
        ("ambassador_id: []", "default", True),
    ],
)
def test_ambassador_id(given: str, own: str, taken: bool) -> None:
    result = read(manifest("Mapping", "{prefix: /, service: s, " + given + "}"), ReadSettings(ambassador_id=own))
    assert bool(result.resources) is taken


def test_secrets_are_decoded_and_never_shown() -> None:
    result = read(
        "{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: s},"
        " data: {tls.crt: aGFsbG8=, tls.key: aGlkZGVu}, stringData: {tls.crt: certificate}}"
    )
    (secret,) = result.resources
    assert isinstance(secret, Secret)
    assert (secret.certificate_chain, secret.private_key) == (b"certificate", b"hidden")
    assert "hidden" not in repr(secret)
    assert "certificate" not in str(secret)


def test_faults_of_secrets_do_not_quote_values() -> None:
    result = read(
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: '%geheim%', b: 4711}, stringData: {c: 4712}}"
    )
    assert len(result.diagnostics) == 3
    text = "\n".join(map(str, result.diagnostics))
    assert not any(value in text for value in ("geheim", "4711", "4712"))


def test_services_may_have_fields_the_gateway_does_not_read() -> None:
    result = read(
        "{apiVersion: v1, kind: Service, metadata: {name: s, managedFields: []}, "
        "spec: {clusterIP: 10.0.0.1, sessionAffinity: None,"
        " ports: [{port: 80, targetPort: http}]}, status: {loadBalancer: {}}}"
    )
    (service,) = result.resources
    assert isinstance(service, Service)
    assert (service.spec.cluster_ip, service.spec.ports[0].target_port, result.diagnostics) == ("10.0.0.1", "http", ())


@pytest.mark.parametrize("api", ["extensions/v1beta1", "networking.k8s.io/v1beta1"])
def test_old_ingresses_become_v1(api: str) -> None:
    result = read(
        f"{{apiVersion: {api}, kind: Ingress, metadata: {{name: i}}, "
        "spec: {backend: {serviceName: d, servicePort: http},"
        " rules: [{http: {paths: [{path: /a, backend: {serviceName: s, servicePort: 80}}]}}]}}"
    )
    assert [str(found) for found in result.diagnostics] == []
    (ingress,) = result.resources
    assert isinstance(ingress, Ingress)
    assert ingress.key.kind_group == "Ingress.networking.k8s.io"
    rule = ingress.spec.rules[0].http
    assert rule is not None
    assert rule.paths[0].path_type == "ImplementationSpecific"
    assert rule.paths[0].backend.service is not None
    assert rule.paths[0].backend.service.port.number == 80


def test_ingress_classes_have_no_namespace() -> None:
    (resource,) = read(
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: c, namespace: x}, "
        "spec: {controller: a/b}}"
    ).resources
    assert isinstance(resource, IngressClass)
    assert resource.namespace == ""


def test_lists_are_flattened() -> None:
    item = "{apiVersion: getambassador.io/v3alpha1, kind: Mapping, metadata: {name: %s}, spec: {prefix: /, service: s}}"
    result = read(f"{{apiVersion: v1, kind: List, items: [{item % 'a'}, {item % 'b'}, 5]}}")
    assert [resource.name for resource in result.resources] == ["a", "b"]
    assert [found.code for found in result.diagnostics] == ["object-invalid"]


ANNOTATED = """
apiVersion: v1
kind: Service
metadata:
  name: quote
  namespace: shop
  labels: {app: quote}
  annotations:
    getambassador.io/config: |
"""


def annotated(*lines: str) -> ReadResult:
    return read(ANNOTATED + "".join(f"      {line}\n" for line in lines) + "spec: {ports: [{port: 80}]}\n")


def test_annotations_are_expanded_in_the_namespace_of_their_object() -> None:
    result = annotated(
        "---", "apiVersion: ambassador/v1", "kind: Mapping", "name: a_b", "prefix: /a/", "service: quote",
        "---", "apiVersion: getambassador.io/v3alpha1", "kind: Mapping", "name: c", "prefix: /c/", "service: quote",
        "metadata_labels: {x: v}",
    )  # fmt: skip
    assert [str(found) for found in result.diagnostics] == []
    service, first, second = result.resources
    assert isinstance(service, Service)
    assert (first.namespace, first.name, first.metadata.labels) == ("shop", "a_b", {"app": "quote"})
    assert isinstance(first, Mapping)
    assert first.spec.hostname == "*"
    assert second.metadata.labels == {"x": "v"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(("a: [",), "is not YAML", id="no YAML"),
        pytest.param(
            ("apiVersion: ambassador/v1", "kind: Mapping", "name: a", "namespace: kube-system"),
            "expected namespace shop",
            id="another namespace",
        ),
        pytest.param(
            ("apiVersion: v1", "kind: Secret", "name: a"), "expected apiVersion getambassador.io", id="another group"
        ),
        pytest.param(
            ("apiVersion: ambassador/v1", "kind: Mapping", "name: a", "service: s"), "is required", id="fault inside"
        ),
        pytest.param(("- 5",), "expected objects", id="no object"),
    ],
)
def test_faulty_annotations_leave_the_object_alone(lines: tuple[str, ...], message: str) -> None:
    result = annotated(*lines)
    assert len(result.resources) == 1
    (found,) = result.diagnostics
    assert found.severity == "error"
    assert message in found.message


def test_findings_inside_annotations_name_the_annotated_object() -> None:
    (found,) = annotated("apiVersion: ambassador/v1", "kind: Mapping", "name: a", "service: s").diagnostics
    assert str(found.origin) == "Mapping shop/a"
    assert "of Service shop/quote" in found.hint


def test_every_model_names_its_kind() -> None:
    for (group, kind), entry in KINDS.items():
        assert kind == entry.model.KIND
        assert group == entry.model.GROUP or group == "extensions"
