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
from gateway.resources import AuthService, Generic, RateLimit, RateLimitService

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.diagnostics import Collector, Origin
    from gateway.resources import ResourceSet
    from gateway.resources.model import Resource
    from gateway.translate.settings import TranslateSettings

NOT_APPLIED = "security-not-applied"
"""Code of the findings about routes that are refused."""
AUTHENTICATION_MODULE = "authentication"
"""Name of the Module that Emissary takes for an AuthService."""
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
    """What guards every route: ``AuthService NAMESPACE/NAME``; empty where nothing does."""
    places: tuple[GuardedPlace, ...] = ()
    limiters: tuple[tuple[str, str], ...] = ()
    """Label domains whose limiter must be asked before a request passes, and the RateLimitService that says so."""

    def refuses(self, hosts: str, path: str, *, exempt: bool, domains: Iterable[str] = ()) -> str:
        """Why a route for ``hosts`` (a glob) and paths that begin with ``path`` must not be served; empty if it may.

        ``domains``: those in which the requests of the route have labels.
        """
        if self.authentication and not exempt:
            return _not_applied(self.authentication)
        for place in self.places:
            if _share_names(place.host, hosts) and (path.startswith(place.path) or place.path.startswith(path)):
                return _not_applied(f"FilterPolicy {place.policy}")
        for domain, limiter in self.limiters:
            if domain in domains:
                return _not_applied(limiter)
        return ""


def protection(resources: ResourceSet, settings: TranslateSettings, default_domain: str) -> Protection:
    """Look for objects that guard routes. ``default_domain``: that of RateLimitServices that name none."""
    authentication = next(authenticators(resources), None)
    return Protection(
        _named(authentication) if authentication is not None and not settings.allow_unenforced_auth else "",
        tuple(place for item in resources.of(Generic) if item.kind == "FilterPolicy" for place in _places(item)),
        tuple((domain, _named(item)) for item, domain in _denying_limiters(resources, default_domain)),
    )


def report_refused(resources: ResourceSet, default_domain: str, found: Collector) -> None:
    """One error at each object that protects routes and cannot: how many are out of service, and how to go on."""
    refused: dict[str, set[Origin]] = {}
    for finding in found.of(NOT_APPLIED):
        refused.setdefault(finding.message.partition(";")[0], set()).add(finding.origin)
    if not refused:
        return
    for guard, hint in _guards(resources, default_domain):
        objects = sorted(refused.get(_not_applied(_named(guard)), ()))
        if objects:
            names = ", ".join(map(str, objects[:_SHOWN])) + (", …" if len(objects) > _SHOWN else "")
            message = f"cannot be applied yet: all routes under it are answered 500, those of {names}"
            found.error("routes-refused", message, guard.origin, "", hint)


def _guards(resources: ResourceSet, default_domain: str) -> Iterator[tuple[Resource, str]]:
    for item in authenticators(resources):
        yield (
            item,
            "bypass_auth: true serves a Mapping without it; --allow-unenforced-auth serves all of them without it",
        )
    for policy in resources.of(Generic):
        if policy.kind == "FilterPolicy":
            yield policy, "without this object nothing is filtered"
    for limiter, _ in _denying_limiters(resources, default_domain):
        yield limiter, "failure_mode_deny: false serves them without it; RateLimits of its domain are enforced"


def authenticators(resources: ResourceSet) -> Iterator[Resource]:
    """AuthServices, and the Module ``authentication`` that came before them."""
    yield from resources.of(AuthService)
    for item in resources.of(Generic):
        if item.kind == "Module" and item.name == AUTHENTICATION_MODULE:
            yield item


def _denying_limiters(resources: ResourceSet, default_domain: str) -> Iterator[tuple[RateLimitService, str]]:
    """RateLimitServices that want requests refused when they cannot be asked, and their label domains.

    Where RateLimits declare the limits of a domain, the gateway itself is its limiter.
    """
    own = {item.spec.domain for item in resources.of(RateLimit)}
    for item in resources.of(RateLimitService):
        domain = item.spec.domain or default_domain
        if item.spec.failure_mode_deny and domain not in own:
            yield item, domain


def _named(item: Resource) -> str:
    return f"{item.kind} {item.namespace}/{item.name}"


def _not_applied(guard: str) -> str:
    return f"{guard} cannot be applied yet"


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
