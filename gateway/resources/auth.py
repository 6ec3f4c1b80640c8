"""getambassador.io AuthService: a service that is asked whether a request may pass (Envoy: ext_authz)."""

from collections.abc import Mapping as Map
from typing import ClassVar, Literal

import msgspec

from gateway.diagnostics import Origin
from gateway.resources.mapping import ExplicitTls
from gateway.resources.model import GETAMBASSADOR, Integer, Metadata, Part, Resource
from gateway.resources.policy import CircuitBreaker, NotNegative

ProtocolVersion = Literal["v2", "v3"]
"""Version of Envoy's service protocols. v2 ended with Envoy 1.18; the gateway speaks v3 whatever is asked for."""


class IncludeBody(Part, frozen=True, kw_only=True, gc=False):
    """How much of the body the service sees; ``allow_partial`` sends the beginning of a larger one."""

    max_bytes: NotNegative
    allow_partial: bool


class StatusOnError(Part, frozen=True, kw_only=True, gc=False):
    """The status of the answer when the service cannot be asked; 403 if not set."""

    code: Integer | None = None


class AuthServiceSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of an AuthService. Several AuthServices are one cluster, over which requests are balanced."""

    ambassador_id: tuple[str, ...] = ()
    auth_service: str
    proto: Literal["http", "grpc"] | None = None
    protocol_version: ProtocolVersion | None = None
    path_prefix: str = ""
    tls: str = ""
    timeout_ms: NotNegative | None = None
    allowed_request_headers: tuple[str, ...] = ()
    allowed_authorization_headers: tuple[str, ...] = ()
    add_auth_headers: Map[str, str] = {}
    add_linkerd_headers: bool | None = None
    allow_request_body: bool = False
    """Older form of ``include_body``: the first 4096 bytes."""
    include_body: IncludeBody | None = None
    failure_mode_allow: bool = False
    status_on_error: StatusOnError | None = None
    circuit_breakers: tuple[CircuitBreaker, ...] | None = None
    stats_name: str = ""

    # Round-trip helper of the version conversion; it has no effect.
    v2_explicit_tls: ExplicitTls | None = msgspec.field(default=None, name="v2ExplicitTLS")


class AuthService(Resource, frozen=True, kw_only=True, weakref=True):
    """External authorisation of all Mappings that do not bypass it."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "AuthService"

    spec: AuthServiceSpec


def closed_auth_service(metadata: Metadata, origin: Origin) -> AuthService:
    """What stands in for an AuthService that cannot be read: it guards routes, and no service can be asked."""
    return AuthService(metadata=metadata, origin=origin, spec=AuthServiceSpec(auth_service=""))
