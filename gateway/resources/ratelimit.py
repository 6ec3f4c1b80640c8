"""getambassador.io RateLimitService, and RateLimit of Ambassador Edge Stack: limits on the labels of Mappings.

A RateLimitService is asked about the labels (Envoy: ``rls.proto``); RateLimits are enforced by the gateway itself.
Source of the rules: the "Rate limiting reference" of the Edge Stack documentation.
"""

from collections.abc import Mapping as Map
from typing import Annotated, ClassVar, Literal

import msgspec

from gateway.resources.auth import ProtocolVersion
from gateway.resources.mapping import ExplicitTls
from gateway.resources.model import GETAMBASSADOR, CamelPart, Part, Resource
from gateway.resources.policy import NotNegative

Unit = Literal["second", "minute", "hour", "day"]
UNIT_MS: Map[Unit, int] = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}


class InjectedHeader(CamelPart, frozen=True, kw_only=True, gc=False):
    """A header whose value is a Go template."""

    name: str
    value: str


class LimitErrorResponse(CamelPart, frozen=True, kw_only=True, gc=False):
    """The answer to a refused request; ``body_template`` is a Go template."""

    headers: tuple[InjectedHeader, ...] = ()
    body_template: str = ""


class Limit(CamelPart, frozen=True, kw_only=True, gc=False):
    """One limit. ``pattern`` is a sequence of descriptor entries in order; a value of ``*`` or empty text matches any.

    The reader lowers ``unit`` and gives ``action`` its canonical case. ``burst_factor`` multiplies ``rate`` to the size
    of the bucket.
    """

    name: str = ""
    action: Literal["Enforce", "LogOnly"] = "Enforce"
    pattern: tuple[Map[str, str], ...]
    rate: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    unit: Unit
    burst_factor: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    inject_request_headers: tuple[InjectedHeader, ...] = ()
    inject_response_headers: tuple[InjectedHeader, ...] = ()
    error_response: LimitErrorResponse | None = None

    @property
    def period_ms(self) -> int:
        """Milliseconds of the unit."""
        return UNIT_MS[self.unit]


class RateLimitSpec(CamelPart, frozen=True, kw_only=True, gc=False):
    """``spec`` of a RateLimit."""

    ambassador_id: tuple[str, ...] = msgspec.field(default=(), name="ambassador_id")
    domain: str
    limits: tuple[Limit, ...] = ()


class RateLimit(Resource, frozen=True, kw_only=True, weakref=True):
    """Limits of one label domain."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "RateLimit"

    spec: RateLimitSpec

    def limit_name(self, index: int) -> str:
        """The name of a limit: its own, or ``NAME.NAMESPACE-INDEX`` as Edge Stack builds it."""
        return self.spec.limits[index].name or f"{self.name}.{self.namespace}-{index}"


class RateLimitGrpc(Part, frozen=True, kw_only=True, gc=False):
    """Answers to gRPC clients: ``RESOURCE_EXHAUSTED`` instead of ``UNAVAILABLE``."""

    use_resource_exhausted_code: bool = False


class RateLimitServiceSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a RateLimitService; ``domain`` is ``ambassador`` if not set."""

    ambassador_id: tuple[str, ...] = ()
    service: str
    domain: str = ""
    protocol_version: ProtocolVersion | None = None
    timeout_ms: NotNegative | None = None
    tls: str = ""
    failure_mode_deny: bool = False
    grpc: RateLimitGrpc | None = None
    stats_name: str = ""

    # Round-trip helper of the version conversion; it has no effect.
    v2_explicit_tls: ExplicitTls | None = msgspec.field(default=None, name="v2ExplicitTLS")


class RateLimitService(Resource, frozen=True, kw_only=True, weakref=True):
    """A limiter that is asked about the labels of requests; only one counts."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "RateLimitService"

    spec: RateLimitServiceSpec
