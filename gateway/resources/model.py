"""What all objects have in common: metadata, origin, selectors.

Models are frozen ``msgspec`` structs. ``Map`` fields are read-only by type; nobody changes them after reading.
Field names are those of the manifest, in snake case (``hostBinding`` is ``host_binding``).
"""

from collections.abc import Mapping as Map
from typing import Annotated, ClassVar, Literal

import msgspec

from gateway.base.keys import ObjectKey, kind_group
from gateway.diagnostics import Origin

DEFAULT_NAMESPACE = "default"
DEFAULT_AMBASSADOR_ID = "default"
GETAMBASSADOR = "getambassador.io"
Integer = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""``format: int32`` of the Kubernetes API."""


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A part of an object of which all fields are known: an unknown one is reported."""


class CamelPart(Part, frozen=True, kw_only=True, gc=False, rename="camel"):
    """The same for objects whose fields are written in camel case."""


class OpenPart(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """A part of a core Kubernetes object that has more fields than the gateway reads."""


class Metadata(OpenPart, frozen=True, kw_only=True, gc=False):
    """``metadata`` of any object. ``creation_timestamp`` is RFC 3339 text as the API server writes it."""

    name: str
    namespace: str = ""
    labels: Map[str, str] = {}
    annotations: Map[str, str] = {}
    creation_timestamp: str | None = None
    generation: int = 0
    uid: str = ""
    resource_version: str = ""


class Location(msgspec.Struct, frozen=True, gc=False, order=True):
    """Where an object stands in a file: ``document`` counts from 0, ``line`` from 1.

    It is kept beside the object (:meth:`ResourceSet.location`), because an object that only moves inside its file must
    stay the same object.
    """

    path: str = ""
    document: int = 0
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


class Resource(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
    """Base of all typed objects. Equality is by content; reloads keep the identity of unchanged objects."""

    GROUP: ClassVar[str] = ""
    KIND: ClassVar[str] = ""

    metadata: Metadata
    origin: Origin

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """``metadata.namespace``; ``default`` when the manifest has none; empty for cluster-wide kinds."""
        return self.metadata.namespace

    @property
    def kind(self) -> str:
        """The kind as manifests write it."""
        return self.KIND

    @property
    def key(self) -> ObjectKey:
        """The identity in the :class:`~gateway.resources.resource_set.ResourceSet`."""
        return ObjectKey(kind_group(self.KIND, self.GROUP), self.metadata.namespace, self.metadata.name)


class SelectorRequirement(CamelPart, frozen=True, kw_only=True, gc=False):
    """One ``matchExpressions`` entry of a label selector."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def matches(self, labels: Map[str, str]) -> bool:
        """Apply the rules of ``metav1.LabelSelectorRequirement``; ``NotIn`` holds for an absent label."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None


class LabelSelector(CamelPart, frozen=True, kw_only=True, gc=False):
    """``metav1.LabelSelector``: all labels and all expressions must hold; an empty one holds always."""

    match_labels: Map[str, str] = {}
    match_expressions: tuple[SelectorRequirement, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it selects everything."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Map[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )
