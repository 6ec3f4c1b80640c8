"""Where the kinds with a status are; those of getambassador.io may be installed later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.base.keys import kind_group
from gateway.kube import ApiFailure, ResourcePath, Unreachable
from gateway.kube.served import served_versions
from gateway.resources import Host, Ingress, Mapping
from gateway.resources.model import GETAMBASSADOR

if TYPE_CHECKING:
    from collections.abc import Mapping as Map
    from collections.abc import Sequence

    from gateway.kube import KubeClient
    from gateway.kube.lease import Clock

VERSIONS: Final = ("v3alpha1", "v2", "v1")
"""Versions of getambassador.io, the best one first: a status is the same in all."""
_PLURALS: Final = {Mapping.KIND: "mappings", Host.KIND: "hosts"}
_INGRESSES: Final = ResourcePath("networking.k8s.io", "v1", "ingresses")
_POLL_S = 30.0
"""Between two looks while a kind is missing."""

Paths = dict[str, tuple[ResourcePath, ...]]


class KindFinder:
    """Asks the API server for the wanted kinds."""

    def __init__(self, client: KubeClient, kinds: Sequence[str], clock: Clock) -> None:
        self._client, self._kinds, self._clock = client, kinds, clock
        self._found: Paths | None = None

    async def next(self) -> Map[str, Sequence[ResourcePath]]:
        """The versions of each kind, by kind and group."""
        while self._found is None:
            self._found = await self._ask()
            if self._found is None:
                await self._clock.sleep(_POLL_S * (0.5 + self._clock.random() / 2))
        return self._found

    async def others(self) -> None:
        """Wait until a kind that was missing is there; for ever if none is missing."""
        if self._found is not None and all(self._found.values()):
            await asyncio.Event().wait()
        while True:
            await self._clock.sleep(_POLL_S * (0.5 + self._clock.random() / 2))
            found = await self._ask()
            if found is not None and found != self._found:
                self._found = found
                return

    async def _ask(self) -> Paths | None:
        """``None`` without an answer."""
        found: Paths = {}
        if Ingress.KIND in self._kinds:
            found[kind_group(Ingress.KIND, Ingress.GROUP)] = (_INGRESSES,)
        wanted = [kind for kind in _PLURALS if kind in self._kinds]
        try:
            served = await served_versions(self._client, GETAMBASSADOR) if wanted else {}
        except (ApiFailure, Unreachable):
            return None
        for kind in wanted:
            there = served.get(_PLURALS[kind], ())
            paths = tuple(ResourcePath(GETAMBASSADOR, item, _PLURALS[kind]) for item in VERSIONS if item in there)
            found[kind_group(kind, GETAMBASSADOR)] = paths
        return found
