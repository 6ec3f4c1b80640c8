"""All statuses as they shall be, and which of them a new configuration changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.base.keys import ObjectKey, kind_group
from gateway.resources import Host, Ingress, Mapping, ResourceSet, diff
from gateway.status.judgement import host_status, mapping_status
from gateway.status.served import Served
from gateway.status.wanted import IngressStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Map

    from gateway import ir
    from gateway.diagnostics import Diagnostic
    from gateway.status.wanted import Address, Wanted

_GROUPS: Final = {kind.KIND: kind_group(kind.KIND, kind.GROUP) for kind in (Mapping, Host, Ingress)}
_MAPPING, _HOST = _GROUPS[Mapping.KIND], _GROUPS[Host.KIND]


class StatusTable:
    """Statuses of one gateway. Most objects say the same, so equal statuses are one object. One thread at a time."""

    __slots__ = ("_addresses", "_findings", "_known", "_resources", "_served", "_shared")

    def __init__(self) -> None:
        self._resources = ResourceSet()
        self._findings: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
        self._served = Served()
        self._addresses: tuple[Address, ...] = ()
        self._known: dict[ObjectKey, tuple[str, Wanted]] = {}
        """With the ``uid``: an object that was deleted and made again has an empty status."""
        self._shared: dict[Wanted, Wanted] = {}

    def update(
        self,
        model: ir.Gateway,
        resources: ResourceSet,
        findings: Iterable[Diagnostic],
        addresses: tuple[Address, ...],
    ) -> Map[ObjectKey, Wanted | None]:
        """What differs since the last call; ``None`` for objects that shall be forgotten."""
        changes = diff(self._resources, resources)
        touched = {item.key for item in (*changes.added, *changes.removed)}
        touched.update(newer.key for _, newer in changes.changed)
        found = _by_object(findings)
        touched.update(key for key in found.keys() | self._findings.keys() if found.get(key) != self._findings.get(key))
        for kind, namespace, name in self._served.update(model.virtual_hosts):
            if kind in _GROUPS:
                touched.add(ObjectKey(_GROUPS[kind], namespace, name))
        if addresses != self._addresses:
            touched.update(item.key for item in resources.of(Ingress))
        self._resources, self._findings, self._addresses = resources, found, addresses
        return self._apply(key for key in touched if key.kind_group in _GROUPS.values())

    def _apply(self, touched: Iterable[ObjectKey]) -> dict[ObjectKey, Wanted | None]:
        different: dict[ObjectKey, Wanted | None] = {}
        for key in touched:
            status = self._judge(key)
            before = self._known.get(key)
            if status is None:
                if before is not None:
                    del self._known[key]
                    different[key] = None
                continue
            resource = self._resources.by_key(key)
            uid = resource.metadata.uid if resource is not None else before[0] if before is not None else ""
            if before != (uid, status):
                shared = self._shared.setdefault(status, status)
                self._known[key] = (uid, shared)
                different[key] = shared
        if len(self._shared) > 2 * len(self._known) + 16:
            self._shared = {status: status for _, status in self._known.values()}
        return different

    def _judge(self, key: ObjectKey) -> Wanted | None:
        """The status of an object; ``None`` where we have nothing to say."""
        resource = self._resources.by_key(key)
        findings = self._findings.get(key, ())
        if resource is None and not any(item.severity == "error" for item in findings):
            return None
        if key.kind_group == _MAPPING:
            mapping = resource if isinstance(resource, Mapping) else None
            # A shadow has no route of its own.
            served = mapping is not None and (
                bool(mapping.spec.shadow) or (Mapping.KIND, key.namespace, key.name) in self._served
            )
            return mapping_status(mapping, findings, served=served)
        if key.kind_group == _HOST:
            return host_status(resource if isinstance(resource, Host) else None, findings)
        if self._addresses and (Ingress.KIND, key.namespace, key.name) in self._served:
            return IngressStatus(self._addresses)
        return None


def _by_object(findings: Iterable[Diagnostic]) -> dict[ObjectKey, tuple[Diagnostic, ...]]:
    """Errors and warnings about objects with a status, each list in order: errors first."""
    found: dict[ObjectKey, list[Diagnostic]] = {}
    for item in findings:
        group = _GROUPS.get(item.origin.kind)
        if group is not None and item.severity != "notice":
            found.setdefault(ObjectKey(group, item.origin.namespace, item.origin.name), []).append(item)
    return {key: tuple(sorted(items, key=_severity)) for key, items in found.items()}


def _severity(item: Diagnostic) -> bool:
    return item.severity != "error"
