"""A memo saves work and changes nothing: after any sequence of edits the result equals that of a fresh translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ir import Encoder, encode
from gateway.resources import ResourceSet, diff
from gateway.resources.reader import read_object
from gateway.translate import Memo, TranslateSettings, translate

if TYPE_CHECKING:
    from gateway.resources import Changes, Resource

GROUP = "getambassador.io/v3alpha1"
NAMES = st.sampled_from(["a", "b", "c"])
SPACES = st.sampled_from(["one", "two"])
HOSTNAMES = st.sampled_from(["*", "a.x", "b.x", "*.x", ""])
LABELS = st.sampled_from([{}, {"team": "a"}, {"team": "b"}])
PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"


def _object(kind: str, spec: st.SearchStrategy[dict[str, object]], version: str = GROUP) -> st.SearchStrategy[object]:
    return st.builds(
        lambda name, space, labels, content: {
            "apiVersion": version,
            "kind": kind,
            "metadata": {
                "name": "ambassador" if kind == "Module" else name,
                "namespace": space,
                "labels": {"kubernetes.io/service-name": "a", **labels},
                "annotations": {"kubernetes.io/ingress.class": "ambassador" if name == "a" else "sluice"},
            },
            **content,
        },
        NAMES,
        SPACES,
        LABELS,
        spec,
    )


def _optional(
    required: dict[str, object], **optional: st.SearchStrategy[object]
) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({key: st.just(value) for key, value in required.items()}, optional=optional).map(
        lambda spec: {"spec": spec}
    )


MAPPINGS = _object(
    "Mapping",
    _optional(
        {"prefix": "/p/"},
        hostname=HOSTNAMES,
        precedence=st.sampled_from([0, 1]),
        weight=st.sampled_from([10, 60]),
        shadow=st.just(True),
        host_redirect=st.just(True),
        resolver=st.sampled_from(["endpoint", "nowhere"]),
        tls=st.just("ctx"),
        labels=st.just({"ambassador": [{"g": [{"generic_key": {"value": "x"}}]}]}),
        bypass_auth=st.just(True),
        connect_timeout_ms=st.just(5),
        grpc=st.just(True),
        load_balancer=st.sampled_from([{"policy": "maglev", "header": "x"}, {"policy": "round_robin"}]),
        circuit_breakers=st.just([{"max_requests": 1}]),
        retry_policy=st.sampled_from([{"retry_on": "5xx"}, {}]),
        health_checks=st.just([{"health_check": {"http": {"path": "/"}}}]),
    ).flatmap(
        lambda content: st.sampled_from(["a", "b:81", "https://a", "!"]).map(
            lambda service: {"spec": {**content["spec"], "service": service}}  # type: ignore[dict-item]
        )
    ),
)
HOSTS = _object(
    "Host",
    _optional(
        {},
        hostname=HOSTNAMES,
        mappingSelector=st.just({"matchLabels": {"team": "a"}}),
        tlsSecret=st.just({"name": "a"}),
        requestPolicy=st.sampled_from([{"insecure": {"action": "Route", "additionalPort": 8090}}]),
    ),
)
LISTENERS = _object(
    "Listener",
    st.builds(
        lambda protocol, source: {
            "spec": {
                "port": 8080 if protocol == "HTTP" else 8443,
                "protocol": protocol,
                "securityModel": "XFP",
                "hostBinding": {"namespace": {"from": source}},
            }
        },
        st.sampled_from(["HTTP", "HTTPS"]),
        st.sampled_from(["ALL", "SELF"]),
    ),
)
STACKS = _object(
    "Listener",
    st.sampled_from([["TLS", "HTTP", "UDP"], ["TCP"], ["TLS", "TCP"]]).map(
        lambda stack: {
            "spec": {
                "port": 8443 if stack[-1] == "UDP" else 9000,
                "protocolStack": stack,
                "securityModel": "XFP",
                "hostBinding": {"namespace": {"from": "ALL"}},
            }
        }
    ),
)
TCP_MAPPINGS = _object(
    "TCPMapping",
    _optional(
        {"service": "a:81"},
        port=st.sampled_from([8080, 8443, 9000]),
        host=st.sampled_from(["a.x", "b.x", "*"]),
        address=st.sampled_from(["0.0.0.0", "127.0.0.1"]),
        weight=st.sampled_from([10, 60]),
        tls=st.just("ctx"),
        resolver=st.sampled_from(["endpoint", "nowhere"]),
    ).map(lambda content: {"spec": {"port": 9000, **content["spec"]}}),  # type: ignore[dict-item]
)
SERVICES = _object(
    "Service",
    st.sampled_from(["10.0.0.1", "None"]).map(
        lambda ip: {"spec": {"clusterIP": ip, "ports": [{"port": 80}, {"port": 81, "appProtocol": "grpc"}]}}
    ),
    "v1",
)
SLICES = _object(
    "EndpointSlice",
    st.sampled_from([{"ready": True}, {"ready": False}, {"ready": False, "serving": True, "terminating": True}]).map(
        lambda conditions: {
            "addressType": "IPv4",
            "ports": [{"name": "", "port": 80}],
            "endpoints": [{"addresses": ["10.1.0.1"], "conditions": conditions}],
        }
    ),
    "discovery.k8s.io/v1",
)
SECRETS = _object(
    "Secret", st.sampled_from([{"tls.crt": PEM, "tls.key": KEY}, {}]).map(lambda data: {"stringData": data}), "v1"
)
INGRESSES = _object(
    "Ingress",
    st.builds(
        lambda host, secret: {
            "spec": {
                **({"tls": [{"hosts": [host], "secretName": "a"}]} if secret else {}),
                "rules": [
                    {
                        "host": host,
                        "http": {
                            "paths": [
                                {
                                    "path": "/p",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "a", "port": {"number": 80}}},
                                }
                            ]
                        },
                    }
                ],
            }
        },
        st.sampled_from(["a.x", "*.x"]),
        st.booleans(),
    ),
    "networking.k8s.io/v1",
)
CONTEXTS = _object("TLSContext", _optional({}, secret=st.just("a"), ca_secret=st.just("b"), hosts=st.just(["a.x"])))
LIMITS = _object(
    "RateLimit",
    st.sampled_from([0, 5]).map(
        lambda rate: {
            "spec": {
                "domain": "ambassador",
                "limits": [{"pattern": [{"generic_key": "x"}], "rate": rate, "unit": "second"}],
            }
        }
    ),
)
MODULES = _object(
    "Module",
    _optional(
        {},
        config=st.sampled_from(
            [
                {"enable_ipv6": True},
                {"cluster_request_timeout_ms": 7},
                {"defaults": {"httpmapping": {"timeout_ms": 9}, "retry_policy": {"retry_on": "5xx"}}},
                {"load_balancer": {"policy": "least_request"}, "gzip": {}},
                {"circuit_breakers": [{"priority": "high"}], "keepalive": {"time": 5}, "retry_policy": {}},
            ]
        ),
    ),
)
AUTH = _object(
    "AuthService",
    _optional({"auth_service": "a"}, tls=st.just("ctx"), proto=st.just("grpc"), timeout_ms=st.just(5)),
)
LIMITERS = _object(
    "RateLimitService", _optional({"service": "https://a"}, failure_mode_deny=st.just(True), timeout_ms=st.just(5))
)
TELEMETRY = _object("TracingService", _optional({"service": "a", "driver": "zipkin"})) | _object(
    "LogService", _optional({"service": "b:81", "driver": "tcp"})
)
POLICIES = _object("FilterPolicy", st.just({"spec": {"rules": [{"host": "a.x", "filters": [{"name": "a"}]}]}}))
OBJECTS = st.one_of(
    MAPPINGS,
    MAPPINGS,
    HOSTS,
    LISTENERS,
    STACKS,
    TCP_MAPPINGS,
    SERVICES,
    SLICES,
    SECRETS,
    INGRESSES,
    CONTEXTS,
    LIMITS,
    MODULES,
    AUTH,
    LIMITERS,
    TELEMETRY,
    POLICIES,
)
EDITS = st.lists(st.lists(st.tuples(OBJECTS, st.booleans()), min_size=1, max_size=5), min_size=1, max_size=8)
MAPPING_EDITS = st.builds(
    lambda first, rest: [first, *rest],
    st.lists(st.tuples(OBJECTS, st.just(False)), min_size=3, max_size=14),
    st.lists(st.lists(st.tuples(MAPPINGS, st.booleans()), min_size=1, max_size=4), min_size=1, max_size=8),
)
"""Where nothing but Mappings changes, only they, their groups and their Hosts are looked at."""


def by_identity(changes: Changes) -> list[set[object]]:
    return [
        set(map(id, changes.added)),
        {(id(older), id(newer)) for older, newer in changes.changed},
        set(map(id, changes.removed)),
    ]


@settings(deadline=None, max_examples=300)
@given(EDITS | MAPPING_EDITS, st.booleans())
def test_incremental_equals_full(rounds: list[list[tuple[object, bool]]], replacing: bool) -> None:
    """``replacing``: each set is made from the one before, as in a cluster, and knows what differs."""
    memo, encoder = Memo(), Encoder()
    current: dict[object, Resource] = {}
    previous: ResourceSet | None = None
    sets: list[ResourceSet] = []
    for edits in rounds:
        touched = set()
        for raw, remove in edits:
            for item in read_object(raw).resources:
                touched.add(item.key)
                if remove:
                    current.pop(item.key, None)
                elif current.get(item.key) != item:
                    current[item.key] = item
        built = ResourceSet.build(current.values(), previous=previous)
        resources = built
        if replacing and previous is not None:
            resources = previous.replaced({key: current.get(key) for key in touched}, {})
            for earlier in sets:
                assert by_identity(diff(earlier, resources)) == by_identity(diff(earlier, built))
        previous = resources
        sets.append(resources)
        incremental = translate(resources, TranslateSettings(), memo)
        full = translate(resources, TranslateSettings())
        assert incremental == full
        assert [item.digest for item in encoder.encode(incremental.gateway)] == [
            item.digest for item in encode(full.gateway)
        ]
        assert not [item for item in full.diagnostics if item.code == "translation-crash"]
