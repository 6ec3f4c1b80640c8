"""Prometheus metrics from shared memory. Series are bounded: listeners, clusters, status classes, reasons; never paths,
hosts or anything else that a client can choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gateway.admin.state import Facts, Observed
    from gateway.sources import SourceStatus
    from gateway.status.keeper import StatusFacts

CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Labels of ``Row.classes``: no answer was sent, then the first digit of the status."""
RESOURCES = ("connections", "pending", "requests", "retries")
"""What a circuit breaker limits."""
PRIORITIES = ("default", "high")
OTHER = "other"
"""Label of row 0, which everything shares that found no row of its own."""


class Row(TypedDict):
    """Sums of one listener or cluster over all workers."""

    classes: list[int]
    """Answers by :data:`CLASSES`."""
    bytes_in: int
    bytes_out: int
    connections: int
    connections_active: int
    connections_failed: int
    timeouts: int
    retries: int
    in_flight: int
    overflow_connections: int
    overflow_pending: int
    overflow_requests: int
    overflow_retries: int
    endpoints: int
    """Of clusters: as the worker sees it that knows most; 0 where none has asked for the cluster."""
    endpoints_healthy: int
    """As the worker sees it that has the fewest."""
    endpoints_ejected: int
    """As the worker sees it that has the most."""
    latency_sum_us: int
    latency: list[int]
    """Answers per bucket of ``latency_bounds_us``, not cumulative; one more for everything above."""
    breakers_in_use: NotRequired[list[int]]
    """Of clusters: what circuit breakers let through, :data:`RESOURCES` of the default, then of the high priority."""


class Counters(TypedDict):
    """What :meth:`gateway._native.SharedMemory.read` returns. Rows without any count are left out."""

    requests: int
    accepted: int
    active: int
    in_flight: int
    rate_limited: int
    rate_limited_dry_run: int
    limit_evictions: int
    upcalls: int
    panics: int
    config_version: int
    loop_lag_max_us: int
    loop_lag_sum_us: int
    loop_turns: int
    access_log_lines: int
    access_log_dropped: int
    tls_failures: int
    refused_by_listener: int
    refused_by_address: int
    accept_failures: int
    shed: int
    address_denied: int
    fault_delays: int
    fault_aborts: int
    tasks: int
    tcp_connections: int
    tcp_no_route: int
    tcp_no_endpoint: int
    tcp_overflow: int
    tcp_unreachable: int
    tcp_upstream_reset: int
    tcp_client_reset: int
    tcp_idle: int
    tcp_bad_hello: int
    udp_sessions: int
    udp_refused: int
    udp_no_endpoint: int
    udp_overflow: int
    udp_unreachable: int
    udp_dropped: int
    filter_failed: int
    filter_missing: int
    filter_timeout: int
    filter_stalled: int
    filter_refused: int
    config_versions: list[int]
    """Per worker slot."""
    in_flight_by_worker: list[int]
    rejects: dict[str, int]
    """By reason."""
    latency_bounds_us: list[int]
    """Upper bounds of the latency buckets."""
    listeners: dict[int, Row]
    """By row of shared memory; row 0 is shared by everything that found no row of its own."""
    clusters: dict[int, Row]
    """As ``listeners``."""


