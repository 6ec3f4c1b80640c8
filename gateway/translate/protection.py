"""Fail closed: security objects that the gateway reads but cannot apply yet, and which routes they concern.

A route that such an object should guard answers 500 instead of being served without it (design rule 4). Redirects are
exempt from authentication, and so is ``bypass_auth``, as in Emissary (features.md 1.3, item 6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import ir
from gateway.base.globs import globs_intersect, is_glob
from gateway.resources import Generic

if TYPE_CHECKING:
    from gateway.diagnostics import Collector, Origin
    from gateway.resources import ResourceSet

NOT_APPLIED = "security-not-applied"
"""Code of the findings about routes that are refused."""
_SHOWN = 5
"""Objects that a finding names."""
REFUSAL = ir.DirectResponse(500, "This route is out of service: its configuration could not be applied.\n")


@dataclass(frozen=True, slots=True)
class GuardedPlace:
    """Host glob and path prefix of a FilterPolicy rule that names filters."""

    policy: str
    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Protection:
    """What must not be left out."""

    authentication: str = ""
    """Name of an AuthService, empty when there is none."""
    places: tuple[GuardedPlace, ...] = ()

    def refuses(self, hosts: str, path: str, *, exempt: bool) -> str:
        """Why a route for ``hosts`` (a glob) and paths that begin with ``path`` must not be served; empty if it may."""
        if self.authentication and not exempt:
            return _not_applied("AuthService", self.authentication)
        for place in self.places:
            if _share_names(place.host, hosts) and (path.startswith(place.path) or place.path.startswith(path)):
                return _not_applied("FilterPolicy", place.policy)
        return ""


def report_refused(resources: ResourceSet, found: Collector) -> None:
    """One error at each object that protects routes and cannot: how many are out of service, and how to go on."""
    refused: dict[str, set[Origin]] = {}
    for finding in found.of(NOT_APPLIED):
        refused.setdefault(finding.message.partition(";")[0], set()).add(finding.origin)
    if not refused:
        return
    guards = [
        (item.origin, _not_applied(item.kind, f"{item.namespace}/{item.name}"), _HINTS[item.kind])
        for item in resources.of(Generic)
        if item.kind in _HINTS
    ]
    for origin, reason, hint in guards:
        objects = sorted(refused.get(reason, ()))
        if objects:
            names = ", ".join(map(str, objects[:_SHOWN])) + (", …" if len(objects) > _SHOWN else "")
            message = f"cannot be applied yet: all routes under it are answered 500, those of {names}"
            found.error("routes-refused", message, origin, "", hint)


def _not_applied(kind: str, name: str) -> str:
    return f"{kind} {name} cannot be applied yet"


_HINTS = {
    "AuthService": "bypass_auth: true serves a Mapping without it; without this object nothing is authorised",
    "FilterPolicy": "without this object nothing is filtered",
}


def protection(resources: ResourceSet) -> Protection:
    """Look for objects that guard routes."""
    authentication = ""
    places: list[GuardedPlace] = []
    for item in resources.of(Generic):
        if item.kind == "AuthService":
            authentication = authentication or f"{item.namespace}/{item.name}"
        elif item.kind == "FilterPolicy":
            places.extend(_places(item))
    return Protection(authentication, tuple(places))


def _places(policy: Generic) -> list[GuardedPlace]:
    """Rules of a FilterPolicy with filters. What cannot be read counts as "everywhere"."""
    name = f"{policy.namespace}/{policy.name}"
    rules = policy.spec.get("rules")
    if not isinstance(rules, list | tuple):
        return [GuardedPlace(name, "*", "")] if rules else []
    places: list[GuardedPlace] = []
    for rule in rules:
        if not isinstance(rule, Map):
            places.append(GuardedPlace(name, "*", ""))
            continue
        if rule.get("filters"):
            places.append(GuardedPlace(name, _guarded_hosts(rule.get("host")), _guarded_paths(rule.get("path"))))
    return places


_META = re.compile(r"[*?\[{\\]")
"""Where a pattern of FilterPolicy stops to be literal: stars, one character, sets, alternatives, escapes."""


def _guarded_hosts(pattern: object) -> str:
    """A glob for at least the host names that a pattern of FilterPolicy matches. Virtual hosts have no ports."""
    host = pattern.partition(":")[0] if isinstance(pattern, str) else ""
    return host if is_glob(host) and not _META.search(host.strip("*")) else "*"


def _guarded_paths(pattern: object) -> str:
    """What all paths begin with that a pattern matches; empty where that is unknown."""
    path = _META.split(pattern, maxsplit=1)[0] if isinstance(pattern, str) else ""
    return path if path.startswith("/") else ""


def _share_names(guarded: str, hosts: str) -> bool:
    """Whether both cover some name. The star of a FilterPolicy may stand for nothing, that of a Host may not."""
    return globs_intersect(guarded, hosts) or globs_intersect(guarded.strip("*"), hosts)
