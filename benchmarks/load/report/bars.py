"""What Sluice is held to, and whether a run shows it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load.report.tables import grouped, head, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.load.plan import Outcome, Sample

ENVOY_BAR = 0.5
PEERS = ("nginx", "haproxy")
IDLE_BARS = {"plain": 4096, "tls": 20480}
FEW, MANY, ROUTES_BAR = "10 routes, 64 connections", "10,000 routes, 64 connections", 1.05
MEMORY_BARS = {"worker": 35, "master": 60}
CHANGE_BAR_MS = 200


@dataclass(frozen=True)
class Bar:
    scenario: str
    bar: str
    measured: str
    met: bool | None
    """``None`` when one of the two was not measured."""


def judge(outcome: Outcome) -> list[Bar]:
    return [*costs(outcome.samples), *route_count(outcome.samples), *idle(outcome), *memory(outcome), *change(outcome)]


def medians(samples: list[Sample]) -> dict[str, dict[str, float]]:
    return {
        scenario: {name: statistics.median(sample.cpu_us for sample in rounds) for name, rounds in columns.items()}
        for scenario, columns in grouped(samples).items()
    }


def costs(samples: list[Sample]) -> Iterator[Bar]:
    peer_bars = {sample.scenario: sample.peer_bar for sample in samples}
    for scenario, cost in medians(samples).items():
        if set(cost) <= {"sluice", "sluice-previous"}:
            continue
        yield ratio(scenario, cost.get("sluice"), cost.get("envoy"), ENVOY_BAR, "Envoy's CPU")
        peers = [cost[name] for name in PEERS if name in cost]
        better = min(peers) if peers else None
        yield ratio(scenario, cost.get("sluice"), better, peer_bars[scenario], "CPU of the better of nginx and HAProxy")


def ratio(scenario: str, own: float | None, other: float | None, bar: float, what: str) -> Bar:
    text = f"≤ {bar:.2f} × {what}"
    if own is None or not other:
        return Bar(scenario, text, "not measured", None)
    return Bar(scenario, text, f"{own / other:.2f}", own <= bar * other)


def route_count(samples: list[Sample]) -> Iterator[Bar]:
    cost = medians(samples)
    if FEW in cost and MANY in cost:
        yield ratio(MANY, cost[MANY].get("sluice"), cost[FEW].get("sluice"), ROUTES_BAR, "CPU with 10 routes")


def idle(outcome: Outcome) -> Iterator[Bar]:
    for site, bar in IDLE_BARS.items():
        rounds = [look.rss for look in outcome.idle if (look.site, look.proxy) == (site, "sluice")]
        if rounds:
            measured = statistics.median(rounds)
            yield Bar(f"idle connection, {site}", f"≤ {bar:,} bytes RSS", f"{measured:,.0f}", measured <= bar)


def memory(outcome: Outcome) -> Iterator[Bar]:
    for entry in outcome.memory.get("plain", {}).get("sluice", ()):
        process = "worker" if "worker" in str(entry["name"]) else "master"
        measured, bar = float(str(entry["rss_mib"])), MEMORY_BARS[process]
        yield Bar(f"{process} after the load of the plain site", f"≤ {bar} MiB RSS", f"{measured:.1f}", measured <= bar)


def change(outcome: Outcome) -> Iterator[Bar]:
    for name, values in outcome.changes.items():
        measured = float(str(values["median_ms"]))
        bar = f"≤ {CHANGE_BAR_MS} ms median"
        yield Bar(f"one changed Mapping of 10,000, {name}", bar, f"{measured:.1f}", measured <= CHANGE_BAR_MS)


def table(judged: list[Bar]) -> str:
    text = "## Bars\n\nRatios are Sluice's median divided by the other median of the same run.\n\n"
    text += head("scenario", "bar", "measured", "met")
    for bar in judged:
        text += row(bar.scenario, bar.bar, bar.measured, {True: "yes", False: "**no**", None: "–"}[bar.met])
    return text
