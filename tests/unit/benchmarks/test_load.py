"""What the load benchmark makes of its generators' output, and how it judges a run."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.load.clients import UnsupportedError, drivers, ghz, golang, h2load, wrk
from benchmarks.load.gateways.envoy import Envoy
from benchmarks.load.gateways.sluice import Sluice
from benchmarks.load.plan import Idle, Outcome, Plan, Sample
from benchmarks.load.process import MissingError, require
from benchmarks.load.report import bars, page

if TYPE_CHECKING:
    from pathlib import Path

H2LOAD = """\
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2

finished in 301.36ms, 13333.33 req/s, 873.25KB/s
requests: 4002 total, 4004 started, 4002 done, 4000 succeeded, 2 failed, 2 errored, 0 timeout
status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx
"""
WRK = """\
  Latency Distribution
     50%  800.00us
     99%    2.82ms
  63671 requests in 1.00s, 9.00MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 3
"""


def sample(proxy: str, scenario: str, cpu_us: float, peer_bar: float = 1.1) -> Sample:
    return Sample("group", proxy, scenario, 1, 0, 1, cpu_us, 0.5, 1.0, 0.0, None, None, "", peer_bar)


def judged(outcome: Outcome) -> dict[tuple[str, str], tuple[str, bool | None]]:
    return {(bar.scenario, bar.bar): (bar.measured, bar.met) for bar in bars.judge(outcome)}


def test_wrk_counts_refused_answers_among_the_errors() -> None:
    result = wrk.parse(WRK)
    assert (result.requests, result.seconds, result.errors) == (63671, 1.0, 6)
    assert (result.p50_ms, result.p99_ms) == (0.8, 2.82)


def test_h2load_counts_what_succeeded() -> None:
    result = h2load.parse(H2LOAD, tls=True)
    assert (result.requests, result.errors, result.detail) == (4000, 2, "TLSv1.3 TLS_AES_128_GCM_SHA256")
    assert result.seconds == pytest.approx(0.30136)


def test_h2load_over_tls_without_alpn_is_not_http2() -> None:
    with pytest.raises(UnsupportedError, match="ALPN"):
        h2load.parse(H2LOAD.replace("Application protocol: h2\n", ""), tls=True)


def test_ghz_counts_calls_that_are_ok() -> None:
    report: dict[str, Any] = {
        "count": 12,
        "total": 2_000_000_000,
        "statusCodeDistribution": {"OK": 10, "Unavailable": 2},
        "latencyDistribution": [{"percentage": 50, "latency": 1_500_000}, {"percentage": 99, "latency": 4_000_000}],
    }
    result = ghz.parse(json.dumps(report))
    assert (result.requests, result.errors, result.seconds) == (10, 2, 2.0)
    assert (result.p50_ms, result.p99_ms) == (1.5, 4.0)
    report |= {"statusCodeDistribution": {"Unavailable": 12}, "errorDistribution": {"bad gateway": 12}}
    with pytest.raises(UnsupportedError, match="bad gateway"):
        ghz.parse(json.dumps(report))


def test_a_driver_without_a_success_says_why() -> None:
    report = {"done": 0, "errors": 3, "seconds": 1.0, "p50_ms": 0, "p99_ms": 0, "detail": "", "error": "refused"}
    with pytest.raises(UnsupportedError, match="refused"):
        drivers.parse(json.dumps(report))


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MissingError, match="h2load"):
        require("h2load")
    with pytest.raises(MissingError, match="go is not installed"):
        golang.go("version")


def test_costs_are_judged_by_medians_of_one_run() -> None:
    rounds = {"sluice": (9.0, 10.0, 30.0), "nginx": (9.5, 9.5, 9.5), "haproxy": (12.0,), "envoy": (20.0,)}
    samples = [sample(name, "small", cost, 1.0) for name, costs in rounds.items() for cost in costs]
    assert judged(Outcome(samples=samples)) == {
        ("small", "≤ 0.50 × Envoy's CPU"): ("0.50", True),
        ("small", "≤ 1.00 × CPU of the better of nginx and HAProxy"): ("1.05", False),
    }


def test_what_sluice_could_not_do_is_not_met() -> None:
    found = judged(Outcome(samples=[sample("envoy", "gRPC", 20.0)]))
    assert set(found.values()) == {("not measured", None)}


def test_scenarios_of_sluice_alone_have_no_peers_to_be_judged_by() -> None:
    assert judged(Outcome(samples=[sample("sluice", "quiet", 20.0), sample("sluice-previous", "quiet", 20.0)])) == {}


def test_routes_memory_idle_connections_and_changes_have_bars() -> None:
    outcome = Outcome(
        samples=[sample("sluice", bars.FEW, 10.0), sample("sluice", bars.MANY, 11.0)],
        idle=[Idle("sluice", "plain", 2000, 4000, 3900, 0), Idle("sluice", "tls", 2000, 20481, 1, 0)],
        memory={
            "plain": {"sluice": [{"name": "python sluice run", "rss_mib": 60.0}, {"name": "worker", "rss_mib": 36}]}
        },
        changes={"idle": {"median_ms": 201.5}},
    )
    assert {name: met for (name, _), (_, met) in judged(outcome).items()} == {
        bars.MANY: False,
        "idle connection, plain": True,
        "idle connection, tls": False,
        "master after the load of the plain site": True,
        "worker after the load of the plain site": False,
        "one changed Mapping of 10,000, idle": False,
    }


def test_the_page_tells_what_was_left_out_and_ends_with_the_bars(tmp_path: Path) -> None:
    outcome = Outcome(methods={"group": "How it is done."}, left_out=["sluice from h2: no ALPN"])
    outcome.samples = [sample("sluice", "small", 10.0), sample("envoy", "small", 30.0)]
    plan = Plan(proxies=(Sluice, Envoy), rounds=1, seconds=1.0, groups=frozenset({"group"}))
    text = page.write(tmp_path, "result", {"date": "today"}, plan, outcome).read_text()
    assert "## group\n\nHow it is done.\n" in text
    assert "- sluice from h2: no ALPN\n" in text
    assert text.rstrip().endswith("| small | ≤ 1.10 × CPU of the better of nginx and HAProxy | not measured | – |")
    assert json.loads((tmp_path / "result.json").read_text())["bars"][0]["met"] is True
