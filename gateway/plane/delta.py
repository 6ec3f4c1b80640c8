"""From the encoded sections of an ``ir.Gateway`` to the deltas that workers compile.

A delta is JSON::

    {"version": 12, "base": 11, "upsert": [{"key": "cluster/quote", "slot": 17, "body": {…}}], "remove": ["…"]}

``slot`` is the row of a cluster or listener in shared memory (0 for everything else, and when rows run out). ``base``
is ``null`` in a full snapshot. Nothing here does I/O or knows how many workers there are.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.plane.rows import CLUSTER_ROWS, LISTENER_ROWS, OTHER, RowTable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from gateway.ir.encode import Section

CLUSTER = "cluster/"
LISTENER = "listener/"


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

    __slots__ = ("_clusters", "_fallback", "_latest", "_listeners", "_sections", "digest", "version")

    def __init__(self) -> None:
        self.version = 0
        self.digest = ""
        """Short hash of the whole configuration: equal on every replica that serves the same manifests."""
        self._sections: dict[str, Placed] = {}
        self._fallback: dict[str, Placed] = {}
        self._latest: Payload | None = None
        self._clusters = RowTable(CLUSTER_ROWS)
        self._listeners = RowTable(LISTENER_ROWS)

    def update(self, encoded: Iterable[Section]) -> Payload | None:
        """Take a new configuration; the delta to it, or ``None`` when nothing differs from the current one.

        The very first update is always a payload (an empty gateway is a configuration too).
        """
        sections = self._place(list(encoded))
        changed = [key for key, section in sections.items() if not section.same(self._sections.get(key))]
        removed = [key for key in self._sections if key not in sections]
        if self.version and not changed and not removed:
            return None
        for key in removed:
            self._fallback.pop(key, None)
        for key in changed:
            if key in self._sections:
                self._fallback.setdefault(key, self._sections[key])
        base = self.version or None
        self.version += 1
        self._sections = sections
        self.digest = _total(sections)
        self._latest = _payload(self.version, base, {key: sections[key] for key in changed}, removed)
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

    def cluster_names(self) -> dict[int, str]:
        """Row to name of the clusters that have a row of their own."""
        return self._clusters.names()

    def listener_names(self) -> dict[int, str]:
        """Row to name of the listeners that have a row of their own."""
        return self._listeners.names()

    def _place(self, encoded: list[Section]) -> dict[str, Placed]:
        keys = [section.key for section in encoded]
        self._clusters.assign([key.removeprefix(CLUSTER) for key in keys if key.startswith(CLUSTER)])
        self._listeners.assign([key.removeprefix(LISTENER) for key in keys if key.startswith(LISTENER)])
        return {item.key: Placed(item.body, item.digest, self._slot(item.key)) for item in encoded}

    def _slot(self, key: str) -> int:
        if key.startswith(CLUSTER):
            return self._clusters.row(key.removeprefix(CLUSTER))
        if key.startswith(LISTENER):
            return self._listeners.row(key.removeprefix(LISTENER))
        return OTHER


def _total(sections: Mapping[str, Placed]) -> str:
    total = hashlib.sha256()
    for key in sorted(sections):
        total.update(f"{key}\0{sections[key].digest}\n".encode())
    return total.hexdigest()[:16]


def _payload(version: int, base: int | None, upsert: Mapping[str, Placed], remove: Iterable[str]) -> Payload:
    entries = b",".join(
        b'{"key":%b,"slot":%d,"body":%b}' % (json.dumps(key).encode(), section.slot, section.body)
        for key, section in upsert.items()
    )
    head = f'{{"version":{version},"base":{json.dumps(base)},"remove":{json.dumps(sorted(remove))},"upsert":['
    return Payload(version, base, b"".join((head.encode(), entries, b"]}")))
