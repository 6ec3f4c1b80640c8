"""What the translation of one Mapping depends on beside the Mapping itself.

The context is compared between passes: as long as it is equal, an unchanged Mapping keeps its translation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.resources import (
    KubernetesEndpointResolver,
    KubernetesServiceResolver,
    LabelSelector,
    Module,
    ModuleConfig,
    RateLimit,
)
from gateway.translate.ambassador.consul import consul_places
from gateway.translate.ambassador.ratelimits import LimitIndex, index_limits

if TYPE_CHECKING:
    from gateway.resources import ResourceSet
    from gateway.resources.consul import ConsulPlace
    from gateway.translate.protection import Protection
    from gateway.translate.settings import TranslateSettings

ENDPOINT_RESOLVERS = frozenset({"endpoint", "kubernetes-endpoint"})
"""Names that exist without an object: Emissary treats them as aliases."""
SERVICE_RESOLVER = "kubernetes-service"


@dataclass(frozen=True, slots=True, eq=False)
class MappingContext:
    """The surroundings of all Mappings. ``signature`` is equal when everything else is."""

    signature: tuple[object, ...]
    settings: TranslateSettings
    module: ModuleConfig
    resolvers: dict[str, bool]
    """Resolver name to "balances over endpoints"."""
    consul: dict[str, ConsulPlace]
    """Name of a ConsulResolver to where it asks."""
    selectors: tuple[LabelSelector, ...]
    """``mappingSelector`` of all Hosts: their labels are part of the canary group of Mappings without a host."""
    limits: LimitIndex
    protection: Protection


def known_resolvers(resources: ResourceSet) -> dict[str, bool]:
    """Resolver name to "balances over endpoints"."""
    resolvers = {SERVICE_RESOLVER: False, **dict.fromkeys(ENDPOINT_RESOLVERS, True)}
    resolvers.update((item.name, False) for item in resources.of(KubernetesServiceResolver))
    resolvers.update((item.name, True) for item in resources.of(KubernetesEndpointResolver))
    return resolvers


def mapping_context(
    resources: ResourceSet,
    settings: TranslateSettings,
    module: Module | None,
    selectors: tuple[LabelSelector, ...],
    guard: Protection,
) -> MappingContext:
    """Collect the surroundings."""
    config = module.spec.config if module is not None else ModuleConfig()
    resolvers = known_resolvers(resources)
    consul = consul_places(resources)
    signature = (settings, module, selectors, resolvers, consul, resources.of(RateLimit), guard)
    return MappingContext(
        signature,
        settings,
        config,
        resolvers,
        consul,
        selectors,
        index_limits(resources.of(RateLimit)),
        guard,
    )
