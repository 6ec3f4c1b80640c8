"""From the objects of a source to an encoded configuration: the pure part of an update, run in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.ir import Encoder
from gateway.resources.reader import ReadSettings
from gateway.sources import DirectorySource
from gateway.translate import Memo, TranslateSettings, translate

if TYPE_CHECKING:
    from gateway.diagnostics import Diagnostic
    from gateway.ir import Gateway, Section
    from gateway.resources import ResourceSet
    from gateway.settings import Settings
    from gateway.sources import SourceState


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
        listen = settings.listen
        self._settings = TranslateSettings(
            http_port=listen.http_port,
            https_port=listen.https_port,
            bind_address=listen.bind_address,
            ambassador_id=settings.ambassador_id,
            namespace=settings.namespace,
            unclassified_ingress=True,
            strict_label_selectors=settings.strict_label_selectors,
            allow_unenforced_auth=settings.allow_unenforced_auth,
            access_log=settings.access_log,
            max_connections=settings.overload.max_connections,
            max_connections_per_address=settings.overload.max_connections_per_address,
        )
        self._memo = Memo()
        self._encoder = Encoder()

    def translate(self, state: SourceState) -> Update:
        result = translate(state.resources, self._settings, self._memo)
        found = (*state.diagnostics, *result.diagnostics)
        return Update(result.gateway, self._encoder.encode(result.gateway), found, state.resources, state.refused)


def make_source(settings: Settings) -> DirectorySource:
    """The source of this release: files and folders."""
    return DirectorySource(settings.paths, ReadSettings(settings.ambassador_id, settings.namespace, settings.variables))


def load(settings: Settings) -> Update:
    """Read and translate once, without serving."""
    return Translator(settings).translate(make_source(settings).load())
