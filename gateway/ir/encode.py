"""From an :class:`~gateway.ir.model.Gateway` to sections: key, canonical JSON, content hash.

One object of the gateway is one section, so that a change travels alone. The JSON is canonical (field order of the
dataclass, no white space), so equal objects have equal bytes and hashes in every process. Objects that translation
kept from the last pass are recognised by identity and are not encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from gateway.base.differences import positions, same_objects
from gateway.base.hashing import content_digest
from gateway.ir.routes import VirtualHost

if TYPE_CHECKING:
    from gateway.ir.model import Certificate, Cluster, Gateway, Listener, Options
    from gateway.ir.routes import Route

    Piece = Options | Listener | VirtualHost | Cluster | Certificate


@dataclass(frozen=True, slots=True, repr=False)
class Section:
    """One object in its wire form. ``body`` may hold a private key: it is not part of the ``repr``."""

    key: str
    body: bytes
    digest: str

    def __repr__(self) -> str:
        return f"Section(key={self.key!r}, {len(self.body)} bytes, digest={self.digest!r})"


def encode(gateway: Gateway) -> tuple[Section, ...]:
    """Encode everything, without a memory of earlier passes."""
    return Encoder().encode(gateway)


@dataclass(frozen=True, slots=True)
class _Family:
    """The objects of one kind as they were encoded last, and their sections in the same order."""

    objects: tuple[Piece, ...]
    sections: tuple[Section, ...]


_EMPTY = _Family((), ())
_MANY = 64
"""Routes of a virtual host from which on it is worth to remember them one by one."""
_NO_ROUTES = b'"routes":[]'
"""Stands in the JSON once: inside of a text its quotes would be escaped."""


@dataclass(frozen=True, slots=True)
class _Routes:
    """The routes of a virtual host as they were encoded last: JSON and digest of each."""

    routes: tuple[Route, ...]
    pieces: list[tuple[bytes, bytes]]


class Encoder:
    """Encodes successive gateways; sections of objects that are the same Python object are taken over.

    So are the routes of large virtual hosts: one with 10,000 of them is 10 MB of JSON, of which a change is 1 kB.
    """

    __slots__ = ("_families", "_routes")

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self._routes: dict[str, _Routes] = {}

    def encode(self, gateway: Gateway) -> tuple[Section, ...]:
        """Return all sections of ``gateway``; an unchanged object gives the very same section as before.

        They come in the order of the model, under the keys that ARCHITECTURE.md ("The delta") names. ``services`` are
        left out: the data plane does not call them yet.
        """
        families: dict[str, tuple[Piece, ...]] = {
            "options": (gateway.options,),
            "listener": gateway.listeners,
            "virtual_host": gateway.virtual_hosts,
            "cluster": gateway.clusters,
            "certificate": gateway.certificates,
        }
        self._families = {name: self._family(name, objects) for name, objects in families.items()}
        if self._routes:
            names = {host.name for host in gateway.virtual_hosts}
            self._routes = {name: known for name, known in self._routes.items() if name in names}
        return tuple(chain.from_iterable(family.sections for family in self._families.values()))

    def _family(self, name: str, objects: tuple[Piece, ...]) -> _Family:
        earlier = self._families.get(name, _EMPTY)
        if same_objects(objects, earlier.objects):
            return earlier
        if len(objects) == len(earlier.objects):
            sections = list(earlier.sections)
            moved = positions(earlier.objects, objects)
            known = {id(earlier.objects[index]): sections[index] for index in moved}
            for index in moved:
                sections[index] = known.get(id(objects[index])) or self._section(name, objects[index])
            return _Family(objects, tuple(sections))
        known = dict(zip(map(id, earlier.objects), earlier.sections, strict=True))
        return _Family(objects, tuple([known.get(id(item)) or self._section(name, item) for item in objects]))

    def _section(self, family: str, piece: Piece) -> Section:
        if isinstance(piece, VirtualHost):
            return self._virtual_host(piece)
        body = orjson.dumps(piece)
        return Section(f"{family}/{getattr(piece, 'name', 'main')}", body, content_digest(body).hex())

    def _virtual_host(self, host: VirtualHost) -> Section:
        """The digest is one of digests, so that those of routes that did not change need not be made again."""
        earlier = self._routes.pop(host.name, None)
        known = dict(zip(map(id, earlier.routes), earlier.pieces, strict=True)) if earlier is not None else {}
        pieces = [known.get(id(route)) or _piece(route) for route in host.routes]
        if len(host.routes) >= _MANY:
            self._routes[host.name] = _Routes(host.routes, pieces)
        before, empty, after = orjson.dumps(replace(host, routes=())).partition(_NO_ROUTES)
        body = b"".join((before, empty[:-1], b",".join([text for text, _ in pieces]), b"]", after))
        digest = content_digest(b"".join((before, after, *[digest for _, digest in pieces])))
        return Section(f"virtual_host/{host.name}", body, digest.hex())


def _piece(route: Route) -> tuple[bytes, bytes]:
    text = orjson.dumps(route)
    return text, content_digest(text)
