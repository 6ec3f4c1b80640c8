"""From the encoded sections of an ``ir.Gateway`` to the deltas that workers compile.

A delta is JSON::

    {"version": 12, "base": 11, "upsert": [{"key": "cluster/quote", "slot": 17, "body": {…}}], "remove": ["…"]}

``slot`` is the row of a cluster or listener in shared memory (0 for everything else, and when rows run out). ``base``
is ``null`` in a full snapshot. Nothing here does I/O or knows how many workers there are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.base.differences import differences
from gateway.base.hashing import DIGEST_BYTES, content_hash
from gateway.plane.rows import CLUSTER_ROWS, LISTENER_ROWS, OTHER, RowTable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from gateway.ir.encode import Section

CLUSTER = "cluster/"
LISTENER = "listener/"
_SUM_LIMIT = 1 << (8 * DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Placed:
    """A section (see :mod:`gateway.ir.encode`) with its row in shared memory."""

    body: bytes
    digest: str
    slot: int

    def same(self, other: Placed | None) -> bool:
        return other is not None and self.digest == other.digest and self.slot == other.slot


@dataclass(frozen=True, slots=True, repr=False)
class Payload:
    """One delta. ``data`` may hold private keys: it is never printed or logged."""

    version: int
    base: int | None
    data: bytes

    def __repr__(self) -> str:
        return f"Payload(version={self.version}, base={self.base}, {len(self.data)} bytes)"


class DeltaBuilder:
    """What the workers are meant to have, and how to bring any of them there."""

    __slots__ = ("_encoded", "_fallback", "_latest", "_rows", "_sections", "_sum", "version")

    def __init__(self) -> None:
        self.version = 0
        self._encoded: tuple[Section, ...] = ()
        self._sections: dict[str, Placed] = {}
        self._fallback: dict[str, Placed] = {}
        self._latest: Payload | None = None
        self._rows = {CLUSTER: RowTable(CLUSTER_ROWS), LISTENER: RowTable(LISTENER_ROWS)}
        self._sum = 0

    @property
    def digest(self) -> str:
        """Short hash of the whole configuration: equal on every replica that serves the same manifests."""
        return content_hash(f"{self._sum:x}")[:16] if self.version else ""

    def update(self, encoded: Iterable[Section]) -> Payload | None:
        """Take a new configuration; the delta to it, or ``None`` when nothing differs from the current one.

        Sections that are the same objects as in the last call cost next to nothing. The very first update is always a
        payload (an empty gateway is a configuration too).
        """
        encoded = tuple(encoded)
        gone, fresh = differences(self._encoded, encoded)
        self._encoded = encoded
        arrived = {section.key: (section.body, section.digest) for section in fresh}
        removed = [section.key for section in gone if section.key not in arrived]
        for key in self._place(removed, [key for key in arrived if key not in self._sections]):
            if key not in arrived:
                arrived[key] = (self._sections[key].body, self._sections[key].digest)
        placed = {key: Placed(body, digest, self._slot(key)) for key, (body, digest) in arrived.items()}
        changed = {key: section for key, section in placed.items() if not section.same(self._sections.get(key))}
        if self.version and not changed and not removed:
            return None
        for key in removed:
            self._fallback.pop(key, None)
            self._sum -= _summand(key, self._sections.pop(key))
        for key, section in changed.items():
            earlier = self._sections.get(key)
            if earlier is not None:
                self._fallback.setdefault(key, earlier)
                self._sum -= _summand(key, earlier)
            self._sections[key] = section
            self._sum += _summand(key, section)
        self._sum %= _SUM_LIMIT
        base = self.version or None
        self.version += 1
        self._latest = _payload(self.version, base, changed, removed)
        return self._latest

    def settle(self, version: int, faulty: Collection[str]) -> None:
        """A worker applied ``version``; sections in ``faulty`` could not be compiled and kept their last good body."""
        if version == self.version:
            self._fallback = {key: good for key, good in self._fallback.items() if key in faulty}

    def path(self, version: int | None) -> tuple[Payload, ...]:
        """Payloads that bring a worker at ``version`` (``None``: a fresh one) to the current version.

        A section whose new body is not known to compile has a last good body. A fresh worker gets the good body first
        and the new one on top, so that it ends up with exactly what its siblings have.
        """
        if version == self.version:
            return ()
        if self._latest is not None and version is not None and self._latest.base == version:
            return (self._latest,)
        pending = {key: section for key, section in self._sections.items() if key in self._fallback}
        if not pending:
            return (_payload(self.version, None, self._sections, ()),)
        before = self.version - 1
        return (
            _payload(before, None, self._sections | self._fallback, ()),
            _payload(self.version, before, pending, ()),
        )

    def cluster_names(self) -> Mapping[int, str]:
        """Row to name of the clusters that have a row of their own."""
        return self._rows[CLUSTER].names()

    def listener_names(self) -> Mapping[int, str]:
        """Row to name of the listeners that have a row of their own."""
        return self._rows[LISTENER].names()

    def _place(self, removed: Iterable[str], fresh: Iterable[str]) -> list[str]:
        """Give rows of removed sections to others; the keys of those that have one of their own now."""
        placed: list[str] = []
        for family, rows in self._rows.items():
            gone, new = (
                [key.removeprefix(family) for key in keys if key.startswith(family)] for keys in (removed, fresh)
            )
            placed += [family + name for name in rows.change(gone, new)]
        return placed

    def _slot(self, key: str) -> int:
        family, slash, name = key.partition("/")
        rows = self._rows.get(family + slash)
        return rows.row(name) if rows is not None else OTHER


def _summand(key: str, section: Placed) -> int:
    """What a section adds to the sum over all, which one hash stands for: a sum needs no order and no second look."""
    return int(content_hash(key, section.digest), 16)


def _payload(version: int, base: int | None, upsert: Mapping[str, Placed], remove: Iterable[str]) -> Payload:
    parts = [
        f'{{"version":{version},"base":{json.dumps(base)},"remove":{json.dumps(sorted(remove))},"upsert":['.encode()
    ]
    for number, (key, section) in enumerate(upsert.items()):
        head = f'{"," if number else ""}{{"key":{json.dumps(key)},"slot":{section.slot},"body":'
        parts += (head.encode(), section.body, b"}")
    # A body may have megabytes: it is copied once.
    return Payload(version, base, b"".join((*parts, b"]}")))
