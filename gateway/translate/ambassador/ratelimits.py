"""Rate-limit labels of Mappings, bound to the RateLimit objects that match them.

Source of the rules: "Rate limiting reference" and "Basic rate limiting" of the Ambassador Edge Stack documentation
(v3.8). A limit matches a label group that starts with its pattern, in order; an empty value or ``*`` matches any value
and splits the bucket by it; the longest pattern that matches a group wins; limits of several groups all apply.
A header that is absent drops its whole group. Which pattern is the longest is decided here for constants; where it
depends on the request, every limit whose values match applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway import ir
from gateway.resources.ratelimit import Limit
from gateway.resources.schema import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Mapping as Map

    from gateway.diagnostics import Collector, Origin
    from gateway.resources import ModuleConfig, RateLimit
    from gateway.resources.policy import LabelSpecifier

_ANY = frozenset({"", "*"})
_WITHOUT_EFFECT = ("error_response", "inject_request_headers", "inject_response_headers")
_ENCODED = dict(zip(Limit.__struct_fields__, Limit.__struct_encode_fields__, strict=True))


class LabelError(ValueError):
    """Labels or limits that cannot be applied; the Mapping must not be served without them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One descriptor entry. ``value`` is the constant, or the name of the header."""

    key: str
    source: Literal["generic", "header", "remote_address"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class IndexedLimit:
    """A limit with its unique name."""

    name: str
    limit: Limit


@dataclass(frozen=True, slots=True)
class LimitIndex:
    """Limits by domain, longest pattern first."""

    by_domain: dict[str, tuple[IndexedLimit, ...]]


def index_limits(objects: Iterable[RateLimit]) -> LimitIndex:
    """Collect the limits of all RateLimit objects. Names are made unique by namespace and object."""
    domains: dict[str, list[IndexedLimit]] = {}
    for item in objects:
        seen: set[str] = set()
        for index, limit in enumerate(item.spec.limits):
            own = limit.name if limit.name and limit.name not in seen else str(index)
            seen.add(own)
            name = f"{item.namespace}/{item.name}/{own}"
            domains.setdefault(item.spec.domain, []).append(IndexedLimit(name, limit))
    return LimitIndex(
        {domain: tuple(sorted(limits, key=lambda item: -len(item.limit.pattern))) for domain, limits in domains.items()}
    )


def bind_limits(
    labels: Map[str, tuple[Map[str, tuple[LabelSpecifier, ...]], ...]],
    module: ModuleConfig,
    limits: LimitIndex,
    *,
    cluster: str,
    instance: str,
) -> tuple[ir.RouteLimit, ...]:
    """The limits of one Mapping. ``cluster`` and ``instance`` stand for Envoy's destination and source cluster.

    Labels of the Module are put before those of each group; where a Mapping has none for a domain, they are a group of
    their own. Raises :class:`LabelError`.
    """
    bound: dict[ir.RouteLimit, None] = {}
    for domain in sorted({*labels, *module.default_labels}):
        candidates = limits.by_domain.get(domain, ())
        for group in _groups(labels, module, domain):
            entries = [_entry(specifier, cluster, instance) for specifier in group]
            bound.update(dict.fromkeys(_matching(entries, candidates)))
    return tuple(bound)


def report_limits(objects: Iterable[RateLimit], found: Collector) -> None:
    """Say which parts of limits do nothing."""
    for item in objects:
        for index, limit in enumerate(item.spec.limits):
            for name in _WITHOUT_EFFECT:
                if getattr(limit, name):
                    field = f"spec.limits[{index}].{_ENCODED[name]}"
                    found.notice("field-unused", "is accepted and has no effect yet", item.origin, field)


def report_labels(
    labels: Map[str, tuple[Map[str, tuple[LabelSpecifier, ...]], ...]], origin: Origin, found: Collector
) -> None:
    """Warn of headers that may be absent: without such a header no limit of its group applies."""
    for domain, groups in labels.items():
        for index, group in enumerate(groups):
            for name, specifiers in group.items():
                for place, item in enumerate(specifiers):
                    if item.request_headers is not None and item.request_headers.omit_if_not_present:
                        field = f"{join(join('spec.labels', domain) + f'[{index}]', name)}[{place}].request_headers"
                        message = (
                            "is not followed yet: a request without the header is counted by no limit of the group"
                        )
                        found.warning("field-unused", message, origin, f"{field}.omit_if_not_present")


def _groups(
    labels: Map[str, tuple[Map[str, tuple[LabelSpecifier, ...]], ...]], module: ModuleConfig, domain: str
) -> list[tuple[LabelSpecifier, ...]]:
    defaults = module.default_labels[domain].defaults if domain in module.default_labels else ()
    groups: list[tuple[LabelSpecifier, ...]] = []
    for group in labels.get(domain, ()):
        if len(group) != 1:
            raise LabelError(f"a label group of domain {domain!r} has {len(group)} names instead of one")
        groups.extend((*defaults, *specifiers) for specifiers in group.values())
    if not groups and defaults:
        groups.append(defaults)
    return groups


def _entry(specifier: LabelSpecifier, cluster: str, instance: str) -> Entry:
    entries: list[Entry] = []
    if specifier.source_cluster is not None:
        entries.append(Entry("source_cluster", "generic", instance))
    if specifier.destination_cluster is not None:
        entries.append(Entry("destination_cluster", "generic", cluster))
    if specifier.remote_address is not None:
        entries.append(Entry("remote_address", "remote_address"))
    if (header := specifier.request_headers) is not None:
        entries.append(Entry(header.key, "header", header.header_name.lower()))
    if (generic := specifier.generic_key) is not None:
        entries.append(Entry(generic.key or "generic_key", "generic", generic.value))
    if len(entries) != 1:
        raise LabelError(f"a label specifier has {len(entries)} kinds instead of exactly one")
    return entries[0]


def _matching(entries: Sequence[Entry], candidates: Iterable[IndexedLimit]) -> list[ir.RouteLimit]:
    """Limits of one group, longest pattern first. One that matches whatever the request says hides shorter ones."""
    bound: list[ir.RouteLimit] = []
    certain = 0
    for item in candidates:
        size = len(item.limit.pattern)
        if size < certain:
            break
        keys = _match(entries, item.limit.pattern)
        if keys is None:
            continue
        bound.append(_route_limit(item, keys))
        if all(key.expected is None for key in keys):
            certain = max(certain, size)
    return bound


def _match(entries: Sequence[Entry], pattern: Sequence[Map[str, str]]) -> tuple[ir.LimitKey, ...] | None:
    if not pattern or len(pattern) > len(entries):
        return None
    keys: list[ir.LimitKey] = []
    for entry, wanted in zip(entries, pattern, strict=False):
        value = wanted.get(entry.key)
        if value is None:
            return None
        if entry.source == "generic":
            if value not in _ANY and value != entry.value:
                return None
            keys.append(ir.LimitKey("generic", f"{entry.key}={entry.value}"))
        else:
            keys.append(ir.LimitKey(entry.source, entry.value, None if value in _ANY else value))
    return tuple(keys)


def _route_limit(item: IndexedLimit, keys: tuple[ir.LimitKey, ...]) -> ir.RouteLimit:
    limit = item.limit
    if limit.rate == 0:
        raise LabelError(f"limit {item.name} has a rate of 0")
    return ir.RouteLimit(
        name=item.name,
        rate=limit.rate,
        period_ms=limit.period_ms,
        burst=limit.rate * (limit.burst_factor or 1),
        keys=keys,
        dry_run=limit.action == "LogOnly",
    )
