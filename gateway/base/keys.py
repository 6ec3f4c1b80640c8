"""Names of objects."""

from __future__ import annotations

from typing import NamedTuple


class ObjectKey(NamedTuple):
    """The identity of an object in one cluster or folder.

    ``kind_group`` is the kind followed by its API group, as ``kubectl`` writes it: ``Mapping.getambassador.io``,
    ``Ingress.networking.k8s.io``, and the bare kind for the core group (``Service``). The API version is not part of
    the identity: one object may be read in several versions.
    """

    kind_group: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind_group} {self.namespace}/{self.name}" if self.namespace else f"{self.kind_group} {self.name}"


def kind_group(kind: str, group: str) -> str:
    """Join a kind and its API group; the core group is the empty string."""
    return f"{kind}.{group}" if group else kind
