"""What the operator decides outside of manifests, as far as translation depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TranslateSettings:
    """Inputs of :func:`gateway.translate.translate` beside the objects. Nothing here is read from the environment."""

    http_port: int = 8080
    """Cleartext port when no Listener is there (Emissary's container port)."""
    https_port: int = 8443
    """TLS port when no Listener is there (Emissary's container port)."""
    bind_address: str = "0.0.0.0"  # noqa: S104 - an edge in a container is reached from outside
    """Address of listeners that name none."""
    ambassador_id: str = "default"
    """Id of this instance; objects of other ids were left out when they were read."""
    namespace: str = "default"
    """Namespace of the gateway itself: fallback certificate, Modules, ``name`` services of Modules."""
    ingress_classes: tuple[str, ...] = ("sluice",)
    """Class names that are ours even without an IngressClass object."""
    unclassified_ingress: bool = False
    """Take Ingresses without any class (folders of manifests; in a cluster an IngressClass marked default does it)."""
    strict_label_selectors: bool = True
    """Emissary's ``DISABLE_STRICT_LABEL_SELECTORS`` negated: hostname and selector must both match."""
    allow_unenforced_auth: bool = False
    """Serve Mappings under an AuthService without asking it, where they would be answered 500."""
    max_connections: int | None = None
    """Most open connections of each listener."""
    max_connections_per_address: int | None = None
    """Most open connections of one client address."""
    access_log: Literal["off", "json", "text"] = "off"
    """Access log unless the Module asks for one."""
    access_log_format: str = ""
    """Format of that access log; empty for the default one."""
