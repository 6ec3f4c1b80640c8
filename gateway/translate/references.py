"""Which Secrets the objects refer to: a source asks the cluster for these, and for no others.

The rules are those of :mod:`gateway.translate.ambassador.termination`, :mod:`gateway.translate.clusters` and
:mod:`gateway.translate.ingress`; whoever reads a Secret or a ConfigMap in a new place names it here. More than what
will be used is harmless, less is an object that never comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.base.keys import ObjectKey, kind_group
from gateway.diagnostics import Collector
from gateway.resources import Host, Ingress, IngressClass, Secret, TLSContext
from gateway.translate.ambassador.hosts import FALLBACK_SECRET
from gateway.translate.certificates import secret_place
from gateway.translate.classes import classify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.resources import ResourceSet
    from gateway.resources.hosts import TlsSettings
    from gateway.translate.settings import TranslateSettings

_SECRET = kind_group(Secret.KIND, Secret.GROUP)


class References:
    """Calculates the references of successive sets; again only when an object that can refer to something changed."""

    __slots__ = ("_found", "_settings", "_views")

    def __init__(self, settings: TranslateSettings) -> None:
        self._settings = settings
        self._views: tuple[object, ...] = ()
        self._found: frozenset[ObjectKey] = frozenset()

    def of(self, resources: ResourceSet) -> frozenset[ObjectKey]:
        """The objects that are referred to, whether they are there or not; the same set while nothing changed."""
        views = tuple(resources.of(kind) for kind in (Host, TLSContext, Ingress, IngressClass))
        if not self._views or any(new is not old for new, old in zip(views, self._views, strict=True)):
            self._views = views
            places = frozenset(_places(resources, self._settings))
            found = frozenset(ObjectKey(_SECRET, namespace, name) for namespace, name in places)
            self._found = self._found if found == self._found else found
        return self._found


def _places(resources: ResourceSet, settings: TranslateSettings) -> Iterator[tuple[str, str]]:
    yield settings.namespace, FALLBACK_SECRET
    for host in resources.of(Host):
        own = host.spec.tls_secret
        if own is not None and own.name:
            yield own.namespace or host.namespace, own.name
        if host.spec.tls is not None:
            yield from _authorities(host.spec.tls, host.namespace, namespacing=True)
    for context in resources.of(TLSContext):
        namespacing = context.spec.secret_namespacing is not False
        if context.spec.secret:
            yield secret_place(context.spec.secret, context.namespace, namespacing=namespacing)
        yield from _authorities(context.spec, context.namespace, namespacing=namespacing)
    classified = classify(resources, settings, Collector())
    for ingress in (*classified.plain, *classified.emissary):
        for section in ingress.spec.tls:
            if section.secret_name:
                yield ingress.namespace, section.secret_name


def _authorities(tls: TlsSettings, namespace: str, *, namespacing: bool) -> Iterator[tuple[str, str]]:
    for name in (tls.ca_secret, tls.crl_secret):
        if name:
            yield secret_place(name, namespace, namespacing=namespacing)