_TOTALS: tuple[tuple[str, str, str], ...] = (
    ("accepted", "sluice_connections_accepted", "Downstream connections accepted."),
    ("rate_limited", "sluice_rate_limited", "Requests refused by a rate limit."),
    ("rate_limited_dry_run", "sluice_rate_limited_dry_run", "Requests that a rate limit in dry-run mode would refuse."),
    ("limit_evictions", "sluice_rate_limit_evictions", "Token buckets in use that made room for another key."),
    ("upcalls", "sluice_upcalls", "Requests handed to a Python filter."),
    ("panics", "sluice_native_panics", "Native tasks that panicked; each is a bug and cost one connection."),
    ("access_log_lines", "sluice_access_log_lines", "Access log lines written."),
    ("access_log_dropped", "sluice_access_log_dropped", "Access log lines that found no room."),
    ("tls_failures", "sluice_tls_handshake_failures", "TLS handshakes that failed."),
    ("accept_failures", "sluice_accept_failures", "Accepts that failed for want of descriptors or memory."),
    ("shed", "sluice_requests_shed", "Requests refused for want of memory."),
    ("address_denied", "sluice_address_denied", "Requests refused by ip_allow or ip_deny."),
    ("fault_delays", "sluice_fault_delays", "Requests that were delayed on purpose."),
    ("fault_aborts", "sluice_fault_aborts", "Requests that were failed on purpose."),
    ("loop_turns", "sluice_loop_turns", "Turns of the native engine."),
    ("tcp_connections", "sluice_tcp_connections", "Connections that TCP routes took."),
    ("udp_sessions", "sluice_udp_sessions", "Sessions that UDP routes took."),
    ("udp_dropped", "sluice_udp_dropped_datagrams", "Datagrams of UDP routes that found no room."),
)
_TCP_ENDS = (
    "tcp_no_route",
    "tcp_no_endpoint",
    "tcp_overflow",
    "tcp_unreachable",
    "tcp_upstream_reset",
    "tcp_client_reset",
    "tcp_idle",
    "tcp_bad_hello",
)
"""Reasons, with a prefix, for which a connection of a TCP listener ended otherwise than by both sides' wish."""
_UDP_ENDS = ("udp_refused", "udp_no_endpoint", "udp_overflow", "udp_unreachable")
"""Reasons, with a prefix, for which a client of a UDP route was not served, or its session ended early."""
_FILTERS = ("filter_failed", "filter_missing", "filter_timeout", "filter_stalled", "filter_refused")
"""Reasons, with a prefix, for which a Python filter gave no verdict."""
_GAUGES: tuple[tuple[str, str, str], ...] = (
    ("active", "sluice_connections_active", "Downstream connections that are open."),
    ("in_flight", "sluice_requests_in_flight", "Requests being served."),
    ("tasks", "sluice_native_tasks", "Native tasks that have not ended; when no connection is open, a handful."),
)


class GatewayCollector(Collector):
    """Reads shared memory at scrape time; the data plane does nothing for a scrape."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        facts = self._observed.facts()
        yield from _configuration(facts)
        counters = self._observed.counters()
        if counters is not None:
            yield from _process_wide(counters)
            yield from _listeners(counters, facts.listeners)
            yield from _clusters(counters, facts.clusters)
            yield from _breakers(counters, facts)


def make_registry(observed: Observed) -> CollectorRegistry:
    """A registry of its own: nothing that a library registers globally leaks into the page."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(observed))
    ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The page in Prometheus' text format 0.0.4."""
    page: bytes = generate_latest(registry)
    return page


def _configuration(facts: Facts) -> Iterator[Metric]:
    yield GaugeMetricFamily("sluice_config_version", "Version of the current configuration.", value=facts.version)
    yield GaugeMetricFamily("sluice_config_age_seconds", "Age of the current configuration.", value=facts.config_age)
    info = InfoMetricFamily("sluice_config", "Content hash of the current configuration.")
    info.add_metric([], {"hash": facts.digest})
    yield info
    yield CounterMetricFamily(
        "sluice_update_failures",
        "Updates that crashed; the last good configuration stayed.",
        value=facts.update_failures,
    )
    yield from _source(facts.source)
    if facts.status is not None:
        yield from _status(facts.status)
    found = GaugeMetricFamily("sluice_diagnostics", "Findings in the current manifests.", labels=["severity"])
    for severity in ("error", "warning", "notice"):
        found.add_metric([severity], sum(one.severity == severity for one in facts.diagnostics))
    yield found
    yield GaugeMetricFamily("sluice_compile_issues", "Sections kept at their last good form.", value=len(facts.issues))
    workers = GaugeMetricFamily("sluice_workers", "Worker processes.", labels=["state"])
    workers.add_metric(["wanted"], facts.workers_wanted)
    workers.add_metric(["ready"], facts.workers_ready)
    yield workers
    if facts.memory_used is not None:
        yield GaugeMetricFamily(
            "sluice_memory_used_ratio", "Memory in use, as a share of the pod's limit.", value=facts.memory_used
        )
    yield GaugeMetricFamily(
        "sluice_memory_pressure",
        "0: enough memory, 1: connections end with their next answer, 2: requests are refused.",
        value=facts.memory_pressure,
    )
    yield CounterMetricFamily("sluice_worker_restarts", "Workers replaced after a crash.", value=facts.restarts)
    yield CounterMetricFamily("sluice_worker_stalls", "Workers that stopped turning for a while.", value=facts.stalls)


