"""The order of routes inside a virtual host: one ranking for all dialects.

Source of the rules: Emissary's ``_route_weight`` (features.md 1.3, item 2): precedence, length of the prefix text,
length of header matches, length of query matches, then prefix, method and match keys as text; greater is first. An
exact path gets no bonus. For Ingress, Kubernetes says: longest path first, ``Exact`` before ``Prefix``. A Mapping goes
before an Ingress path of equal specificity.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway import ir

Rank: TypeAlias = tuple[int | str, ...]
"""Precedence, path length, header length, query length, dialect, exactness, path, method, match keys."""

MAPPING = 1
INGRESS = 0


@dataclass(frozen=True, slots=True, eq=False)
class RankedRoute:
    """A route and where it belongs among others."""

    rank: Rank
    route: ir.Route


@dataclass(frozen=True, slots=True)
class MatchText:
    """A header or query match as the ordering sees it; an empty ``value`` stands for "present"."""

    name: str
    value: str = ""
    regex: bool = False

    @property
    def length(self) -> int:
        """Emissary's length: name and value (``*`` for presence), one more for a regex."""
        return len(self.name) + len(self.value or "*") + self.regex

    @property
    def key(self) -> str:
        """The last tie-breaker."""
        return f"{self.name}-{self.value or '*'}"


def mapping_rank(
    precedence: int, prefix: str, method: str, headers: Iterable[MatchText], query: Iterable[MatchText]
) -> Rank:
    """The rank of a Mapping. ``headers`` contains ``:authority`` and ``:method`` where they are matched."""
    headers, query = tuple(headers), tuple(query)
    return (
        precedence,
        len(prefix),
        sum(item.length for item in headers),
        sum(item.length for item in query),
        MAPPING,
        0,
        prefix,
        method or "GET",
        *(item.key for item in headers),
        *(item.key for item in query),
    )


def ingress_rank(path: str, *, exact: bool) -> Rank:
    """The rank of a path of an Ingress."""
    return (0, len(path), 0, 0, INGRESS, int(exact), path, "GET")


BACKEND_RANK: Rank = (-sys.maxsize, -1, 0, 0, INGRESS, 0, "", "GET")
"""The rank of a default backend: after everything else, Mappings with a negative precedence among it."""


def in_order(routes: Iterable[RankedRoute]) -> tuple[ir.Route, ...]:
    """Routes in rank order, each once; of equal ranks the one that came first stays first."""
    ordered = sorted(routes, key=_rank_of, reverse=True)
    return tuple({item.route.name: item.route for item in ordered}.values())


def _rank_of(item: RankedRoute) -> Rank:
    return item.rank
