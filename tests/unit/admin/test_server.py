from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.admin.server import MAX_HEAD, AdminServer
from gateway.admin.state import Facts
from gateway.diagnostics import Diagnostic, Origin
from gateway.settings import AdminSettings
from gateway.sources import SourceStatus
from gateway.status.keeper import StatusFacts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.admin.metrics import Counters, Row

FACTS = Facts(
    ready=True,
    reason="",
    version=7,
    digest="0123456789abcdef",
    config_age=1.5,
    workers_wanted=2,
    workers_ready=2,
    restarts=0,
    stalls=0,
    update_failures=0,
    diagnostics=(
        Diagnostic("error", "bad-prefix", "must start with /", Origin("Mapping", "default", "quote"), "spec.prefix"),
    ),
    issues=(("virtual_host/v", "routes[0]", "no"),),
    memory_used=None,
    memory_pressure=0,
    listeners={1: "web"},
    clusters={1: "quote", 2: "idle"},
    breakers={"quote": (20, 20, 10, None, None, None, None, None)},
    source=SourceStatus("folder"),
)


def row() -> Row:
    return {
        "classes": [0, 0, 5, 0, 1, 0],
        "bytes_in": 10,
        "bytes_out": 20,
        "connections": 3,
        "connections_active": 1,
        "connections_failed": 0,
        "timeouts": 0,
        "retries": 0,
        "in_flight": 0,
        "overflow_connections": 0,
        "overflow_pending": 0,
        "overflow_requests": 4,
        "overflow_retries": 0,
        "endpoints": 3,
        "endpoints_healthy": 2,
        "endpoints_ejected": 1,
        "breakers_in_use": [0, 0, 10, 0, 0, 0, 0, 0],
        "latency_sum_us": 1_500_000,
        "latency": [4, 1, 1],
    }


COUNTERS: Counters = {
    "requests": 6,
    "accepted": 3,
    "active": 1,
    "in_flight": 0,
    "rate_limited": 2,
    "rate_limited_dry_run": 0,
    "limit_evictions": 0,
    "upcalls": 0,
    "panics": 0,
    "config_version": 7,
    "loop_lag_max_us": 2_000_000,
    "loop_lag_sum_us": 4,
    "loop_turns": 9,
    "access_log_lines": 0,
    "access_log_dropped": 0,
    "tls_failures": 0,
    "refused_by_listener": 0,
    "refused_by_address": 0,
    "accept_failures": 0,
    "shed": 0,
    "address_denied": 0,
    "fault_delays": 0,
    "fault_aborts": 0,
    "tasks": 0,
    "tcp_connections": 4,
    "tcp_no_route": 0,
    "tcp_no_endpoint": 2,
    "tcp_overflow": 0,
    "tcp_unreachable": 1,
    "tcp_upstream_reset": 0,
    "tcp_client_reset": 0,
    "tcp_idle": 0,
    "tcp_bad_hello": 0,
    "udp_sessions": 2,
    "udp_refused": 1,
    "udp_no_endpoint": 0,
    "udp_overflow": 0,
    "udp_unreachable": 0,
    "udp_dropped": 0,
    "filter_failed": 0,
    "filter_missing": 0,
    "filter_timeout": 0,
    "filter_stalled": 3,
    "filter_refused": 0,
    "config_versions": [7, 7],
    "in_flight_by_worker": [0, 0],
    "rejects": {"bad_host": 3},
    "latency_bounds_us": [1000, 1_000_000],
    "listeners": {0: row(), 1: row()},
    "clusters": {1: row(), 9: row()},
}


class State:
    """What the server watches."""

    def __init__(self) -> None:
        self.current = FACTS
        self.numbers: Counters | None = COUNTERS

    def facts(self) -> Facts:
        return self.current

    def counters(self) -> Counters | None:
        return self.numbers


@asynccontextmanager
async def serving(state: State, settings: AdminSettings | None = None) -> AsyncIterator[int]:
    server = AdminServer(settings or AdminSettings(port=0), state)
    await server.start()
    try:
        yield server.port
    finally:
        await server.close()


