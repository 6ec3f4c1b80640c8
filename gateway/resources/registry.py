"""Which kinds are read, in which versions, into which model."""

from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.resources.auth import AuthService, AuthServiceSpec
from gateway.resources.core import (
    AddressType,
    ConfigMap,
    EndpointSlice,
    Secret,
    Service,
    ServiceSpec,
    SliceEndpoint,
    SlicePort,
)
from gateway.resources.generic import ACCEPTED_KINDS
from gateway.resources.hosts import (
    ConsulResolver,
    ConsulResolverSpec,
    Host,
    HostSpec,
    KubernetesEndpointResolver,
    KubernetesServiceResolver,
    Listener,
    ListenerSpec,
    ResolverSpec,
    TLSContext,
    TLSContextSpec,
)
from gateway.resources.mapping import Mapping, MappingSpec
from gateway.resources.model import GETAMBASSADOR, OpenPart, Resource
from gateway.resources.module import Module, ModuleSpec
from gateway.resources.networking import Ingress, IngressClass, IngressClassSpec, IngressSpec
from gateway.resources.portal import DevPortal, DevPortalSpec
from gateway.resources.ratelimit import RateLimit, RateLimitService, RateLimitServiceSpec, RateLimitSpec
from gateway.resources.tcp import TCPMapping, TCPMappingSpec
from gateway.resources.telemetry import LogService, LogServiceSpec, TracingService, TracingServiceSpec

AMBASSADOR_VERSIONS: Final = frozenset({"v0", "v1", "v2", "v3alpha1"})
LISTENER_VERSIONS: Final = frozenset({"v3alpha1"})


class SecretBody(OpenPart, frozen=True, kw_only=True, gc=False):
    """A Secret as written."""

    type: str = "Opaque"
    data: Map[str, bytes] = {}
    string_data: Map[str, str] = {}


class ConfigMapBody(OpenPart, frozen=True, kw_only=True, gc=False):
    """A ConfigMap as written."""

    data: Map[str, str] = {}
    binary_data: Map[str, bytes] = {}


class EndpointSliceBody(OpenPart, frozen=True, kw_only=True, gc=False):
    """An EndpointSlice as written; Kubernetes writes null for "no endpoints"."""

    address_type: AddressType
    endpoints: tuple[SliceEndpoint, ...] | None = None
    ports: tuple[SlicePort, ...] | None = None


@dataclass(frozen=True, slots=True)
class KindEntry:
    """How one kind is read. ``body`` types the ``spec``, or the whole object when ``flat``."""

    model: type[Resource]
    body: type[msgspec.Struct]
    versions: frozenset[str]
    flat: bool = False
    cluster_wide: bool = False


_V1 = frozenset({"v1"})
_BETA = frozenset({"v1", "v1beta1"})

KINDS: Final[Map[tuple[str, str], KindEntry]] = {
    ("", "Service"): KindEntry(Service, ServiceSpec, _V1),
    ("", "Secret"): KindEntry(Secret, SecretBody, _V1, flat=True),
    ("", "ConfigMap"): KindEntry(ConfigMap, ConfigMapBody, _V1, flat=True),
    ("discovery.k8s.io", "EndpointSlice"): KindEntry(EndpointSlice, EndpointSliceBody, _V1, flat=True),
    ("networking.k8s.io", "Ingress"): KindEntry(Ingress, IngressSpec, _BETA),
    ("extensions", "Ingress"): KindEntry(Ingress, IngressSpec, frozenset({"v1beta1"})),
    ("networking.k8s.io", "IngressClass"): KindEntry(IngressClass, IngressClassSpec, _BETA, cluster_wide=True),
    (GETAMBASSADOR, "Mapping"): KindEntry(Mapping, MappingSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "TCPMapping"): KindEntry(TCPMapping, TCPMappingSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "Host"): KindEntry(Host, HostSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "Listener"): KindEntry(Listener, ListenerSpec, LISTENER_VERSIONS),
    (GETAMBASSADOR, "TLSContext"): KindEntry(TLSContext, TLSContextSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "Module"): KindEntry(Module, ModuleSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "RateLimit"): KindEntry(RateLimit, RateLimitSpec, AMBASSADOR_VERSIONS | {"v1beta1", "v1beta2"}),
    (GETAMBASSADOR, "KubernetesServiceResolver"): KindEntry(
        KubernetesServiceResolver, ResolverSpec, AMBASSADOR_VERSIONS
    ),
    (GETAMBASSADOR, "KubernetesEndpointResolver"): KindEntry(
        KubernetesEndpointResolver, ResolverSpec, AMBASSADOR_VERSIONS
    ),
    (GETAMBASSADOR, "ConsulResolver"): KindEntry(ConsulResolver, ConsulResolverSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "AuthService"): KindEntry(AuthService, AuthServiceSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "RateLimitService"): KindEntry(RateLimitService, RateLimitServiceSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "TracingService"): KindEntry(TracingService, TracingServiceSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "LogService"): KindEntry(LogService, LogServiceSpec, AMBASSADOR_VERSIONS),
    (GETAMBASSADOR, "DevPortal"): KindEntry(DevPortal, DevPortalSpec, AMBASSADOR_VERSIONS),
}

KNOWN_KINDS: Final = frozenset(kind for _, kind in KINDS) | ACCEPTED_KINDS
