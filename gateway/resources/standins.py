"""What counts for an object that cannot be read, where its absence would open something that it closes."""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from typing import TYPE_CHECKING

import msgspec

from gateway.resources.auth import closed_auth_service
from gateway.resources.generic import Generic
from gateway.resources.hosts import Host, HostSpec, TLSContext, TLSContextSpec
from gateway.resources.model import Metadata
from gateway.resources.module import MODULE_NAME, closed_module, restricts_addresses
from gateway.resources.rules import hostname_problems

if TYPE_CHECKING:
    from gateway.diagnostics import Origin
    from gateway.resources.model import Resource

UNKNOWN_HOST = "unreadable.invalid"
"""Domain of a Host whose hostname cannot be read; nobody has it (RFC 6761, section 6.4)."""


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
        case "Host":
            return Host(metadata=metadata, origin=origin, spec=HostSpec(hostname=_hostname(raw)), refused=True)
        case "TLSContext":
            return TLSContext(metadata=metadata, origin=origin, spec=TLSContextSpec(hosts=_hosts(raw)), refused=True)
    return None


def guesses(text: str, parent: Metadata, origin: Origin) -> list[Resource]:
    """Stand-ins for what an annotation may declare whose ``text`` cannot be read: for each protection that it mentions.

    They are in the place of what the annotation declares, so an object of the API wins over one of the same name.
    """
    found: list[Resource] = []
    name = f"in-annotation-of-{origin.kind.lower()}-{parent.name}"
    metadata = Metadata(name=name, namespace=parent.namespace, labels=parent.labels)
    for kind, pattern in _MENTIONED.items():
        closed = stand_in(kind, metadata, origin, {}) if pattern.search(text) else None
        if closed is not None:
            found.append(closed)
    if re.search(r"\bModule\b", text) and re.search(r"\bip_(?:allow|deny)\b", text):
        found.append(closed_module(msgspec.structs.replace(metadata, name=MODULE_NAME), origin))
    # Which of the names is that of the TLSContext cannot be told.
    contexts = [document for document in re.split(r"(?m)^---", text) if re.search(r"\bTLSContext\b", document)]
    names = {one for document in contexts for one in re.findall(r"\bname\W+([\w.-]{1,253})", document)}
    places = [msgspec.structs.replace(metadata, name=one) for one in sorted(names)]
    found.extend(TLSContext(metadata=place, origin=origin, refused=True) for place in places)
    return found


_MENTIONED = {
    "AuthService": re.compile(r"\bAuthService\b"),
    "FilterPolicy": re.compile(r"\bFilterPolicy\b"),
    # The word alone stands in many texts: it is a header, too.
    "Host": re.compile(r"\bkind\W+Host\b"),
}


def _hostname(raw: Map[str, object]) -> str:
    """The hostname of a refused Host. One that cannot be read closes no domain, but it is a Host: the one that exists
    when there is none would serve everything in cleartext."""
    spec = raw.get("spec")
    if not isinstance(spec, Map):
        return UNKNOWN_HOST
    hostname = spec.get("hostname", "*") or "*"
    if not isinstance(hostname, str) or any(hostname_problems(hostname, "")):
        return UNKNOWN_HOST
    return hostname


def _hosts(raw: Map[str, object]) -> tuple[str, ...]:
    """The hosts of a refused TLSContext, as far as they can be told."""
    spec = raw.get("spec")
    hosts = spec.get("hosts") if isinstance(spec, Map) else None
    return tuple(host for host in hosts if isinstance(host, str)) if isinstance(hosts, list) else ()
