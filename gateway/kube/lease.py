"""Leader election by a Lease of ``coordination.k8s.io/v1``, after the rules of client-go's ``leaderelection``.

Clocks of other candidates are never compared with ours: a lease has expired when it has not changed for its duration as
*we* measure it. A leader stops to lead before others may take over, because its renew deadline is the shorter time.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from gateway.kube.failure import ApiFailure, Unreachable
from gateway.kube.paths import ResourcePath

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

logger = logging.getLogger(__name__)

LEASES = ResourcePath("coordination.k8s.io", "v1", "leases")
_RELEASE_S = 2.0
"""Longest time that a process which ends waits for its release: others take over without it, only later."""


class LeaseApi(Protocol):
    """What an election needs of :class:`gateway.kube.KubeClient`."""

    async def get(self, path: str) -> Any:
        """Read the Lease."""

    async def create(self, path: str, body: object) -> Any:
        """Make the Lease; conflicts if it is there."""

    async def replace(self, path: str, body: object) -> Any:
        """Replace the Lease; conflicts if it has another resource version."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds. The first three are the defaults of Kubernetes' own controllers."""

    duration: float = 15.0
    """Others take over when nothing has been heard of a leader for so long."""
    renew_deadline: float = 10.0
    """A leader that could not renew for so long leads no more; shorter than ``duration``."""
    retry_period: float = 2.0
    """Between two tries to take over or to renew."""
    jitter: float = 1.2
    """A candidate waits up to this share of ``retry_period`` longer, so that candidates do not come in step."""
    refused: float = 60.0
    """Between two tries while the API server refuses us the Lease: only an operator can change that."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, which tests replace."""

    now: Callable[[], float] = time.monotonic
    utc: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    random: Callable[[], float] = random.random


