"""Origins: the same facts in the words of the IR and of diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import ir

if TYPE_CHECKING:
    from gateway.diagnostics import Origin

GATEWAY = ir.Origin("Gateway", "", "sluice")
"""Origin of what no manifest asks for: default listeners, the default host."""


def ir_origin(origin: Origin) -> ir.Origin:
    """The origin of an IR object that ``origin`` declares."""
    return ir.Origin(origin.kind, origin.namespace, origin.name, origin.path)
