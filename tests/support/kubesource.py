"""The Kubernetes source against a scripted API server, with rests that cost no time."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kubernetes.aio.client import Configuration

from gateway.kube import KubeClient
from gateway.kube.timing import Timing
from gateway.resources.reader import ReadSettings
from gateway.settings import KubernetesSettings
from gateway.sources.kubernetes import KubernetesSource
from gateway.translate import TranslateSettings
from gateway.translate.references import References
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.kube import Access
    from gateway.resources import ResourceSet
    from gateway.sources import SourceState
    from tests.support.kubeapi import ScriptedApi


@dataclass(slots=True)
class Hurry:
    """A clock that rests move forward instead of waiting for it."""

    now: float = 1000.0
    rests: list[float] = field(default_factory=list)

    @property
    def timing(self) -> Timing:
        return Timing(clock=lambda: self.now, chance=lambda: 0.5, rest=self._rest, pause=self._rest)

    async def _rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds
        await asyncio.sleep(0.002)


def client_of(api: ScriptedApi) -> KubeClient:
    configuration = Configuration()
    configuration.host = api.url
    return KubeClient(configuration)


def make_source(
    api: ScriptedApi, hurry: Hurry | None = None, settings: KubernetesSettings | None = None
) -> KubernetesSource:
    async def connect(_: Access) -> KubeClient:
        return client_of(api)

    return KubernetesSource(
        settings or KubernetesSettings(),
        ReadSettings("default", "gateways"),
        References(TranslateSettings(namespace="gateways")).of,
        connect=connect,
        timing=hurry.timing if hurry is not None else None,
    )


@dataclass(slots=True)
class Followed:
    """What a source has said so far."""

    source: KubernetesSource
    states: list[SourceState] = field(default_factory=list)

    @property
    def last(self) -> SourceState:
        return self.states[-1]

    @property
    def resources(self) -> ResourceSet:
        return self.last.resources

    @property
    def codes(self) -> set[str]:
        return {one.code for one in self.last.diagnostics}

    async def until(self, condition: Callable[[ResourceSet], Any], what: str) -> None:
        """Wait for a state that fulfils a condition."""
        await eventually(lambda: self.states and condition(self.resources), what)


@contextlib.asynccontextmanager
async def followed(source: KubernetesSource) -> AsyncIterator[Followed]:
    """Collect the states of a source."""
    seen = Followed(source)

    async def collect() -> None:
        async with contextlib.aclosing(source.watch()) as states:
            async for state in states:
                seen.states.append(state)

    task = asyncio.create_task(collect())
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def mapping(name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Mapping",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hostname": "*", "prefix": f"/{name}/", "service": "quote", **spec},
    }


def host(name: str, secret: str = "", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Host",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hostname": f"{name}.example.org", **({"tlsSecret": {"name": secret}} if secret else {}), **spec},
    }


def secret(name: str, namespace: str = "default", **values: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "namespace": namespace},
        "data": values or {"tls.crt": "Zmlyc3Q=", "tls.key": "a2V5"},
    }
