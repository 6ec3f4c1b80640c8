"""The compiled module without a running gateway: what ``sluice check`` and ``sluice explain`` ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway import _native
from gateway.plane.delta import DeltaBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.ir.encode import Section
    from gateway.plane.control import Issue


class Offline:
    """One configuration, compiled here."""

    def __init__(self, sections: Iterable[Section]) -> None:
        self._sections = tuple(sections)

    def issues(self) -> list[Issue]:
        """Everything that could not be compiled. Raises :class:`gateway._native.SnapshotError`."""
        return self._compile().issues

    def explain(self, method: str, url: str, headers: Sequence[tuple[str, str]], peer: str) -> bytes:
        """JSON: the decision for a request. Raises :data:`REFUSED` for a request that is refused."""
        return self._compile().explain(method, url, headers, None, peer)

    def _compile(self) -> _native.Snapshot:
        deltas = DeltaBuilder()
        deltas.update(self._sections)
        (payload,) = deltas.path(None)
        return _native.Snapshot.compile(payload.data)


def build_facts() -> dict[str, Any]:
    """Facts of the compiled module: ``profile``, ``version``, ``rustc``, ``target``."""
    return dict(_native.build_info())


REFUSED = _native.NativeError
"""What :meth:`Offline.explain` raises; re-exported because only this package knows the compiled module."""