async def exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def get(port: int, path: str, *headers: str) -> tuple[int, str]:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers]
    answer = await exchange(port, "\r\n".join(lines).encode() + b"\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.split()[1]), body.decode()


@pytest.mark.parametrize("path", ["/ambassador/v0/check_ready", "/ready", "/readyz"])
async def test_readiness_names_the_configuration_and_the_reason(path: str) -> None:
    state = State()
    async with serving(state) as port:
        assert await get(port, path) == (200, "ready\nconfig version 7 hash 0123456789abcdef\n")
        state.current = replace(FACTS, ready=False, reason="draining")
        status, body = await get(port, path)
        assert (status, body.splitlines()[0]) == (503, "not ready: draining")


@pytest.mark.parametrize("path", ["/ambassador/v0/check_alive", "/healthz"])
async def test_liveness_does_not_depend_on_readiness(path: str) -> None:
    state = State()
    state.current = replace(FACTS, ready=False, reason="waiting")
    async with serving(state) as port:
        assert (await get(port, path))[0] == 200


async def test_metrics_have_names_and_no_unknown_rows() -> None:
    async with serving(State()) as port:
        status, page = await get(port, "/metrics")
    assert status == 200
    lines = set(page.splitlines())
    assert {
        'sluice_requests_total{code_class="2xx",listener="web"} 5.0',
        'sluice_requests_total{code_class="2xx",listener="other"} 5.0',
        'sluice_request_duration_seconds_bucket{le="0.001",listener="web"} 4.0',
        'sluice_request_duration_seconds_bucket{le="+Inf",listener="web"} 6.0',
        'sluice_request_duration_seconds_sum{listener="web"} 1.5',
        'sluice_upstream_requests_total{cluster="quote",code_class="4xx"} 1.0',
        'sluice_upstream_connections_active{cluster="quote"} 1.0',
        'sluice_upstream_circuit_breaker_overflows_total{cluster="quote",resource="requests"} 4.0',
        'sluice_upstream_circuit_breaker_open{cluster="quote",priority="default",resource="requests"} 1.0',
        'sluice_upstream_circuit_breaker_open{cluster="quote",priority="default",resource="pending"} 0.0',
        'sluice_rejects_total{reason="bad_host"} 3.0',
        'sluice_tcp_failures_total{reason="no_endpoint"} 2.0',
        'sluice_udp_failures_total{reason="refused"} 1.0',
        'sluice_filter_failures_total{reason="stalled"} 3.0',
        'sluice_upstream_endpoints{cluster="quote"} 3.0',
        'sluice_upstream_endpoints_healthy{cluster="quote"} 2.0',
        'sluice_upstream_endpoints_ejected{cluster="quote"} 1.0',
        'sluice_downstream_connections_total{listener="web"} 3.0',
        'sluice_downstream_connections_active{listener="web"} 1.0',
        "sluice_rate_limited_total 2.0",
        "sluice_config_version 7.0",
        'sluice_config_info{hash="0123456789abcdef"} 1.0',
        'sluice_workers{state="ready"} 2.0',
        'sluice_diagnostics{severity="error"} 1.0',
        "sluice_loop_lag_max_seconds 2.0",
    } <= lines
    assert "process_resident_memory_bytes" in page
    assert page.count("sluice_upstream_timeouts_total{") == 1, "row 9 has no name any more"
    assert page.count("sluice_upstream_circuit_breaker_open{") == 3, "what has no limit is never open"


async def test_metrics_of_statuses_are_there_where_some_are_written() -> None:
    state = State()
    async with serving(state) as port:
        assert "sluice_leader" not in (await get(port, "/metrics"))[1]
        state.current = replace(FACTS, status=StatusFacts(leading=True, pending=3, writes={"written": 7, "failed": 0}))
        lines = set((await get(port, "/metrics"))[1].splitlines())
    assert {
        "sluice_leader 1.0",
        "sluice_status_pending 3.0",
        'sluice_status_writes_total{result="written"} 7.0',
        'sluice_status_writes_total{result="failed"} 0.0',
    } <= lines


async def test_metrics_work_before_the_first_configuration() -> None:
    state = State()
    state.numbers = None
    async with serving(state) as port:
        assert (await get(port, "/metrics"))[0] == 200


async def test_diagnostics_are_json() -> None:
    async with serving(State()) as port:
        status, body = await get(port, "/ambassador/v0/diag/?json=true")
    assert status == 200
    page = json.loads(body)
    assert page["diagnostics"][0]["field"] == "spec.prefix"
    assert page["issues"] == [{"section": "virtual_host/v", "field": "routes[0]", "message": "no"}]


async def test_diagnostics_without_the_last_slash_are_a_redirect() -> None:
    async with serving(State()) as port:
        answer = await exchange(port, b"GET /ambassador/v0/diag HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 308 ")
        assert b"\r\nlocation: /ambassador/v0/diag/\r\n" in answer
        assert (await get(port, "/ambassador/v0/diag", "X-Forwarded-For: 192.0.2.1"))[0] == 404


async def test_diagnostics_are_not_for_forwarded_requests() -> None:
    async with serving(State()) as port:
        assert (await get(port, "/ambassador/v0/diag/", "X-Forwarded-For: 192.0.2.1"))[0] == 404
    async with serving(State(), AdminSettings(port=0, diagnostics_anywhere=True)) as port:
        assert (await get(port, "/ambassador/v0/diag/", "X-Forwarded-For: 192.0.2.1"))[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/quitquitquit", "/config_dump", "/metrics/", "/metrics/x", "//metrics", "/debug/pprof"]
)
async def test_everything_else_is_404(path: str) -> None:
    async with serving(State()) as port:
        assert (await get(port, path))[0] == 404


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"POST /metrics HTTP/1.1\r\n\r\n", 405, id="method"),
        pytest.param(b"GET /metrics\r\n\r\n", 400, id="no-version"),
        pytest.param(b"GET http://a/ HTTP/1.1\r\n\r\n", 400, id="absolute"),
        pytest.param(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="chunked"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400, id="body"),
        pytest.param(b"GET /\xff HTTP/1.1\r\n\r\n", 400, id="bytes"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"a" * 2 * MAX_HEAD, 431, id="large"),
        pytest.param(b"GET /ready HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 200, id="empty-body"),
    ],
)
async def test_requests_of_another_form_are_refused(data: bytes, status: int) -> None:
    async with serving(State()) as port:
        assert int((await exchange(port, data)).split()[1]) == status


async def test_head_has_no_body() -> None:
    async with serving(State()) as port:
        answer = await exchange(port, b"HEAD /ready HTTP/1.1\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 0" not in answer
