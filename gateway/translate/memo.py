"""The memory between passes. It only saves work: with it or without it the result is the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.translate.ambassador import AmbassadorMemo
from gateway.translate.ingress import IngressMemo
from gateway.translate.virtualhosts import VirtualHostMemo

if TYPE_CHECKING:
    from gateway import ir
    from gateway.diagnostics import Diagnostic
    from gateway.resources import Secret
    from gateway.translate.clusters import ClusterResult


@dataclass(frozen=True, slots=True)
class Served:
    """The clusters that served routes use, and their certificates. ``wanted``: names, one set per virtual host,
    and one for all TCP routes."""

    wanted: tuple[frozenset[str], ...] = ()
    clusters: tuple[ir.Cluster, ...] = ()
    certificates: tuple[ir.Certificate, ...] = ()


@dataclass(slots=True)
class Memo:
    """Hand the same memo to successive calls of :func:`gateway.translate.translate`; never to two at a time."""

    ambassador: AmbassadorMemo = field(default_factory=AmbassadorMemo)
    ingress: IngressMemo = field(default_factory=IngressMemo)
    world: tuple[object, ...] = ()
    clusters: dict[str, ClusterResult] = field(default_factory=dict)
    served: Served = Served()
    certificates: dict[str, tuple[Secret, ir.Certificate]] = field(default_factory=dict)
    hosts: VirtualHostMemo = field(default_factory=VirtualHostMemo)
    gateway: ir.Gateway | None = None
    located: dict[int, tuple[Diagnostic, Diagnostic]] = field(default_factory=dict)
    """Findings without and with their lines, by ``id`` of the former."""
