"""Where objects come from, and what a request is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was declared, so that every diagnostic can name it."""

    kind: str
    namespace: str
    name: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class StringMatch:
    """How one string is compared. A regex must match the whole value (RE2 syntax, linear time)."""

    kind: Literal["exact", "prefix", "suffix", "regex", "present"]
    value: str = ""
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class PathMatch:
    """Path comparison on the normalised path without its query.

    ``prefix`` is a plain string prefix (Emissary: ``/man`` matches ``/mankind``); ``segment_prefix`` is the
    Kubernetes ``pathType: Prefix`` (``/foo`` matches ``/foo`` and ``/foo/bar``, not ``/foobar``).
    """

    kind: Literal["exact", "prefix", "segment_prefix", "regex"]
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class NamedMatch:
    """A comparison on a named thing: a header (name is compared without case) or a query parameter."""

    name: str
    match: StringMatch
    invert: bool = False


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All parts must hold. ``authority`` is compared with the normalised host (no port, lower case)."""

    path: PathMatch
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: tuple[NamedMatch, ...] = ()
    query: tuple[NamedMatch, ...] = ()
