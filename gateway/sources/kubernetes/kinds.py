"""What is watched, and which objects of it.

Source of the rules for selectors: Emissary's ``cmd/entrypoint/interesting_types.go``: the label and the field selector
hold for every kind; endpoints of ``kube-system`` are left out always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.base.keys import kind_group
from gateway.kube.paths import ResourcePath
from gateway.kube.reflector import Selection
from gateway.resources.generic import ACCEPTED_KINDS
from gateway.resources.model import GETAMBASSADOR
from gateway.resources.registry import KINDS

if TYPE_CHECKING:
    from gateway.settings import KubernetesSettings

VERSIONS: Final = ("v3alpha1", "v2", "v1", "v1beta2", "v1beta1")
"""Versions of getambassador.io, the best one first. The older two are those of Edge Stack's kinds."""
_PLURALS: Final = {"FilterPolicy": "filterpolicies"}


@dataclass(frozen=True, slots=True)
class WatchedKind:
    """A kind that is listed and watched. Without a ``path`` the server is asked whether and where it has the kind."""

    kind: str
    group: str
    plural: str
    path: ResourcePath | None = None
    fields: str = ""
    """A field selector of its own."""
    optional: bool = False
    """Whether it says nothing about a cluster that the kind is not there, or may not be read."""
    guards: bool = False
    """Whether its objects protect others: without the right to read them nothing may be served."""
    essential: bool = False
    """Whether a cluster without its objects is served wrongly or not at all."""

    @property
    def kind_group(self) -> str:
        """As in :class:`gateway.base.keys.ObjectKey`."""
        return kind_group(self.kind, self.group)

    def required(self, settings: KubernetesSettings) -> bool:
        """Whether the gateway is not ready while it may not read the kind. A gateway for some namespaces may have been
        given only the rights that it needs there."""
        return self.guards or (self.essential and not settings.namespaces)

    @property
    def cluster_wide(self) -> bool:
        """Whether its objects have no namespace."""
        return self.path is not None and not self.path.namespaced

    def selections(self, settings: KubernetesSettings) -> tuple[Selection, ...]:
        """What has to be followed: one selection for all namespaces, or one for each that is configured."""
        if self.cluster_wide:
            return (Selection(labels=settings.label_selector),)
        fields = ",".join(text for text in (self.fields, settings.field_selector) if text)
        return tuple(Selection(name, settings.label_selector, fields) for name in settings.namespaces or ("",))


def _core(kind: str, group: str, plural: str, fields: str = "") -> WatchedKind:
    namespaced = not KINDS[group, kind].cluster_wide
    path = ResourcePath(group, "v1", plural, namespaced)
    return WatchedKind(kind, group, plural, path, fields, optional=not namespaced, essential=kind in _ESSENTIAL)


def _ambassador(kind: str) -> WatchedKind:
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return WatchedKind(
        kind,
        GETAMBASSADOR,
        plural,
        optional=kind in _SELDOM,
        guards=kind in _GUARDS,
        essential=kind in _ESSENTIAL,
    )


_SELDOM: Final = frozenset({"RateLimit", "Filter", "FilterPolicy", "DevPortal"})
"""Kinds of Edge Stack; Emissary does not install most of them."""

_GUARDS: Final = frozenset({"AuthService", "FilterPolicy", "Module"})
"""Authorisation, and the addresses that may be served."""

_ESSENTIAL: Final = frozenset(
    {"EndpointSlice", "Host", "Listener", "Mapping", "RateLimitService", "Service", "TLSContext"}
)
"""What traffic comes in by, on which terms, and where it goes."""

SECRETS: Final = _core("Secret", "", "secrets", "type!=helm.sh/release.v1")
"""Followed by name; releases of Helm, which nothing refers to, are most of the Secrets of many clusters."""
CONFIG_MAPS: Final = _core("ConfigMap", "", "configmaps")

CONTENT_KINDS: Final = (
    _core("Service", "", "services"),
    _core("EndpointSlice", "discovery.k8s.io", "endpointslices", "metadata.namespace!=kube-system"),
    _core("Ingress", "networking.k8s.io", "ingresses"),
    _core("IngressClass", "networking.k8s.io", "ingressclasses"),
    *(_ambassador(kind) for kind in sorted({kind for group, kind in KINDS if group == GETAMBASSADOR} | ACCEPTED_KINDS)),
)
"""Kinds that are read as a whole; Secrets and ConfigMaps are read where something refers to them."""
