"""Active and passive health checks of a Mapping.

Source of the rules: Emissary's ``irhealthchecks.py`` and ``v3cluster.py`` (features.md 1.2, "Traffic policy"): checks
need an endpoint resolver, and one bad check harms no other. Emissary's ``outlier_detection`` is a string that it
reports as not supported; here an object with Envoy's fields counts, or JSON text of it, as the CRD asks for a string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway import ir
from gateway.base.durations import DurationError, parse_duration_ms
from gateway.resources.policy import OutlierDetection
from gateway.translate.differences import DIFFERS

if TYPE_CHECKING:
    from gateway.diagnostics import Collector, Origin
    from gateway.resources import MappingSpec
    from gateway.resources.policy import GrpcHealthCheck, HealthCheck, HttpHealthCheck, StatusRange

_OUTLIER_TIMES = {
    "interval": "interval_ms",
    "base_ejection_time": "base_ejection_time_ms",
    "max_ejection_time": "max_ejection_time_ms",
}


class CheckError(ValueError):
    """A check that cannot be made; ``field`` is inside the check."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def health_checks(
    spec: MappingSpec, *, endpoints: bool, origin: Origin, found: Collector
) -> tuple[ir.HealthCheck, ...]:
    """The checks that can be made; without an endpoint resolver none, because one address is no choice."""
    if not spec.health_checks:
        return ()
    if not endpoints:
        found.warning(
            "health-checks-resolver",
            "need an endpoint resolver (KubernetesEndpointResolver); the field is ignored",
            origin,
            "spec.health_checks",
            hint="set resolver: endpoint",
        )
        return ()
    checks: list[ir.HealthCheck] = []
    for index, item in enumerate(spec.health_checks):
        field = f"spec.health_checks[{index}]"
        try:
            checks.append(_check(item, origin, found, field))
        except CheckError as error:
            found.error("health-check", f"{error}; the check is not made", origin, f"{field}.{error.field}")
    return tuple(checks)


def _check(item: HealthCheck, origin: Origin, found: Collector, field: str) -> ir.HealthCheck:
    http, grpc = item.health_check.http, item.health_check.grpc
    return ir.HealthCheck(
        http=_http(http, origin, found, f"{field}.health_check.http") if http is not None else None,
        grpc=_grpc(grpc) if grpc is not None else None,
        healthy_threshold=_threshold("healthy_threshold", item.healthy_threshold, 1),
        unhealthy_threshold=_threshold("unhealthy_threshold", item.unhealthy_threshold, 2),
        interval_ms=_time("interval", item.interval, 5_000),
        timeout_ms=_time("timeout", item.timeout, 3_000),
    )


def _http(check: HttpHealthCheck, origin: Origin, found: Collector, field: str) -> ir.HttpCheck:
    if not check.path.startswith("/"):
        raise CheckError("health_check.http.path", f"expected a path that starts with /, got {check.path[:80]!r}")
    added = tuple(ir.HeaderValue(name, value.value, value.appends) for name, value in check.add_request_headers.items())
    expected: list[ir.StatusRange] = []
    for index, item in enumerate(check.expected_statuses):
        if item.min > item.max:
            found.error(
                "health-check",
                f"{item.min} to {item.max} is no range: it is ignored",
                origin,
                f"{field}.expected_statuses[{index}]",
            )
        else:
            expected.append(_range(item))
    return ir.HttpCheck(
        check.path, check.hostname, ir.HeaderEdits(added, check.remove_request_headers), tuple(expected)
    )


def _range(item: StatusRange) -> ir.StatusRange:
    return ir.StatusRange(item.min, item.max)


def _grpc(check: GrpcHealthCheck) -> ir.GrpcCheck:
    return ir.GrpcCheck(check.upstream_name, check.authority)


def _threshold(field: str, value: int | None, default: int) -> int:
    if value == 0:
        raise CheckError(field, "expected 1 or more, got 0")
    return default if value is None else value


def _time(field: str, text: str, default: int) -> int:
    value = parse_duration_ms(text) if text else default
    if value == 0:
        raise CheckError(field, "expected a duration above zero")
    return value


def outlier_detection(spec: MappingSpec, origin: Origin, found: Collector) -> ir.OutlierDetection | None:
    """``None`` when it is not set, or says nothing that can be acted on, which is reported as in Emissary."""
    settings = spec.outlier_detection
    if not settings:
        return None
    try:
        if isinstance(settings, str):
            settings = msgspec.json.decode(settings, type=OutlierDetection)
        result = _outlier(settings)
    except (msgspec.MsgspecError, DurationError, UnicodeError) as error:
        found.error(
            "outlier-detection",
            f"this outlier_detection is not supported: {error}",
            origin,
            "spec.outlier_detection",
            hint='write JSON with Envoy\'s fields, such as {"consecutive_5xx": 5}',
        )
        return None
    message = "works here; Emissary refuses it with an error and serves the Mapping without it"
    found.notice(DIFFERS, message, origin, "spec.outlier_detection")
    return result


def _outlier(settings: OutlierDetection) -> ir.OutlierDetection:
    values: dict[str, object] = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if name in _OUTLIER_TIMES:
            if value:
                values[_OUTLIER_TIMES[name]] = parse_duration_ms(value)
        elif value is not None:
            values[name] = value
    if values.get("interval_ms") == 0:
        raise DurationError("interval: expected a duration above zero")
    return ir.OutlierDetection(**values)  # type: ignore[arg-type]
