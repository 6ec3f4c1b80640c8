"""How the gateway learns that an endpoint is not to be used."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.ir.actions import HeaderEdits


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Status codes from ``low`` to ``high``, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A GET for ``path``. An empty ``host`` is the name of the cluster; no ``expected`` range means 200."""

    path: str
    host: str = ""
    request_headers: HeaderEdits = field(default_factory=HeaderEdits)
    expected: tuple[StatusRange, ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """A call of ``grpc.health.v1.Health/Check`` for ``service``; an empty ``authority`` is the name of the cluster."""

    service: str
    authority: str = ""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """An active check (Emissary: ``health_checks``, with its defaults). Exactly one of ``http`` and ``grpc`` is set.

    An endpoint is healthy after ``healthy_threshold`` good answers in a row and unhealthy after
    ``unhealthy_threshold`` bad ones; a 503 makes it unhealthy at once.
    """

    http: HttpCheck | None = None
    grpc: GrpcCheck | None = None
    healthy_threshold: int = 1
    unhealthy_threshold: int = 2
    interval_ms: int = 5_000
    timeout_ms: int = 3_000


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """Passive checks: an endpoint whose answers are bad is not used for a while. Names and defaults are Envoy's.

    Counters trip at ``consecutive_…`` bad answers in a row (``gateway_failure``: 502, 503, 504; ``local_origin``:
    no answer at all, counted apart only when ``split_external_local_origin_errors`` is set). An ``enforcing_…`` is the
    percentage of trips that eject; the data plane knows 0 and 100, and takes the rest for 100. Success rates are
    compared every ``interval_ms``. The n-th ejection lasts n times ``base_ejection_time_ms``, at most
    ``max_ejection_time_ms``; at most ``max_ejection_percent`` of the endpoints are out at a time, or one whatever that
    gives, with ``always_eject_one_host``.
    """

    consecutive_5xx: int = 5
    consecutive_gateway_failure: int = 5
    consecutive_local_origin_failure: int = 5
    interval_ms: int = 10_000
    base_ejection_time_ms: int = 30_000
    max_ejection_time_ms: int = 300_000
    max_ejection_percent: int = 10
    always_eject_one_host: bool = False
    split_external_local_origin_errors: bool = False
    enforcing_consecutive_5xx: int = 100
    enforcing_consecutive_gateway_failure: int = 0
    enforcing_consecutive_local_origin_failure: int = 100
    enforcing_success_rate: int = 100
    success_rate_minimum_hosts: int = 5
    success_rate_request_volume: int = 100
    success_rate_stdev_factor: int = 1900
    """Thousandths of a standard deviation below the mean at which an endpoint is ejected."""
