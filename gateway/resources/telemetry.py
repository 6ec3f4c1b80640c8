"""getambassador.io TracingService and LogService: where traces and access logs are sent."""

from typing import ClassVar, Literal

from gateway.resources.auth import ProtocolVersion
from gateway.resources.model import GETAMBASSADOR, Integer, Part, Resource
from gateway.resources.policy import NotNegative

PropagationMode = Literal["ENVOY", "LIGHTSTEP", "B3", "TRACE_CONTEXT"]


class TraceSampling(Part, frozen=True, kw_only=True, gc=False):
    """Shares of requests in percent: those that clients ask for, those drawn at random, and all together."""

    client: Integer | None = None
    random: Integer | None = None
    overall: Integer | None = None


class LiteralTag(Part, frozen=True, kw_only=True, gc=False):
    """A constant."""

    value: str


class EnvironmentTag(Part, frozen=True, kw_only=True, gc=False):
    """A variable of the gateway's own environment."""

    name: str
    default_value: str = ""


class RequestHeaderTag(Part, frozen=True, kw_only=True, gc=False):
    """The value of a request header."""

    name: str
    default_value: str = ""


class CustomTag(Part, frozen=True, kw_only=True, gc=False):
    """A tag of every span; exactly one source is set."""

    tag: str
    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    request_header: RequestHeaderTag | None = None


class TraceConfig(Part, frozen=True, kw_only=True, gc=False):
    """Settings of a driver; each driver reads its own."""

    access_token_file: str = ""
    collector_cluster: str = ""
    collector_endpoint: str = ""
    collector_endpoint_version: Literal["HTTP_JSON_V1", "HTTP_JSON", "HTTP_PROTO"] | None = None
    collector_hostname: str = ""
    propagation_modes: tuple[PropagationMode, ...] = ()
    service_name: str = ""
    shared_span_context: bool | None = None
    trace_id_128bit: bool | None = None


class TracingServiceSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a TracingService."""

    ambassador_id: tuple[str, ...] = ()
    driver: Literal["lightstep", "zipkin", "datadog", "opentelemetry"]
    service: str
    sampling: TraceSampling | None = None
    custom_tags: tuple[CustomTag, ...] = ()
    tag_headers: tuple[str, ...] = ()
    """Older form of ``custom_tags``: request headers whose values become tags of the same name."""
    config: TraceConfig | None = None
    stats_name: str = ""


class TracingService(Resource, frozen=True, kw_only=True, weakref=True):
    """Where spans are sent; only one counts."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "TracingService"

    spec: TracingServiceSpec


class LoggedHeader(Part, frozen=True, kw_only=True, gc=False):
    """A header that is logged, of requests, of answers, of trailers."""

    header_name: str = ""
    during_request: bool = False
    during_response: bool = False
    during_trailer: bool = False


class LogDriverConfig(Part, frozen=True, kw_only=True, gc=False):
    """Settings of the driver ``http``."""

    additional_log_headers: tuple[LoggedHeader, ...] = ()


class LogServiceSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a LogService. ``flush_interval_time`` is seconds, ``flush_interval_byte_size`` bytes."""

    ambassador_id: tuple[str, ...] = ()
    service: str = ""
    driver: Literal["tcp", "http"] | None = None
    driver_config: LogDriverConfig | None = None
    flush_interval_time: NotNegative | None = None
    flush_interval_byte_size: NotNegative | None = None
    grpc: bool | None = None
    protocol_version: ProtocolVersion | None = None
    stats_name: str = ""


class LogService(Resource, frozen=True, kw_only=True, weakref=True):
    """A service that receives the access log (Envoy: gRPC access log service)."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "LogService"

    spec: LogServiceSpec = LogServiceSpec()
