"""Assembly: source → resources → translation → deltas → workers, and the admin port beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, cast

from gateway.admin.findings import DiagnosticLog
from gateway.admin.server import AdminServer
from gateway.admin.state import Facts
from gateway.base import heap
from gateway.base.differences import differences
from gateway.base.priority import stand_back
from gateway.plane.changes import summary
from gateway.plane.coalesce import Latest
from gateway.plane.issues import described
from gateway.plane.pipeline import Translator, make_source
from gateway.plane.supervisor import Supervisor
from gateway.settings import AdminSettings, ListenSettings, ReloadSettings, Settings, WorkerSettings
from gateway.sources.statuses import SeenStatuses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from gateway import ir
    from gateway.admin.metrics import Counters
    from gateway.diagnostics import Diagnostic
    from gateway.plane.control import Issue
    from gateway.plane.pipeline import Update
    from gateway.sources import SourceState
    from gateway.status import StatusKeeper

logger = logging.getLogger(__name__)

_READY_TIMEOUT = 30.0
"""Seconds that an embedding program waits for its gateway: a large folder translates in a few."""


def _limits(cluster: ir.Cluster) -> tuple[int | None, ...]:
    """Limits of a cluster's circuit breakers in the order of :attr:`gateway.admin.state.Facts.breakers`."""
    found: list[int | None] = []
    for priority in ("default", "high"):
        one = next((item for item in cluster.breakers if item.priority == priority), None)
        found += (
            (None, None, None, None)
            if one is None
            else (one.max_connections, one.max_pending_requests, one.max_requests, one.max_retries)
        )
    return tuple(found)


def _status_keeper(settings: Settings, seen: SeenStatuses) -> StatusKeeper | None:
    """What writes statuses; ``None`` without a cluster, or if the operator wants none."""
    if settings.kubernetes is None or settings.status is None:
        return None
    # The client of the Kubernetes API takes memory that a gateway with manifests in a folder does not need.
    from gateway.status import make_keeper

    return make_keeper(settings, settings.kubernetes, settings.status, seen)


