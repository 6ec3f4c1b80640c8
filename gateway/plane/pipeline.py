"""From the objects of a source to an encoded configuration: the pure part of an update, run in a thread."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.ir import Encoder
from gateway.resources.reader import ReadSettings
from gateway.sources import DirectorySource
from gateway.sources.consul import ConsulError, WithConsul
from gateway.translate import Memo, TranslateSettings, translate
from gateway.translate.references import References

if TYPE_CHECKING:
    from gateway.diagnostics import Diagnostic
    from gateway.ir import Gateway, Section
    from gateway.resources import ResourceSet
    from gateway.settings import ConsulSettings, KubernetesSettings, Settings
    from gateway.sources import Source, SourceState
    from gateway.sources.consul.follower import Consul
    from gateway.sources.kubernetes import KubernetesSource
    from gateway.sources.statuses import SeenStatuses


@dataclass(frozen=True, slots=True)
class Update:
    """A translated configuration."""

    model: Gateway
    sections: tuple[Section, ...]
    diagnostics: tuple[Diagnostic, ...]
    resources: ResourceSet
    """What it was made from."""
    refused: int = 0
    """Objects of the source that are left out because of an error in them."""

    @property
    def objects(self) -> int:
        """Objects of the source, those that are refused among them."""
        return len(self.resources) + self.refused


class Translator:
    """Source states to updates. Keeps what it needs to translate only what changed; one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = translate_settings(settings)
        self._memo = Memo()
        self._encoder = Encoder()

    def translate(self, state: SourceState) -> Update:
        result = translate(state.resources, self._settings, self._memo)
        found = (*state.diagnostics, *result.diagnostics)
        return Update(result.gateway, self._encoder.encode(result.gateway), found, state.resources, state.refused)


def translate_settings(settings: Settings) -> TranslateSettings:
    """The part of the settings that translation depends on."""
    listen = settings.listen
    return TranslateSettings(
        http_port=listen.http_port,
        https_port=listen.https_port,
        bind_address=listen.bind_address,
        ambassador_id=settings.ambassador_id,
        namespace=settings.namespace,
        # A folder is written for this gateway; in a cluster an Ingress without a class may be anybody's.
        unclassified_ingress=settings.kubernetes is None,
        strict_label_selectors=settings.strict_label_selectors,
        allow_unenforced_auth=settings.allow_unenforced_auth,
        access_log=settings.access_log,
        max_connections=settings.overload.max_connections,
        max_connections_per_address=settings.overload.max_connections_per_address,
    )


def make_source(settings: Settings, seen: SeenStatuses | None = None) -> Source:
    """Files and folders, or the cluster where there are none; with the instances that Consul knows. ``seen`` is told
    what objects of a cluster say in their status."""
    return WithConsul(_objects(settings, seen), settings.namespace, lambda: _consul(settings.consul))


def _consul(settings: ConsulSettings) -> Consul:
    try:
        from gateway.sources.consul.client import ConsulClient
    except ImportError as error:
        raise ConsulError(f"Consul cannot be asked without the package {error.name}") from error
    return ConsulClient(settings)


def _objects(settings: Settings, seen: SeenStatuses | None) -> Source:
    if settings.kubernetes is not None:
        return kubernetes_source(settings, settings.kubernetes, seen)
    return _folders(settings)


def _folders(settings: Settings) -> DirectorySource:
    read = ReadSettings(settings.ambassador_id, settings.namespace, settings.variables)
    return DirectorySource(settings.paths, read)


def kubernetes_source(
    settings: Settings, cluster: KubernetesSettings, seen: SeenStatuses | None = None
) -> KubernetesSource:
    """The objects of a cluster. Their authors are many, so they may name no variables of the gateway's environment."""
    # The client of the Kubernetes API takes memory that a gateway with manifests in a folder does not need.
    from gateway.sources.kubernetes import KubernetesSource

    references = References(translate_settings(settings))
    read = ReadSettings(settings.ambassador_id, settings.namespace)
    return KubernetesSource(cluster, read, references.of, seen=seen)


def load(settings: Settings) -> Update:
    """Read and translate once, without serving. Raises :class:`ConnectionError` when a cluster does not answer."""
    if settings.kubernetes is None:
        state = _folders(settings).load()
    else:
        state = asyncio.run(kubernetes_source(settings, replace(settings.kubernetes, state_dir="")).load())
    return Translator(settings).translate(state)