def _source(status: SourceStatus) -> Iterator[Metric]:
    """Kinds are those that the gateway knows, so their number is bounded."""
    for name, text, value in (
        ("sluice_config_source_up", "1 while changes of the source reach the gateway.", float(status.up)),
        ("sluice_config_source_silent_seconds", "Age of the last contact with the source.", status.silent_for),
        ("sluice_config_source_stale", "1 while a copy on disk stands in for the source.", float(status.stale)),
        ("sluice_config_source_kinds_denied", "Kinds that may not be read.", len(status.denied)),
        ("sluice_config_source_kinds_missing", "Kinds that are not installed.", len(status.missing)),
    ):
        gauge = GaugeMetricFamily(name, text, labels=["source"])
        gauge.add_metric([status.name], value)
        yield gauge
    for name, text, by_kind in (
        ("sluice_config_source_lists", "Complete lists of a kind.", status.lists),
        ("sluice_config_source_watch_restarts", "Watches that were cut.", status.restarts),
    ):
        counter = CounterMetricFamily(name, text, labels=["source", "kind"])
        for kind, count in sorted(by_kind.items()):
            counter.add_metric([status.name, kind], count)
        yield counter


def _status(status: StatusFacts) -> Iterator[Metric]:
    yield GaugeMetricFamily("sluice_leader", "1 while this replica writes statuses.", value=float(status.leading))
    yield GaugeMetricFamily("sluice_status_pending", "Objects whose status waits to be written.", value=status.pending)
    writes = CounterMetricFamily("sluice_status_writes", "Writes of statuses.", labels=["result"])
    for result, count in status.writes.items():
        writes.add_metric([result], count)
    yield writes


def _process_wide(counters: Counters) -> Iterator[Metric]:
    values: Mapping[str, object] = counters
    for key, name, text in _TOTALS:
        yield CounterMetricFamily(name, text, value=_number(values[key]))
    for key, name, text in _GAUGES:
        yield GaugeMetricFamily(name, text, value=_number(values[key]))
    yield GaugeMetricFamily(
        "sluice_loop_lag_max_seconds", "Longest delay of a turn.", value=counters["loop_lag_max_us"] / 1e6
    )
    yield CounterMetricFamily(
        "sluice_loop_lag_seconds", "Sum of the delays of all turns.", value=counters["loop_lag_sum_us"] / 1e6
    )
    refused = CounterMetricFamily(
        "sluice_connections_refused", "Connections refused by a limit on their number.", labels=["limit"]
    )
    refused.add_metric(["listener"], counters["refused_by_listener"])
    refused.add_metric(["address"], counters["refused_by_address"])
    yield refused
    rejects = CounterMetricFamily("sluice_rejects", "Requests refused by the gateway itself.", labels=["reason"])
    for reason, count in sorted(counters["rejects"].items()):
        rejects.add_metric([reason], count)
    yield rejects
    for prefix, text, keys in (
        ("tcp", "TCP connections that were cut or refused.", _TCP_ENDS),
        ("udp", "UDP sessions that were cut or refused.", _UDP_ENDS),
        ("filter", "Requests that their Python filter gave no verdict on.", _FILTERS),
    ):
        ends = CounterMetricFamily(f"sluice_{prefix}_failures", text, labels=["reason"])
        for key in keys:
            ends.add_metric([key.removeprefix(f"{prefix}_")], _number(values[key]))
        yield ends


def _listeners(counters: Counters, names: Mapping[int, str]) -> Iterator[Metric]:
    rows = _named(counters["listeners"], names)
    yield _by_class("sluice_requests", "Answered requests.", "listener", rows)
    seconds = HistogramMetricFamily(
        "sluice_request_duration_seconds", "From the request head to the end of the answer.", labels=["listener"]
    )
    bounds = [repr(bound / 1e6) for bound in counters["latency_bounds_us"]] + ["+Inf"]
    for name, row in rows:
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip(bounds, row["latency"], strict=True):
            total += count
            buckets.append((bound, total))
        seconds.add_metric([name], buckets, row["latency_sum_us"] / 1e6)
    yield seconds
    active = GaugeMetricFamily("sluice_downstream_connections_active", "Open connections.", labels=["listener"])
    for name, row in rows:
        active.add_metric([name], row["connections_active"])
    yield active
    yield _counter("sluice_downstream_connections", "Connections accepted.", "listener", rows, "connections")
    yield _counter("sluice_downstream_received_bytes", "Bytes from clients.", "listener", rows, "bytes_in")
    yield _counter("sluice_downstream_sent_bytes", "Bytes to clients.", "listener", rows, "bytes_out")


