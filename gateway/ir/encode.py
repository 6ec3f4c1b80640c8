"""From an :class:`~gateway.ir.model.Gateway` to sections: key, canonical JSON, content hash.

One object of the gateway is one section, so that a change travels alone. The JSON is canonical (field order of the
dataclass, no white space), so equal objects have equal bytes and hashes in every process. Objects that translation
kept from the last pass are recognised by identity and are not encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from gateway.base.hashing import content_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.ir.model import Certificate, Cluster, Gateway, Listener, Options, VirtualHost

    Piece = Options | Listener | VirtualHost | Cluster | Certificate


@dataclass(frozen=True, slots=True, repr=False)
class Section:
    """One object in its wire form. ``body`` may hold a private key: it is not part of the ``repr``."""

    key: str
    body: bytes
    digest: str

    def __repr__(self) -> str:
        return f"Section(key={self.key!r}, {len(self.body)} bytes, digest={self.digest!r})"


def pieces(gateway: Gateway) -> Iterator[tuple[str, Piece]]:
    """Section keys (see ARCHITECTURE.md, "The delta") and objects, in the order of the model."""
    yield "options/main", gateway.options
    for listener in gateway.listeners:
        yield f"listener/{listener.name}", listener
    for host in gateway.virtual_hosts:
        yield f"virtual_host/{host.name}", host
    for cluster in gateway.clusters:
        yield f"cluster/{cluster.name}", cluster
    for certificate in gateway.certificates:
        yield f"certificate/{certificate.name}", certificate


def encode(gateway: Gateway) -> tuple[Section, ...]:
    """Encode everything, without a memory of earlier passes."""
    return Encoder().encode(gateway)


class Encoder:
    """Encodes successive gateways; sections of objects that are the same Python object are taken over."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[Piece, Section]] = {}

    def encode(self, gateway: Gateway) -> tuple[Section, ...]:
        """Return all sections of ``gateway``; an unchanged object gives the very same section as before."""
        known: dict[str, tuple[Piece, Section]] = {}
        for key, piece in pieces(gateway):
            earlier = self._known.get(key)
            known[key] = earlier if earlier is not None and earlier[0] is piece else (piece, _section(key, piece))
        self._known = known
        return tuple(section for _, section in known.values())


def _section(key: str, piece: Piece) -> Section:
    body = orjson.dumps(piece)
    return Section(key, body, content_digest(body).hex())
