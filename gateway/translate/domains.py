"""Contributions by domain, with what wider Hosts lend.

A domain that only Ingresses declare is part of the domain of a wider Host, if there is one, and a request goes to the
narrowest virtual host. So that the Ingress adds paths and takes nothing away, the Host lends its routes to that domain,
under its own cleartext policy, which does not concern the routes of the Ingress.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING

from gateway.base.differences import positions

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from collections.abc import Mapping as Map

    from gateway.translate.virtualhosts import Contribution


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """Contributions by domain, in order; behind those of Ingresses alone, what the Hosts of a wider domain lend."""

    parts: tuple[Contribution, ...]
    lenders: tuple[Contribution, ...]
    chosen: Map[str, Sequence[Contribution]]
    lent: bool
    """Whether any domain has something lent."""
    changed: frozenset[str] | None
    """The domains that are others than in what this was made from; ``None`` where that is not known."""


def group(parts: Iterable[Contribution], lenders: Iterable[Contribution], earlier: Domains | None) -> Domains:
    """Group contributions, each of which is there once.

    Where those of ``earlier`` differ in their routes only, just their domains are looked at.
    """
    parts, lenders = tuple(parts), tuple(lenders)
    pairs = None if earlier is None or earlier.lent else _exchanged(earlier.parts, parts)
    if earlier is None or pairs is None or _exchanged(earlier.lenders, lenders) is None:
        chosen, lent = _by_domain(parts, lenders)
        return Domains(parts, lenders, chosen, lent, None)
    newer = {id(old): new for old, new in pairs}
    others = {old.domain: [newer.get(id(item), item) for item in earlier.chosen[old.domain]] for old, _ in pairs}
    return Domains(parts, lenders, {**earlier.chosen, **others}, lent=False, changed=frozenset(others))


def _exchanged(
    old: Sequence[Contribution], new: Sequence[Contribution]
) -> list[tuple[Contribution, Contribution]] | None:
    """Contributions that are others now, with those in their places; ``None`` if more than routes may differ."""
    if len(old) != len(new):
        return None
    pairs = [(old[index], new[index]) for index in positions(old, new)]
    return pairs if all(starmap(_alike, pairs)) else None


def _alike(older: Contribution, newer: Contribution) -> bool:
    """Whether both are grouped in the same way."""
    return older.domain == newer.domain and older.is_host == newer.is_host and older.terminations == newer.terminations


def _by_domain(
    parts: Iterable[Contribution], lenders: Iterable[Contribution]
) -> tuple[dict[str, list[Contribution]], bool]:
    domains: dict[str, list[Contribution]] = {}
    for item in parts:
        domains.setdefault(item.domain, []).append(item)
    wide, lent = host_globs(lenders), False
    for domain, chosen in domains.items() if wide else ():
        if not any(item.is_host for item in chosen):
            lending = wide.get(wider_domain(domain, wide), ())
            if may_lend(lending, chosen):
                chosen.extend(lending)
                lent = lent or bool(lending)
    return domains, lent


def host_globs(lenders: Iterable[Contribution]) -> dict[str, list[Contribution]]:
    """Contributions of Hosts whose domain is a glob, by domain."""
    wide: dict[str, list[Contribution]] = {}
    for item in lenders:
        if "*" in item.domain and item.is_host:
            wide.setdefault(item.domain, []).append(item)
    return wide


def wider_domain(domain: str, wide: Container[str]) -> str:
    """The domain of ``wide`` that would serve the hosts of ``domain`` if that were not there; empty for none.

    As for a request: the longest ``*.suffix``, then the longest ``prefix.*``, then ``*``.
    """
    labels = domain.split(".")
    suffixes = (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))
    prefixes = (f"{'.'.join(labels[:end])}.*" for end in range(len(labels) - 1, 0, -1) if "*" not in domain)
    return next((glob for glob in (*suffixes, *prefixes, "*") if glob != domain and glob in wide), "")


def may_lend(lending: Iterable[Contribution], own: Iterable[Contribution]) -> bool:
    """Whether routes may be served under the TLS of a domain of Ingresses: not if their Host asks for certificates of
    clients and that TLS would not."""
    asks = any(termination.client_ca for item in lending for termination in item.terminations)
    return not asks or not any(item.terminations for item in own)
