"""The statuses of the three kinds that have one, and the merge patch from what an object says to what it shall say.

Fields are those of Emissary's CustomResourceDefinitions. Conditions (``metav1.Condition``) are for those that have room
for them: Emissary's own definitions drop them without an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

RawStatus: TypeAlias = dict[str, Any]
"""``status`` as JSON gives it, fields of others included."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``metav1.Condition`` without the time, which depends on what the object says now."""

    type: str
    holds: bool
    reason: str
    """One word in camel case, for programs."""
    message: str = ""
    generation: int | None = None
    """``metadata.generation`` of what was judged; ``None`` where that is not known."""


@dataclass(frozen=True, slots=True)
class MappingStatus:
    """``Running`` is served; ``Inactive`` is not, for a ``reason``."""

    state: Literal["Inactive", "Running"]
    reason: str = ""
    conditions: tuple[Condition, ...] = ()

    @property
    def faulty(self) -> bool:
        """Whether it says that something is wrong."""
        return self.state == "Inactive"


@dataclass(frozen=True, slots=True)
class HostStatus:
    """``Ready`` is served as written; ``Error`` is not, for a ``reason``. ``Other``: a certificate, not by ACME."""

    state: Literal["Ready", "Error"]
    certificate: Literal["None", "Other"]
    reason: str = ""
    conditions: tuple[Condition, ...] = ()

    @property
    def faulty(self) -> bool:
        """Whether it says that something is wrong."""
        return self.state == "Error"


@dataclass(frozen=True, slots=True)
class Address:
    """Where clients reach the gateway: an IP address or a name."""

    ip: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class IngressStatus:
    """The addresses of the load balancer in front of the gateway."""

    addresses: tuple[Address, ...]
    conditions: tuple[Condition, ...] = ()
    """None: an Ingress has no room for them."""

    @property
    def faulty(self) -> bool:
        """It cannot say that something is wrong."""
        return False


Wanted: TypeAlias = MappingStatus | HostStatus | IngressStatus


def merge_patch(wanted: Wanted, known: RawStatus, now: str, *, room: bool) -> RawStatus:
    """The merge patch (RFC 7396) of ``status``; empty when ``known`` says all of it.

    ``now``: RFC 3339, for what is new. ``room``: whether objects of the kind keep conditions; without it, conditions
    alone are no reason to write. Fields and conditions of others stay.
    """
    fields = _fields(wanted, known, now)
    patch = {name: value for name, value in fields.items() if (known.get(name) or None) != value}
    if wanted.conditions and (room or patch):
        before = known.get("conditions")
        before = before if isinstance(before, list) else []
        after = list(_merged(wanted.conditions, before, now))
        if after != before:
            patch["conditions"] = after
    return patch


def _fields(wanted: Wanted, known: RawStatus, now: str) -> RawStatus:
    """Our fields; ``None`` takes one away."""
    match wanted:
        case MappingStatus():
            return {"state": wanted.state, "reason": wanted.reason or None}
        case HostStatus():
            since = None
            if wanted.state == "Error":
                same = known.get("errorReason") == wanted.reason
                since = (known.get("errorTimestamp") if same else None) or now
            return {
                "state": wanted.state,
                "tlsCertificateSource": wanted.certificate,
                "errorReason": wanted.reason or None,
                "errorTimestamp": since,
                "errorBackoff": None,
            }
        case IngressStatus():
            balancer = known.get("loadBalancer")
            others = balancer if isinstance(balancer, dict) else {}
            listed = [_address(item) for item in wanted.addresses]
            said = [_without_ports(item) for item in others.get("ingress") or ()]
            return {} if said == listed else {"loadBalancer": {"ingress": listed or None}}


def _address(item: Address) -> RawStatus:
    return {"ip": item.ip} if item.ip else {"hostname": item.hostname}


def _without_ports(item: object) -> object:
    return {key: value for key, value in item.items() if key != "ports"} if isinstance(item, dict) else item


def _merged(wanted: Iterable[Condition], before: list[Any], now: str) -> Iterable[RawStatus]:
    """The list with our conditions in it, each at the place it had. A time changes with ``status`` only (API
    conventions, "Typical status properties")."""
    ours = {item.type: item for item in wanted}
    for entry in before:
        kind = entry.get("type") if isinstance(entry, dict) else None
        item = ours.pop(kind, None) if isinstance(kind, str) else None
        yield entry if item is None else _condition(item, entry, now)
    for item in ours.values():
        yield _condition(item, {}, now)


def _condition(item: Condition, before: RawStatus, now: str) -> RawStatus:
    status = "True" if item.holds else "False"
    kept = before.get("lastTransitionTime") if before.get("status") == status else None
    made: RawStatus = {
        "type": item.type,
        "status": status,
        "reason": item.reason,
        "message": item.message,
        "lastTransitionTime": kept or now,
    }
    if item.generation is not None:
        made["observedGeneration"] = item.generation
    return made
