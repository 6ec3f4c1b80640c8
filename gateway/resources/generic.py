"""Objects that are accepted without being acted on, so that a manifest of Emissary loads as it is."""

from collections.abc import Mapping as Map
from typing import ClassVar

from gateway.base.keys import ObjectKey, kind_group
from gateway.resources.model import GETAMBASSADOR, Resource

ACCEPTED_KINDS = frozenset({"Filter", "FilterPolicy"})


class Generic(Resource, frozen=True, kw_only=True, weakref=True):
    """An object of the group getambassador.io whose ``spec`` is kept as it was written.

    Translation uses it to fail closed: a route that a FilterPolicy should protect is not served without it.
    """

    GROUP: ClassVar[str] = GETAMBASSADOR

    generic_kind: str
    spec: Map[str, object]

    @property
    def kind(self) -> str:
        """The kind as the manifest writes it."""
        return self.generic_kind

    @property
    def key(self) -> ObjectKey:
        """The identity, with the object's own kind."""
        return ObjectKey(kind_group(self.generic_kind, GETAMBASSADOR), self.metadata.namespace, self.metadata.name)
