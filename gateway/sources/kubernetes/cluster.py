"""Everything that follows one cluster: a reflector for each kind, and who reads what they refer to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.diagnostics import Diagnostic, Origin
from gateway.kube.reflector import ABSENT_AFTER_S, Reflector
from gateway.kube.served import FixedPlace, ServedGroup, ServedPlace
from gateway.resources.model import GETAMBASSADOR
from gateway.sources.kubernetes.kinds import CONFIG_MAPS, CONTENT_KINDS, SECRETS, VERSIONS, WatchedKind
from gateway.sources.kubernetes.secrets import ReferencedContent
from gateway.sources.status import SourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.base.keys import ObjectKey
    from gateway.kube.client import KubeClient
    from gateway.kube.events import RawObject
    from gateway.kube.reflector import Phase
    from gateway.kube.timing import Pulse, Timing
    from gateway.settings import KubernetesSettings
    from gateway.sources.kubernetes.store import Known, ObjectStore, Parsed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Content:
    """A follower that puts whole objects into the store."""

    store: ObjectStore
    kind: WatchedKind
    namespace: str
    on_change: Callable[[], None]

    def read(self, raw: RawObject) -> Parsed | Known:
        return self.store.read(self.kind.kind_group, raw)

    def replaced(self, items: list[Parsed | Known]) -> None:
        self.store.replace(self.kind.kind_group, self.namespace, items)
        self.on_change()

    def changed(self, changes: list[tuple[Parsed | Known, bool]]) -> None:
        for item, gone in changes:
            if gone:
                self.store.remove(item.key)
            else:
                self.store.put(item)
        self.on_change()


class Cluster:
    """All kinds, followed into one store. Run each of :meth:`work` as a task."""

    def __init__(
        self,
        client: KubeClient,
        settings: KubernetesSettings,
        store: ObjectStore,
        timing: Timing,
        pulse: Pulse,
        on_change: Callable[[], None],
    ) -> None:
        """``on_change`` is called after anything that the store or this object shows may have changed."""
        self._timing = timing
        self._pulse = pulse
        self._on_change = on_change
        self._group = ServedGroup(client, GETAMBASSADOR, VERSIONS, timing)
        self._lost_at: float | None = None
        self._followed = 0
        self._kinds = [
            (
                kind,
                Reflector(
                    client,
                    FixedPlace(kind.path) if kind.path is not None else ServedPlace(self._group, kind.plural),
                    _Content(store, kind, selection.namespace, on_change),
                    timing,
                    selection=selection,
                    patience=0.0 if kind.optional and not kind.guards else ABSENT_AFTER_S,
                    required=kind.required(settings),
                    on_condition=self._condition_changed,
                ),
            )
            for kind in CONTENT_KINDS
            for selection in kind.selections(settings)
        ]
        self._content = [
            ReferencedContent(client, kind, kind.path, store, settings, timing, self._condition_changed)
            for kind in (SECRETS, CONFIG_MAPS)
            if kind.path is not None
        ]

    def work(self) -> list[Coroutine[None, None, None]]:
        """What has to run."""
        return [
            self._group.run(),
            *(reflector.run() for _, reflector in self._kinds),
            *(item.run() for item in self._content),
        ]

    async def close(self) -> None:
        """End what runs beside :meth:`work`."""
        self._pulse.close()
        for item in self._content:
            await item.close()

    def refer(self, keys: frozenset[ObjectKey]) -> None:
        """These Secrets and ConfigMaps are referred to."""
        for item in self._content:
            item.want(keys)

    @property
    def listed(self) -> bool:
        """Whether everything is listed, or known to be absent."""
        return all(item.listed for _, item in self._everything())

    @property
    def outstanding(self) -> bool:
        """Whether content that is referred to is on its way."""
        return any(item.outstanding for item in self._content)

    @property
    def lost(self) -> str:
        """Why something cannot be followed now; empty when there is no such thing."""
        return next((item.condition.message for _, item in self._in_phase("lost")), "")

    def has_listed(self, key: ObjectKey) -> bool:
        """Whether the objects of that kind and namespace are listed."""
        return any(
            item.listed and kind.kind_group == key.kind_group and item.namespace in ("", key.namespace)
            for kind, item in self._everything()
        )

    def status(self, *, stale: bool) -> SourceStatus:
        """How everything is doing; ``stale``: the configuration in use is a copy."""
        everything = self._everything()
        lists: dict[str, int] = {}
        restarts: dict[str, int] = {}
        for kind, item in everything:
            lists[kind.kind] = lists.get(kind.kind, 0) + item.lists
            restarts[kind.kind] = restarts.get(kind.kind, 0) + item.restarts
        return SourceStatus(
            "kubernetes",
            up=not any(item.condition.phase in ("lost", "starting") for _, item in everything),
            silent_for=max(item.silent_for for _, item in everything),
            stale=stale,
            lists=lists,
            restarts=restarts,
            waiting=tuple(sorted({kind.kind for kind, item in everything if not item.listed})),
            denied=tuple(sorted({kind.kind for kind, _ in self._in_phase("denied")})),
            missing=tuple(sorted({kind.kind for kind, _ in self._in_phase("missing")})),
        )

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Findings about the cluster and the gateway's rights."""
        found: list[Diagnostic] = []
        denied = {kind.kind: (kind, item.condition.message) for kind, item in self._in_phase("denied")}
        for kind, message in denied.values():
            found.append(
                Diagnostic(
                    "notice" if kind.optional else "error",
                    "kind-denied",
                    f"objects of this kind cannot be listed: {message}",
                    Origin(kind.kind),
                    hint=f"grant get, list and watch on {kind.plural}",
                )
            )
        missing = sorted({kind.plural for kind, _ in self._in_phase("missing") if not kind.optional})
        if missing:
            message = f"the cluster has no {', '.join(missing)}; they are taken up when they are installed"
            found.append(Diagnostic("notice", "kind-missing", message, Origin("CustomResourceDefinition")))
        return (*found, *(one for item in self._content for one in item.diagnostics()))

    def _everything(self) -> list[tuple[WatchedKind, Reflector[Any]]]:
        content = [(item.kind, reflector) for item in self._content for reflector in item.reflectors if item.needed]
        return [*self._kinds, *content]

    def _in_phase(self, phase: Phase) -> list[tuple[WatchedKind, Reflector[Any]]]:
        return [(kind, item) for kind, item in self._everything() if item.condition.phase == phase]

    def _condition_changed(self) -> None:
        """Tell about lost and found contact once, and let nobody sleep on when the server answers again."""
        now = self._timing.clock()
        lost = self._in_phase("lost")
        if lost and self._lost_at is None:
            self._lost_at = now
            kind, reflector = lost[0]
            message = reflector.condition.message
            logger.warning("%s cannot be followed, what is known of them stays: %s", kind.plural, message)
        elif not lost and self._lost_at is not None:
            logger.info("everything is followed again, after %.1f s", now - self._lost_at)
            self._lost_at = None
        followed = len(self._in_phase("followed"))
        if followed > self._followed:
            self._pulse.beat()
        self._followed = followed
        self._on_change()
