"""Canary groups: Mappings with the same match become one route with several choices.

Source of the rules: Emissary's ``irhttpmappinggroup.py`` (features.md 1.3, items 1 and 4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway import ir
from gateway.diagnostics import Collector, Diagnostic
from gateway.translate.acme import is_acme
from gateway.translate.ambassador.weights import WeightError, shares
from gateway.translate.origins import ir_origin
from gateway.translate.protection import REFUSAL
from gateway.translate.ranking import RankedRoute

if TYPE_CHECKING:
    from collections.abc import Mapping as Map
    from collections.abc import Sequence

    from gateway.translate.ambassador.members import Member
    from gateway.translate.clusters import ClusterResult


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A group with its route (``None``: nothing to serve) and what decides which Hosts take it."""

    route: RankedRoute | None
    origin: ir.Origin
    hostname: str | None
    any_host: bool
    labels: Map[str, str]
    findings: tuple[Diagnostic, ...] = ()


def build_group(members: Sequence[Member], clusters: Map[str, ClusterResult]) -> Group:
    """Make one route of the members, which come in the order of namespace and name. ``clusters`` is by member name."""
    found = Collector()
    first = members[0]
    accepted = _agreeing(members, found)
    serving, shadow = _roles(accepted, found)
    for member in accepted:
        if (result := clusters.get(member.name)) is not None:
            found.extend(_locate(item, member) for item in result.findings)
    route: ir.Route | None = None
    if serving:
        route = _route(serving, shadow, clusters, found)
    elif shadow is not None:
        found.warning(
            "shadow-alone", "there is no Mapping whose traffic could be mirrored", shadow.origin, "spec.shadow"
        )
    labels = first.labels
    if len(accepted) > 1:
        labels = {key: value for member in accepted for key, value in member.labels.items()}
    return Group(
        RankedRoute(max(member.matching.rank for member in serving), route) if route is not None else None,
        ir_origin(first.origin),
        first.matching.hostname,
        first.matching.any_host,
        labels,
        found.sorted(),
    )


def _agreeing(members: Sequence[Member], found: Collector) -> list[Member]:
    """Members that set nothing otherwise than the first one; a later member may leave a setting out."""
    first = members[0]
    accepted = [first]
    for member in members[1:]:
        wrong = [name for name, value in member.agree.items() if first.agree.get(name) != value]
        if wrong:
            found.error(
                "group-mismatch",
                f"{', '.join(sorted(wrong))} must be the same as in {first.origin}, which matches the same requests; "
                "the Mapping is not served",
                member.origin,
                f"spec.{min(wrong)}",
            )
        else:
            accepted.append(member)
    return accepted


def _roles(members: Sequence[Member], found: Collector) -> tuple[list[Member], Member | None]:
    """The serving members and the shadow. A redirect stands alone; there is one shadow."""
    serving: list[Member] = []
    shadow: Member | None = None
    for member in members:
        if member.role == "shadow":
            if shadow is not None:
                found.error("second-shadow", f"{shadow.origin} is the shadow already", member.origin, "spec.shadow")
            else:
                shadow = member
        elif serving and "redirect" in (serving[0].role, member.role):
            found.error(
                "redirect-in-group",
                f"a host_redirect cannot share its match with another Mapping ({serving[0].origin})",
                member.origin,
                "spec.host_redirect",
            )
        else:
            serving.append(member)
    return serving, shadow


def _route(
    serving: Sequence[Member], shadow: Member | None, clusters: Map[str, ClusterResult], found: Collector
) -> ir.Route | None:
    try:
        parts = shares([member.weight for member in serving])
    except WeightError as error:
        for member in serving:
            found.error("group-weights", f"{error}; none of its Mappings is served", member.origin, "spec.weight")
        return None
    choices = tuple(_choice(serving[index], share, clusters, found) for index, share in parts)
    first = serving[0]
    last_cors = next((member.cors for member in reversed(serving) if member.cors is not None), None)
    last_upgrades = next((member.upgrades for member in reversed(serving) if member.upgrades), ())
    last_errors = next((member.error_overrides for member in reversed(serving) if member.error_overrides), ())
    return ir.Route(
        name=first.name,
        origin=ir_origin(first.origin),
        match=first.matching.match,
        choices=choices,
        shadows=_shadows(shadow, choices, clusters, found),
        cors=last_cors,
        limits=first.limits,
        upgrades=last_upgrades,
        bypass_auth=all(member.bypass_auth for member in serving),
        insecure_exempt=is_acme(first.matching.match.path),
        error_overrides=last_errors,
        bypass_error_overrides=all(member.bypass_error_overrides for member in serving),
    )


def _choice(member: Member, share: int, clusters: Map[str, ClusterResult], found: Collector) -> ir.Choice:
    result = clusters.get(member.name)
    if result is not None and result.failure:
        found.error("upstream-tls", f"{result.failure}; requests are answered 500", member.origin, "spec.tls")
        return ir.Choice(float(share), member.choice.origin, direct=REFUSAL)
    return member.choice if share == member.choice.weight else replace(member.choice, weight=float(share))


def _shadows(
    shadow: Member | None, choices: Sequence[ir.Choice], clusters: Map[str, ClusterResult], found: Collector
) -> tuple[ir.Shadow, ...]:
    """Envoy mirrors the request as the primary route has rewritten it, unless the shadow says otherwise."""
    if shadow is None or shadow.choice.forward is None or shadow.cluster is None:
        return ()
    if clusters[shadow.name].failure:
        found.error("upstream-tls", f"{clusters[shadow.name].failure}; nothing is mirrored", shadow.origin, "spec.tls")
        return ()
    own = shadow.choice.forward
    primary = next((choice.forward for choice in choices if choice.forward is not None), own)
    return (
        ir.Shadow(
            shadow.cluster.name,
            float(100 if shadow.weight is None else shadow.weight),
            own.path_rewrite if shadow.explicit_rewrite else primary.path_rewrite,
            own.host_rewrite or primary.host_rewrite,
        ),
    )


def _locate(finding: Diagnostic, member: Member) -> Diagnostic:
    return replace(finding, origin=member.origin)
