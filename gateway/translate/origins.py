"""Origins: the same facts in the words of the IR and of diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import ir
from gateway.base.keys import ObjectKey, kind_group
from gateway.resources.generic import ACCEPTED_KINDS
from gateway.resources.model import GETAMBASSADOR
from gateway.resources.registry import KINDS

if TYPE_CHECKING:
    from gateway.diagnostics import Origin
    from gateway.resources import ResourceSet

GATEWAY = ir.Origin("Gateway", "", "sluice")
"""Origin of what no manifest asks for: default listeners, the default host."""


def ir_origin(origin: Origin) -> ir.Origin:
    """The origin of an IR object that ``origin`` declares."""
    return ir.Origin(origin.kind, origin.namespace, origin.name, origin.path)


# By the model, which has one group where manifests may have several (Ingress).
_GROUPS = {entry.model.KIND: kind_group(entry.model.KIND, entry.model.GROUP) for entry in KINDS.values()} | {
    kind: kind_group(kind, GETAMBASSADOR) for kind in ACCEPTED_KINDS
}


def line_of(origin: Origin, resources: ResourceSet) -> int:
    """The line of an object in its file; 0 when it is not known."""
    group = _GROUPS.get(origin.kind)
    return 0 if group is None else resources.location(ObjectKey(group, origin.namespace, origin.name)).line