class Gateway:
    """A running gateway: ``async with Gateway([folder], http_port=0) as gateway: gateway.ports["…"]``.

    ``workers=0`` serves inside the caller's own loop. Entering waits until the first configuration is in force.
    """

    def __init__(
        self,
        paths: Sequence[str] = (),
        *,
        http_port: int = 0,
        https_port: int = 0,
        bind_address: str = "127.0.0.1",
        ephemeral: bool = False,
        workers: int = 0,
        admin_port: int | None = None,
        settings: Settings | None = None,
    ) -> None:
        """``settings`` wins over everything else. ``admin_port`` ``None`` serves no admin port, 0 takes a free one;
        ``ephemeral`` takes a free port for every listener, whatever its manifest says."""
        self.settings = settings or Settings(
            paths=tuple(map(str, paths)),
            listen=ListenSettings(bind_address, http_port, https_port, ephemeral=ephemeral),
            admin=AdminSettings(port=admin_port or 0),
            workers=WorkerSettings(count=workers),
            reload=ReloadSettings(debounce=0.01),
        )
        self._admin = AdminServer(self.settings.admin, self) if settings or admin_port is not None else None
        self._supervisor = Supervisor(self.settings, self._changed)
        seen = SeenStatuses()
        self._source = make_source(self.settings, seen)
        self._status = _status_keeper(self.settings, seen)
        self._status_task: asyncio.Task[None] | None = None
        self._offered: tuple[Update | None, tuple[Diagnostic, ...]] = (None, ())
        """What statuses were last made from."""
        self._change = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._made_at = 0.0
        self._since: float | None = None
        """When the change came that is on its way to the workers."""
        self._reported: tuple[int, Update | None, tuple[Diagnostic, ...]] = (0, None, ())
        """Version, update and findings of the last configuration that the log told about."""
        self._described: tuple[tuple[Issue, ...], Update | None, tuple[Diagnostic, ...]] = ((), None, ())
        self._breakers: tuple[tuple[ir.Cluster, ...], Mapping[str, tuple[int | None, ...]]] = ((), {})
        self.update: Update | None = None
        self.update_failures = 0
        self.on_change: Callable[[], None] | None = None
        """Called on the loop after anything that :meth:`facts` shows may have changed."""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            async with asyncio.timeout(_READY_TIMEOUT):
                await self.until(lambda: self._supervisor.ready)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Begin to serve. Raises :class:`OSError` when the admin port cannot be bound."""
        if self._admin is not None:
            await self._admin.start()
        self._supervisor.start()
        latest: Latest[SourceState] = Latest(self.settings.reload)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._watch(latest), name="source"),
            loop.create_task(self._publish(latest), name="publish"),
        ]
        for task in self._tasks:
            task.add_done_callback(lambda _: self.wake())
        if self._status is not None:
            self._status_task = loop.create_task(self._status.run(), name="status")

    async def drain(self) -> int:
        """Fail readiness, finish what runs, end: how many connections were cut.

        See :class:`gateway.settings.DrainSettings` for the times.
        """
        # Another replica writes statuses while this one drains.
        cut, _ = await asyncio.gather(self._supervisor.drain(), self._end_status())
        await self.close()
        return cut

    def halt(self) -> None:
        """Cut a drain short."""
        self._supervisor.halt()

    async def close(self) -> None:
        """End at once. Calling it twice is fine."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._end_status()
        await self._supervisor.close()
        if self._admin is not None:
            await self._admin.close()

    async def _end_status(self) -> None:
        task, self._status_task = self._status_task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on this object. Raises what ended the source, if it ended."""
        while not condition():
            for task in self._tasks:
                if task.done():
                    task.result()
            self._change.clear()
            await self._change.wait()

    @property
    def ports(self) -> Mapping[str, int]:
        """Bound port of each listener, by the listener's name."""
        return self._supervisor.sockets.ports()

    @property
    def addresses(self) -> list[tuple[str, str, int]]:
        """(listener, address, port) of everything that is bound."""
        return self._supervisor.sockets.addresses()

    @property
    def admin_port(self) -> int:
        """Bound admin port, 0 without one."""
        return self._admin.port if self._admin is not None else 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers, 0 for the one inside this process."""
        return self._supervisor.pids

    @property
    def applied(self) -> int:
        """Version of the configuration that every worker serves; 0 while they differ."""
        plane = self._supervisor
        return plane.deltas.version if plane.workers_current == len(plane.slots) else 0

    def _findings(self) -> tuple[Diagnostic, ...]:
        found = self.update.diagnostics if self.update is not None else ()
        return (*found, *self._supervisor.diagnostics(), *self._describe(self._supervisor.issues()))

    def facts(self) -> Facts:
        """What the admin port shows."""
        plane = self._supervisor
        source = self._source.status()
        waiting = f": {', '.join(source.waiting)} not listed yet" if source.waiting and not plane.deltas.version else ""
        return Facts(
            ready=plane.ready,
            reason=f"{plane.reason}{waiting}",
            version=plane.deltas.version,
            digest=plane.deltas.digest,
            config_age=asyncio.get_running_loop().time() - self._made_at if plane.deltas.version else 0.0,
            workers_wanted=len(plane.slots),
            workers_ready=plane.workers_current,
            restarts=plane.restarts,
            stalls=plane.stalls,
            update_failures=self.update_failures,
            diagnostics=self._findings(),
            issues=plane.issues(),
            memory_used=None if plane.memory is None else plane.memory.used,
            memory_pressure=0 if plane.memory is None else plane.memory.level,
            listeners=plane.deltas.listener_names(),
            clusters=plane.deltas.cluster_names(),
            breakers=self._breaker_limits(),
            source=source,
            status=self._status.facts() if self._status is not None else None,
        )

    def _breaker_limits(self) -> Mapping[str, tuple[int | None, ...]]:
        """Made anew when the clusters are others: facts are asked for by every probe."""
        clusters = self.update.model.clusters if self.update is not None else ()
        if self._breakers[0] is not clusters:
            self._breakers = (clusters, {item.name: _limits(item) for item in clusters if item.breakers})
        return self._breakers[1]

    def _describe(self, issues: tuple[Issue, ...]) -> tuple[Diagnostic, ...]:
        """Issues as findings. While workers are on their way to another configuration the last ones stay, because paths
        count positions in the configuration that a worker has."""
        if self.update is not None and self.applied:
            known_issues, known_update, _ = self._described
            if known_issues != issues or known_update is not self.update:
                self._described = (issues, self.update, described(issues, self.update))
        return self._described[2]

    def counters(self) -> Counters | None:
        """Sums over all workers."""
        return cast("Counters | None", self._supervisor.counters())

    async def _watch(self, latest: Latest[SourceState]) -> None:
        async with contextlib.aclosing(self._source.watch()) as states:
            async for state in states:
                latest.put(state)

    async def _publish(self, latest: Latest[SourceState]) -> None:
        translator = Translator(self.settings)
        while True:
            state = await latest.get()
            if self._since is None:
                self._since = asyncio.get_running_loop().time()
            try:
                self._take(await asyncio.to_thread(translator.translate, state))
            except Exception as crash:  # noqa: BLE001 - the crash barrier: the last good configuration stays
                self.update_failures += 1
                # Without the text of the exception, which may quote a secret.
                frames = "".join(traceback.format_tb(crash.__traceback__))
                logger.error("update failed, the last configuration stays: %s\n%s", type(crash).__name__, frames)
                translator = Translator(self.settings)
            self._changed()

    def _take(self, update: Update) -> None:
        before = self._supervisor.deltas.version
        self._supervisor.publish(update.sections, update.model.listeners)
        self.update = update
        if self._supervisor.deltas.version != before:
            self._made_at = asyncio.get_running_loop().time()
        elif self.applied:
            self._since = None

    def wake(self) -> None:
        """Let :meth:`until` look again."""
        self._change.set()

    def _report(self) -> None:
        """Tell once about each configuration that every worker serves."""
        version, before, known = self._reported
        if self.update is None or self.applied in (0, version):
            return
        now = asyncio.get_running_loop().time()
        taken = f" after {(now - self._since) * 1e3:.0f} ms" if self._since is not None else ""
        found = self._findings()
        logger.info(
            "configuration %d (%s) is in force%s: %s",
            self.applied,
            self._supervisor.deltas.digest,
            taken,
            summary(before, self.update, *differences(known, found)),
        )
        self._reported, self._since = (self.applied, self.update, found), None

    def _offer_status(self) -> None:
        """Statuses say what is in force."""
        if self._status is None or self.update is None or not self.applied or self._source.status().stale:
            return
        found = self._findings()
        if self._offered[0] is not self.update or self._offered[1] != found:
            self._offered = (self.update, found)
            self._status.offer(self.update.model, self.update.resources, found)

    def _changed(self) -> None:
        self._report()
        self._offer_status()
        self._change.set()
        if self.on_change is not None:
            self.on_change()


async def serve(settings: Settings, announce: Callable[[Gateway], None]) -> int:
    """Run until SIGTERM or SIGINT; the exit code. A second signal ends at once.

    ``announce`` is called once, when the first configuration is in force. Raises :class:`OSError` when the admin port
    cannot be bound or the source cannot be read.
    """
    if settings.workers.count:
        # Otherwise requests and their filters are in this process, too.
        heap.spare()
    gateway = Gateway(settings=settings)
    signals: list[int] = []
    log = DiagnosticLog()
    waiting = [announce]

    def look() -> None:
        facts = gateway.facts()
        log.write(facts)
        if facts.ready and waiting:
            waiting.pop()(gateway)
            heap.keep()
            if settings.workers.count:
                stand_back()

    def signalled(number: int) -> None:
        signals.append(number)
        if len(signals) > 1:
            gateway.halt()
        gateway.wake()

    loop = asyncio.get_running_loop()
    if settings.workers.count:
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="background", initializer=stand_back))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled, number)
    gateway.on_change = look
    try:
        await gateway.start()
        await gateway.until(lambda: bool(signals))
        logger.info("draining for at most %g s", settings.drain.grace + settings.drain.timeout)
        started = loop.time()
        cut = await gateway.drain()
        words = "no connection was cut" if not cut else f"{cut} connection{'s were' if cut > 1 else ' was'} cut"
        logger.info("drained in %.1f s, %s", loop.time() - started, words)
    finally:
        await gateway.close()
    return 128 + signals[1] if len(signals) > 1 else 0
