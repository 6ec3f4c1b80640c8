"""Typed models of Kubernetes and getambassador.io objects, and the set that holds them."""

from gateway.resources.core import ConfigMap, EndpointSlice, Secret, SecretData, Service
from gateway.resources.generic import Generic
from gateway.resources.hosts import Host, KubernetesEndpointResolver, KubernetesServiceResolver, Listener, TLSContext
from gateway.resources.mapping import Mapping, MappingSpec
from gateway.resources.model import LabelSelector, Location, Metadata, Resource
from gateway.resources.module import Module, ModuleConfig
from gateway.resources.networking import Ingress, IngressClass
from gateway.resources.ratelimit import RateLimit
from gateway.resources.resource_set import Changes, ResourceSet, diff
from gateway.resources.tcp import TCPMapping

__all__ = [
    "Changes",
    "ConfigMap",
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
    "Mapping",
    "MappingSpec",
    "Metadata",
    "Module",
    "ModuleConfig",
    "RateLimit",
    "Resource",
    "ResourceSet",
    "Secret",
    "SecretData",
    "Service",
    "TCPMapping",
    "TLSContext",
    "diff",
]
