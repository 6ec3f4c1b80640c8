"""Parts that Mapping and Module share: headers, CORS, retries, breakers, balancing, checks, labels, error bodies."""

from collections.abc import Mapping as Map
from typing import Annotated, Literal

import msgspec

from gateway.resources.model import Part

NotNegative = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""The upper end is the largest integer that every JSON reader keeps exact."""
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class AddedHeader(Part, frozen=True, kw_only=True, gc=False):
    """A header to add; ``append`` unset means true: values that exist already stay."""

    value: str = ""
    append: bool | None = None
    v2_representation: str = msgspec.field(default="", name="v2Representation")

    @property
    def appends(self) -> bool:
        """Whether existing values stay."""
        return self.append is not False


class RegexRewrite(Part, frozen=True, kw_only=True, gc=False):
    """An RE2 pattern and its substitution (``\\1`` groups)."""

    pattern: str = ""
    substitution: str = ""


class RetryPolicy(Part, frozen=True, kw_only=True, gc=False):
    """When and how often a request is sent again; ``per_try_timeout`` is a Go duration."""

    retry_on: (
        Literal["5xx", "gateway-error", "connect-failure", "retriable-4xx", "refused-stream", "retriable-status-codes"]
        | None
    ) = None
    num_retries: NotNegative | None = None
    per_try_timeout: str = ""


class CircuitBreaker(Part, frozen=True, kw_only=True, gc=False):
    """Limits towards one cluster; ``None`` means Envoy's default (1024, retries 3)."""

    priority: Literal["default", "high"] = "default"
    max_connections: NotNegative | None = None
    max_pending_requests: NotNegative | None = None
    max_requests: NotNegative | None = None
    max_retries: NotNegative | None = None


class LoadBalancerCookie(Part, frozen=True, kw_only=True, gc=False):
    """A cookie to hash; with ``ttl`` (Go duration) the gateway makes it when it is absent."""

    name: str
    path: str = ""
    ttl: str = ""


class LoadBalancer(Part, frozen=True, kw_only=True, gc=False):
    """How an endpoint is chosen. ``ring_hash`` and ``maglev`` hash exactly one of cookie, header and source address."""

    policy: Literal["round_robin", "least_request", "ring_hash", "maglev"]
    cookie: LoadBalancerCookie | None = None
    header: str = ""
    source_ip: bool = False


class StatusRange(Part, frozen=True, kw_only=True, gc=False):
    """Status codes from ``min`` to ``max``, both included."""

    min: Annotated[int, msgspec.Meta(ge=100, le=599)]
    max: Annotated[int, msgspec.Meta(ge=100, le=599)]


class HttpHealthCheck(Part, frozen=True, kw_only=True, gc=False):
    """A check by an HTTP request; 200 is expected when nothing is listed."""

    path: str
    hostname: str = ""
    add_request_headers: Map[str, AddedHeader] = {}
    remove_request_headers: tuple[str, ...] = ()
    expected_statuses: tuple[StatusRange, ...] = ()


class GrpcHealthCheck(Part, frozen=True, kw_only=True, gc=False):
    """A check by ``grpc.health.v1``."""

    upstream_name: str
    authority: str = ""


class HealthCheckLayer(Part, frozen=True, kw_only=True, gc=False):
    """Exactly one of the two is set."""

    http: HttpHealthCheck | None = None
    grpc: GrpcHealthCheck | None = None


class HealthCheck(Part, frozen=True, kw_only=True, gc=False):
    """An active check; ``interval`` and ``timeout`` are Go durations (defaults 5s and 3s)."""

    health_check: HealthCheckLayer
    healthy_threshold: NotNegative | None = None
    unhealthy_threshold: NotNegative | None = None
    interval: str = ""
    timeout: str = ""


class OutlierDetection(Part, frozen=True, kw_only=True, gc=False):
    """Envoy's passive checks by Envoy's names; ``None`` means Envoy's default. Times are Go durations."""

    consecutive_5xx: NotNegative | None = None
    consecutive_gateway_failure: NotNegative | None = None
    consecutive_local_origin_failure: NotNegative | None = None
    interval: str = ""
    base_ejection_time: str = ""
    max_ejection_time: str = ""
    max_ejection_percent: Percent | None = None
    always_eject_one_host: bool | None = None
    split_external_local_origin_errors: bool | None = None
    enforcing_consecutive_5xx: Percent | None = None
    enforcing_consecutive_gateway_failure: Percent | None = None
    enforcing_consecutive_local_origin_failure: Percent | None = None
    enforcing_success_rate: Percent | None = None
    success_rate_minimum_hosts: NotNegative | None = None
    success_rate_request_volume: NotNegative | None = None
    success_rate_stdev_factor: NotNegative | None = None


class KeepAlive(Part, frozen=True, kw_only=True, gc=False):
    """TCP keep-alive towards the upstream; ``idle_time`` and ``interval`` are seconds."""

    idle_time: NotNegative | None = None
    time: NotNegative | None = None
    interval: NotNegative | None = None
    probes: NotNegative | None = None


class Cors(Part, frozen=True, kw_only=True, gc=False):
    """Cross-origin policy; ``max_age`` is seconds as text."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    credentials: bool | None = None
    max_age: str = ""
    v2_comma_separated_origins: bool = msgspec.field(default=False, name="v2CommaSeparatedOrigins")


class ClusterLabel(Part, frozen=True, kw_only=True, gc=False):
    """``source_cluster`` or ``destination_cluster``."""

    key: str


class HeaderLabel(Part, frozen=True, kw_only=True, gc=False):
    """The value of a request header under ``key``; an absent header drops the label or the whole group."""

    key: str
    header_name: str
    omit_if_not_present: bool | None = None


class AddressLabel(Part, frozen=True, kw_only=True, gc=False):
    """The trusted client address under the key ``remote_address``."""

    key: str = "remote_address"


class GenericLabel(Part, frozen=True, kw_only=True, gc=False):
    """A constant; the key is ``generic_key`` when none is given."""

    value: str
    key: str = ""
    v2_shorthand: bool = msgspec.field(default=False, name="v2Shorthand")


class LabelSpecifier(Part, frozen=True, kw_only=True, gc=False):
    """One rate-limit descriptor entry; exactly one field is set."""

    source_cluster: ClusterLabel | None = None
    destination_cluster: ClusterLabel | None = None
    request_headers: HeaderLabel | None = None
    remote_address: AddressLabel | None = None
    generic_key: GenericLabel | None = None


class TextSource(Part, frozen=True, kw_only=True, gc=False):
    """A file of the gateway's own file system."""

    filename: str = ""


class ErrorBody(Part, frozen=True, kw_only=True, gc=False):
    """The body of a replaced error answer; exactly one of the three formats is set."""

    text_format: str | None = None
    json_format: Map[str, str] | None = None
    text_format_source: TextSource | None = None
    content_type: str = ""


class ErrorResponseOverride(Part, frozen=True, kw_only=True, gc=False):
    """Replaces the body of answers with one status code."""

    on_status_code: Annotated[int, msgspec.Meta(ge=400, le=599)]
    body: ErrorBody
