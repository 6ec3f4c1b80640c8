"""The 'Match' fields of a Mapping: what it matches, which canary group it belongs to, how it ranks.

Source of the rules: Emissary's ``irhttpmapping.py`` (features.md 1.2 "Match", 1.3 items 1 and 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import ir
from gateway.base.globs import is_glob
from gateway.translate.ranking import MatchText, Rank, mapping_rank

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Map

    from gateway.resources import LabelSelector, MappingSpec


class MatchError(ValueError):
    """A match that cannot be built; ``field`` names the culprit. Such a Mapping cannot be served at all."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """The outcome. ``hostname`` is the glob for the association with Hosts, ``None`` when the Mapping has none."""

    match: ir.RouteMatch
    hostname: str | None
    any_host: bool
    """``host_regex``: every Host is asked, because a regex cannot be compared with a glob."""
    group: str
    """Equal for Mappings of one canary group. Text, because its hash is computed once."""
    rank: Rank


def build_matching(spec: MappingSpec, labels: Map[str, str], selectors: Iterable[LabelSelector]) -> Matching:
    """Translate the match. Raises :class:`MatchError`."""
    headers: list[MatchText] = []
    host, host_regex, method, method_regex = "", False, spec.method, spec.method_regex
    present = frozenset(spec.v2_bool_headers)
    for name, value in sorted(spec.headers.items()):
        lowered = name.lower()
        if lowered == ":authority":
            host = value
        elif lowered == ":method":
            method, method_regex = method or value, method_regex if method else False
        elif lowered.startswith(":"):
            raise MatchError("spec.headers", f"the pseudo header {name} cannot be matched")
        else:
            headers.append(MatchText(name, "" if name in present else value))
    for name, value in sorted(spec.regex_headers.items()):
        lowered = name.lower()
        if lowered == ":authority":
            host, host_regex = value, True
        elif lowered.startswith(":"):
            raise MatchError("spec.regex_headers", f"the pseudo header {name} cannot be matched")
        else:
            headers.append(MatchText(name, value, regex=True))
    if spec.host:
        host, host_regex = spec.host, spec.host_regex
    if spec.hostname:
        host, host_regex = spec.hostname, False
    host = host if host_regex else bare_host(host)
    _check_host(spec, host, regex=host_regex)
    queries = _queries(spec)

    texts = list(headers)
    if host:
        texts.append(MatchText(":authority", host, host_regex))
    if method:
        texts.append(MatchText(":method", method, method_regex))
    return Matching(
        match=ir.RouteMatch(
            path=_path(spec),
            method=ir.StringMatch("regex" if method_regex else "exact", method) if method else None,
            authority=_authority(host, regex=host_regex),
            headers=tuple(_named(item) for item in headers),
            query=tuple(_named(item) for item in queries),
        ),
        hostname=host if host and not host_regex else None,
        any_host=bool(host) and host_regex,
        group=repr(
            (
                method or "GET",
                spec.prefix,
                tuple((item.name, item.value, item.regex) for item in texts),
                tuple((item.name, item.value, item.regex) for item in queries),
                () if host and not host_regex else _selected_labels(labels, selectors),
                spec.precedence,
            )
        ),
        rank=mapping_rank(spec.precedence, spec.prefix, method, texts, queries),
    )


def bare_host(host: str) -> str:
    """A host name in lower case without ``:port``: virtual hosts are compared without the port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() and not name.endswith(":") else host).lower()


def _check_host(spec: MappingSpec, host: str, *, regex: bool) -> None:
    if not host or regex or host == "*":
        return
    if spec.hostname:
        if not is_glob(host):
            raise MatchError("spec.hostname", f"{spec.hostname!r} is no DNS glob: one * at the start or at the end")
    elif "*" in host:
        raise MatchError("spec.host", f"the exact host {host!r} contains *, which cannot match anything")


def _path(spec: MappingSpec) -> ir.PathMatch:
    if spec.prefix_regex:
        return ir.PathMatch("regex", spec.prefix)
    return ir.PathMatch("exact" if spec.prefix_exact else "prefix", spec.prefix, spec.case_sensitive is False)


def _authority(host: str, *, regex: bool) -> ir.StringMatch | None:
    if not host or host == "*":
        return None
    if regex:
        return ir.StringMatch("regex", host)
    if host.startswith("*"):
        return ir.StringMatch("suffix", host[1:])
    if host.endswith("*"):
        return ir.StringMatch("prefix", host[:-1])
    return ir.StringMatch("exact", host)


def _queries(spec: MappingSpec) -> list[MatchText]:
    present = frozenset(spec.v2_bool_query_parameters)
    plain = [MatchText(n, "" if n in present else v) for n, v in sorted(spec.query_parameters.items())]
    return plain + [MatchText(name, value, regex=True) for name, value in sorted(spec.regex_query_parameters.items())]


def _named(item: MatchText) -> ir.NamedMatch:
    if item.regex:
        return ir.NamedMatch(item.name, ir.StringMatch("regex", item.value))
    return ir.NamedMatch(item.name, ir.StringMatch("exact", item.value) if item.value else ir.StringMatch("present"))


def _selected_labels(labels: Map[str, str], selectors: Iterable[LabelSelector]) -> tuple[tuple[str, str], ...]:
    """Labels by which Hosts select this Mapping: Mappings for different Hosts are no canaries of each other."""
    if not labels:
        return ()
    chosen: dict[str, str] = {}
    for selector in selectors:
        if not selector.is_empty and selector.matches(labels):
            chosen.update(selector.match_labels)
            chosen.update({item.key: labels[item.key] for item in selector.match_expressions if item.key in labels})
    return tuple(sorted(chosen.items()))
