"""What counts for an object that cannot be read, where its absence would open something that it closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.resources.auth import closed_auth_service
from gateway.resources.generic import Generic
from gateway.resources.module import closed_module, restricts_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateway.diagnostics import Origin
    from gateway.resources.model import Metadata, Resource


def stand_in(kind: str, metadata: Metadata, origin: Origin, raw: Map[str, object]) -> Resource | None:
    """The stand-in for a refused object of getambassador.io; ``None`` where leaving it out is safe."""
    match kind:
        case "AuthService":
            return closed_auth_service(metadata, origin)
        case "FilterPolicy":
            # Rules that cannot be read count for every host and path.
            return Generic(metadata=metadata, origin=origin, generic_kind=kind, spec={"rules": "unreadable"})
        case "Module" if restricts_addresses(raw):
            return closed_module(metadata, origin)
    return None