def _clusters(counters: Counters, names: Mapping[int, str]) -> Iterator[Metric]:
    rows = _named(counters["clusters"], names)
    yield _by_class("sluice_upstream_requests", "Answers of upstreams.", "cluster", rows)
    seconds = SummaryMetricFamily("sluice_upstream_request_duration_seconds", "Time in upstreams.", labels=["cluster"])
    active = GaugeMetricFamily("sluice_upstream_connections_active", "Open connections.", labels=["cluster"])
    for name, row in rows:
        seconds.add_metric([name], sum(row["latency"]), row["latency_sum_us"] / 1e6)
        active.add_metric([name], row["connections_active"])
    yield seconds
    yield active
    yield from _endpoints(rows)
    for key, metric, text in (
        ("connections", "sluice_upstream_connections", "Connections made."),
        ("connections_failed", "sluice_upstream_connections_failed", "Connections that could not be made."),
        ("timeouts", "sluice_upstream_timeouts", "Requests that ran out of time."),
        ("retries", "sluice_upstream_retries", "Further attempts."),
        ("bytes_in", "sluice_upstream_received_bytes", "Bytes from upstreams."),
        ("bytes_out", "sluice_upstream_sent_bytes", "Bytes to upstreams."),
    ):
        yield _counter(metric, text, "cluster", rows, key)


def _endpoints(rows: list[tuple[str, Row]]) -> Iterator[Metric]:
    """Of clusters that a worker has asked for. Each worker judges for itself; the worst of what they say counts."""
    for key, metric, text in (
        ("endpoints", "sluice_upstream_endpoints", "Endpoints."),
        ("endpoints_healthy", "sluice_upstream_endpoints_healthy", "Endpoints that checks leave in use."),
        ("endpoints_ejected", "sluice_upstream_endpoints_ejected", "Endpoints that outlier detection has put out."),
    ):
        family = GaugeMetricFamily(metric, text, labels=["cluster"])
        for name, row in rows:
            if name != OTHER and row["endpoints"]:
                values: Mapping[str, object] = row
                family.add_metric([name], _number(values[key]))
        yield family


def _named(rows: Mapping[int, Row], names: Mapping[int, str]) -> list[tuple[str, Row]]:
    """Rows by name. A row whose object is gone keeps its numbers but has no name any more: it is left out."""
    named = [(names.get(slot, "" if slot else OTHER), row) for slot, row in rows.items()]
    return sorted(((name, row) for name, row in named if name), key=lambda entry: entry[0])


def _by_class(metric: str, text: str, label: str, rows: list[tuple[str, Row]]) -> Metric:
    family = CounterMetricFamily(metric, text, labels=[label, "code_class"])
    for name, row in rows:
        for code_class, count in zip(CLASSES, row["classes"], strict=True):
            if count:
                family.add_metric([name, code_class], count)
    return family


def _breakers(counters: Counters, facts: Facts) -> Iterator[Metric]:
    """Circuit breakers of clusters that have some. One is open while as much is in use as it allows."""
    overflows = CounterMetricFamily(
        "sluice_upstream_circuit_breaker_overflows",
        "What circuit breakers did not allow, or not at once (connections).",
        labels=["cluster", "resource"],
    )
    is_open = GaugeMetricFamily(
        "sluice_upstream_circuit_breaker_open",
        "1 while a circuit breaker allows no more.",
        labels=["cluster", "priority", "resource"],
    )
    for slot, row in sorted(counters["clusters"].items()):
        name = facts.clusters.get(slot, "")
        limits = facts.breakers.get(name)
        if limits is None:
            continue
        values: Mapping[str, object] = row
        for resource in RESOURCES:
            overflows.add_metric([name, resource], _number(values[f"overflow_{resource}"]))
        used = row.get("breakers_in_use", [])
        for at, (limit, in_use) in enumerate(zip(limits, used, strict=False)):
            if limit is not None:
                labels = [name, PRIORITIES[at // len(RESOURCES)], RESOURCES[at % len(RESOURCES)]]
                is_open.add_metric(labels, float(in_use >= limit))
    yield overflows
    yield is_open


def _counter(metric: str, text: str, label: str, rows: list[tuple[str, Row]], key: str) -> Metric:
    family = CounterMetricFamily(metric, text, labels=[label])
    for name, row in rows:
        values: Mapping[str, object] = row
        family.add_metric([name], _number(values[key]))
    return family


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
