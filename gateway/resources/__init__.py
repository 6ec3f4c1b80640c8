"""Typed models of Kubernetes and getambassador.io objects, and the set that holds them."""

from gateway.resources.auth import AuthService
from gateway.resources.core import ConfigMap, EndpointSlice, Secret, SecretData, Service
from gateway.resources.generic import Generic
from gateway.resources.hosts import (
    ConsulResolver,
    Host,
    KubernetesEndpointResolver,
    KubernetesServiceResolver,
    Listener,
    TLSContext,
)
from gateway.resources.mapping import Mapping, MappingSpec
from gateway.resources.model import LabelSelector, Location, Metadata, Resource
from gateway.resources.module import Module, ModuleConfig
from gateway.resources.networking import Ingress, IngressClass
from gateway.resources.portal import DevPortal
from gateway.resources.ratelimit import RateLimit, RateLimitService
from gateway.resources.resource_set import Changes, ResourceSet, diff
from gateway.resources.tcp import TCPMapping
from gateway.resources.telemetry import LogService, TracingService

__all__ = [
    "AuthService",
    "Changes",
    "ConfigMap",
    "ConsulResolver",
    "DevPortal",
    "EndpointSlice",
    "Generic",
    "Host",
    "Ingress",
    "IngressClass",
    "KubernetesEndpointResolver",
    "KubernetesServiceResolver",
    "LabelSelector",
    "Listener",
    "Location",
    "LogService",
    "Mapping",
    "MappingSpec",
    "Metadata",
    "Module",
    "ModuleConfig",
    "RateLimit",
    "RateLimitService",
    "Resource",
    "ResourceSet",
    "Secret",
    "SecretData",
    "Service",
    "TCPMapping",
    "TLSContext",
    "TracingService",
    "diff",
]
