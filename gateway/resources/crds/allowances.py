"""Where a published schema is wider than the model, and the rules that it checks beside types.

All versions of a kind have one schema. Without a webhook the API server converts by changing ``apiVersion`` alone, and
drops what the schema of the version it reads or writes does not have; so each version has the fields of all, in every
spelling, and a field whose type changed between versions takes each of its types. The reader says what is wrong with a
value, with its place, also where the API server takes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.resources.auth import AuthServiceSpec
from gateway.resources.hosts import HostSpec, ListenerSpec, TlsSettings
from gateway.resources.mapping import MappingSpec
from gateway.resources.model import SelectorRequirement
from gateway.resources.module import ModuleSpec
from gateway.resources.policy import Cors, ErrorResponseOverride, HealthCheckLayer, LoadBalancer, StatusRange
from gateway.resources.ratelimit import Limit, RateLimitServiceSpec
from gateway.resources.tcp import TCPMappingSpec

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    import msgspec

    Place = tuple[type[msgspec.Struct], str]

Schema = dict[str, object]

OPEN: Final[Schema] = {"x-kubernetes-preserve-unknown-fields": True}
"""Any value, kept as it is."""
OPEN_OBJECT: Final[Schema] = {"type": "object", **OPEN}
OPEN_VALUES: Final[Schema] = {"type": "object", "additionalProperties": OPEN}

LIST_OR_STRING: Final = frozenset({"ambassador_id"})
"""Fields of all kinds with older versions: a list in v3alpha1, and before that also one string."""

WIDER: Final[Map[Place, Schema]] = {
    # There is no older version of a Listener.
    (ListenerSpec, "ambassador_id"): {"type": "array", "items": {"type": "string"}},
    # A string or a list of strings.
    (Cors, "origins"): OPEN,
    (Cors, "methods"): OPEN,
    (Cors, "headers"): OPEN,
    (Cors, "exposed_headers"): OPEN,
    (MappingSpec, "remove_request_headers"): OPEN,
    (MappingSpec, "remove_response_headers"): OPEN,
    # A string or a boolean.
    (AuthServiceSpec, "tls"): OPEN,
    (MappingSpec, "tls"): OPEN,
    (RateLimitServiceSpec, "tls"): OPEN,
    (TCPMappingSpec, "tls"): OPEN,
    (MappingSpec, "headers"): OPEN_VALUES,
    (MappingSpec, "query_parameters"): OPEN_VALUES,
    # A string or an object.
    (MappingSpec, "add_request_headers"): OPEN_VALUES,
    (MappingSpec, "add_response_headers"): OPEN_VALUES,
    (MappingSpec, "labels"): {
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": "array", "items": OPEN}},
        },
    },
    # Emissary leaves it open.
    (ModuleSpec, "config"): OPEN_OBJECT,
    # Edge Stack compares these without case.
    (Limit, "unit"): {"type": "string"},
    (Limit, "action"): {"type": "string"},
}

NOT_ENUMERATED: Final[frozenset[Place]] = frozenset(
    {
        (SelectorRequirement, "operator"),
        (TlsSettings, "min_tls_version"),
        (TlsSettings, "max_tls_version"),
    }
)
"""Emissary's schema takes every string here, and the Host or selector is refused later, by the reader."""

BOUNDED: Final[frozenset[Place]] = frozenset(
    {
        (ListenerSpec, "port"),
        (ErrorResponseOverride, "on_status_code"),
        (StatusRange, "min"),
        (StatusRange, "max"),
    }
)
"""Emissary's schema has bounds for these integers and for no others; a bound of ours would refuse its objects."""

ATOMIC: Final = frozenset({"LabelSelector", "NameReference"})
"""Structs that server-side apply replaces as a whole, as Kubernetes does with its own."""


RULES: Final[Map[type[msgspec.Struct], tuple[str, str]]] = {
    HealthCheckLayer: ("has(self.http) != has(self.grpc)", "exactly one of http and grpc is expected"),
    HostSpec: ("!(has(self.tls) && has(self.tlsContext))", "only one of tls and tlsContext is expected"),
    ListenerSpec: (
        "has(self.protocol) || (has(self.protocolStack) && size(self.protocolStack) > 0)",
        "protocol or protocolStack is expected",
    ),
    LoadBalancer: (
        "!(self.policy in ['ring_hash', 'maglev']) || has(self.cookie) || has(self.header) || has(self.source_ip)",
        "ring_hash and maglev expect one of cookie, header and source_ip",
    ),
}
"""CEL rules, and what they say when they are broken. Emissary has each of them, too: it takes an object that breaks one
and then serves nothing of it."""
