"""getambassador.io TCPMapping: connections that are forwarded without being read."""

from typing import Annotated, ClassVar

import msgspec

from gateway.resources.core import PortNumber
from gateway.resources.mapping import ExplicitTls
from gateway.resources.model import GETAMBASSADOR, Part, Resource
from gateway.resources.policy import CircuitBreaker, NotNegative


class TCPMappingSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a TCPMapping. ``host`` is the name in the client's TLS hello, ``address`` the one to bind."""

    ambassador_id: tuple[str, ...] = ()
    port: PortNumber
    service: str
    host: str = ""
    address: str = ""
    weight: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    tls: str = ""
    resolver: str | None = None
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    circuit_breakers: tuple[CircuitBreaker, ...] | None = None
    idle_timeout_ms: str | NotNegative = ""
    """Milliseconds, or a duration such as ``10m``; the CRD of Emissary takes only a string."""
    cluster_tag: str = ""
    stats_name: str = ""

    # Round-trip helper of the version conversion; it has no effect.
    v2_explicit_tls: ExplicitTls | None = msgspec.field(default=None, name="v2ExplicitTLS")


class TCPMapping(Resource, frozen=True, kw_only=True, weakref=True):
    """A TCP route of the Ambassador dialect."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "TCPMapping"

    spec: TCPMappingSpec
