"""getambassador.io DevPortal of Ambassador Edge Stack; read and kept, not acted on."""

from collections.abc import Mapping as Map
from typing import ClassVar, Literal

from gateway.resources.model import GETAMBASSADOR, CamelPart, Part, Resource
from gateway.resources.policy import NotNegative


class PortalContent(Part, frozen=True, kw_only=True, gc=False):
    """A Git repository with the pages of the portal."""

    url: str = ""
    branch: str = ""
    dir: str = ""


class PortalDocs(Part, frozen=True, kw_only=True, gc=False):
    """The API description of one service."""

    service: str = ""
    url: str = ""
    timeout_ms: NotNegative | None = None


class PortalSelector(CamelPart, frozen=True, kw_only=True, gc=False):
    """Which Mappings are documented."""

    match_namespaces: tuple[str, ...] = ()
    match_labels: Map[str, str] = {}


class PortalSearch(Part, frozen=True, kw_only=True, gc=False):
    """What the search of the portal looks at."""

    enabled: bool = False
    type: Literal["title-only", "all-content"] | None = None


class DevPortalSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a DevPortal."""

    ambassador_id: tuple[str, ...] = ()
    default: bool = False
    content: PortalContent | None = None
    docs: tuple[PortalDocs, ...] = ()
    selector: PortalSelector | None = None
    naming_scheme: Literal["namespace.name", "name.prefix"] | None = None
    search: PortalSearch | None = None
    preserve_servers: bool | None = None


class DevPortal(Resource, frozen=True, kw_only=True, weakref=True):
    """A developer portal."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "DevPortal"

    spec: DevPortalSpec = DevPortalSpec()