class Election:
    """One candidate for the Lease ``namespace/name``; ``identity`` must be unique, the name of the pod for example."""

    def __init__(
        self,
        client: LeaseApi,
        namespace: str,
        name: str,
        identity: str,
        times: LeaseTimes | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._collection, self._item = LEASES.collection(namespace), LEASES.item(namespace, name)
        self._name, self._namespace, self._identity = name, namespace, identity
        self._times = times or LeaseTimes()
        self._clock = clock or Clock()
        self._observed: dict[str, Any] | None = None
        """The Lease as last seen."""
        self._changed_at = 0.0
        """When we first saw it so."""
        self._renewed_at: float | None = None
        """When the last renewal that succeeded was begun; ``None`` while somebody else leads."""
        self._trouble = ""
        """What was last complained about, so that the log says it once."""

    @property
    def leading(self) -> bool:
        """Whether this process leads at this moment."""
        renewed = self._renewed_at
        return renewed is not None and self._clock.now() - renewed < self._times.renew_deadline

    async def run(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Be a candidate until cancelled, and run ``work`` while leading; it is cancelled when the lease is lost.

        Raises what ``work`` raises. Cancelling gives the Lease up, so that the next candidate need not wait.
        """
        try:
            while True:
                await self._acquire()
                logger.info("this process leads (lease %s/%s)", self._namespace, self._name)
                await self._lead(work)
                logger.warning("this process leads no more (lease %s/%s)", self._namespace, self._name)
        finally:
            await self._release()

    async def _acquire(self) -> None:
        times, clock = self._times, self._clock
        while not await self._attempt(times.renew_deadline):
            wait = times.refused if self._trouble == "refused" else times.retry_period
            await clock.sleep(wait * (1 + times.jitter * clock.random()))

    async def _lead(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Renew and work, until the lease is lost or the work fails."""
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            # Work that has ended by itself still has its leader.
            await renewing
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)

    async def _renew(self) -> None:
        """Return when the lease is lost."""
        times, clock = self._times, self._clock
        while self._renewed_at is not None:
            await clock.sleep(times.retry_period)
            left = times.renew_deadline - (clock.now() - self._renewed_at)
            if left <= 0 or (not await self._attempt(left) and self._held_by_another()):
                self._renewed_at = None

    async def _attempt(self, seconds: float) -> bool:
        """Take the Lease, or renew it; whether it is ours now. Failures are told once and never raised."""
        begun = self._clock.now()
        try:
            async with asyncio.timeout(seconds):
                taken = await self._take_or_renew()
        except ApiFailure as failure:
            # Somebody was quicker; what they wrote is read at the next try.
            if not failure.conflicting:
                self._complain("refused" if failure.refused or failure.missing else "failed", failure)
            return False
        except (Unreachable, TimeoutError) as error:
            self._complain("failed", error)
            return False
        self._trouble = ""
        if taken:
            self._renewed_at = begun
        return taken

    async def _take_or_renew(self) -> bool:
        try:
            lease = await self._client.get(self._item)
        except ApiFailure as failure:
            if not failure.missing:
                raise
            body = {
                "apiVersion": LEASES.api_version,
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": self._spec({}),
            }
            self._observe(await self._client.create(self._collection, body))
            return True
        self._observe(lease)
        spec = _spec_of(lease)
        if self._held_by_another() and self._clock.now() < self._changed_at + _seconds(spec, self._times.duration):
            return False
        self._observe(await self._client.replace(self._item, {**lease, "spec": {**spec, **self._spec(spec)}}))
        return True

    def _observe(self, lease: dict[str, Any]) -> None:
        """Call it as soon as the answer is there. Its holder may have renewed while the answer was on its way, so its
        time counts from now on; our own renewal counts from before the request."""
        if self._observed is None or _spec_of(self._observed) != _spec_of(lease):
            self._changed_at = self._clock.now()
        self._observed = lease

    def _held_by_another(self) -> bool:
        holder = _spec_of(self._observed or {}).get("holderIdentity")
        return bool(holder) and holder != self._identity

    def _spec(self, spec: dict[str, Any]) -> dict[str, Any]:
        """What we write into a Lease that says ``spec``: who leads, since when, renewed now."""
        now = _micro_time(self._clock.utc())
        known, holder = spec.get("leaseTransitions"), spec.get("holderIdentity")
        transitions = known if isinstance(known, int) else 0
        ours = holder == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._times.duration)),
            "acquireTime": spec.get("acquireTime") or now if ours else now,
            "renewTime": now,
            "leaseTransitions": transitions if ours or not spec else transitions + 1,
        }

    async def _release(self) -> None:
        """Clear the holder if it is us. Failing is fine: then others wait for the lease to expire."""
        leading, self._renewed_at = self.leading, None
        if not leading or self._observed is None:
            return
        now = _micro_time(self._clock.utc())
        spec = {
            **_spec_of(self._observed),
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": now,
            "renewTime": now,
        }
        try:
            async with asyncio.timeout(_RELEASE_S):
                # With the resource version of our last renewal: a Lease that somebody else has taken stays theirs.
                await self._client.replace(self._item, {**self._observed, "spec": spec})
        except (ApiFailure, Unreachable, TimeoutError) as error:
            logger.debug("the lease %s/%s could not be released: %s", self._namespace, self._name, error)

    def _complain(self, trouble: str, error: Exception) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        hint = ""
        if trouble == "refused":
            hint = "; the gateway needs get, create and update of leases in its own namespace to write status"
        said = str(error) or "no answer in time"
        logger.warning("the lease %s/%s cannot be had: %s%s", self._namespace, self._name, said, hint)


def _spec_of(lease: dict[str, Any]) -> dict[str, Any]:
    spec = lease.get("spec")
    return spec if isinstance(spec, dict) else {}


def _seconds(spec: dict[str, Any], default: float) -> float:
    """How long the holder's claim holds, which is for the holder to say."""
    given = spec.get("leaseDurationSeconds")
    return float(given) if isinstance(given, int) and given > 0 else default


def _micro_time(moment: datetime) -> str:
    """``metav1.MicroTime``: RFC 3339 with six digits."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
