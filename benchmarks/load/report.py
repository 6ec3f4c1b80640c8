"""The results of a run as JSON and as a page to read, with everything one needs to judge them."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.load.backend import MEBIBYTE

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.load.run import Outcome, Plan, Sample

METHOD = """\
Every gateway runs with one worker (nginx `worker_processes 1`, HAProxy `nbthread 1`, Envoy `--concurrency 1`, Sluice
`--workers 1`), all of its processes pinned to one core. The load generator (`wrk`, one thread) and the backend (one
nginx process that answers from memory) share the other core. All gateways are up at the same time and take
turns: a round measures every scenario on every gateway, in another order each time, after {warm_up:.0f} s of warm-up.
A figure is the median of {rounds} rounds of {seconds:g} s; the spread behind it is the lowest and the highest round.
A point during which other programs took more than {limit:.0%} of the gateway's core is measured again, up to {attempts}
times in all, and the least disturbed measurement counts.

CPU per request is the run time of all threads of all processes of a gateway (`/proc/PID/task/*/schedstat`, in
nanoseconds), divided by the requests that the generator completed. Kernel work done on behalf of the gateway is in it.

All gateways route by host and prefix, replace the prefix, add `X-Forwarded-For`, `X-Forwarded-Proto` and
`X-Request-ID`, apply timeouts, count requests, and keep connections to the backend open. Access logs are off. Absolute
times belong to this machine; compare the ratios.
"""


def write(folder: Path, stem: str, facts: dict[str, object], plan: Plan, outcome: Outcome) -> Path:
    folder.mkdir(exist_ok=True)
    settings = {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "attempts": plan.attempts,
        "proxies": [proxy.name for proxy in plan.proxies],
    }
    document = {"facts": facts, "plan": settings, **asdict(outcome)}
    (folder / f"{stem}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    page = folder / f"{stem}.md"
    page.write_text(markdown(facts, plan, outcome))
    return page


def markdown(facts: dict[str, object], plan: Plan, outcome: Outcome) -> str:
    from benchmarks.load.run import FOREIGN_LIMIT, WARM_UP

    parts = ["# Load beside other gateways\n"]
    parts.append("\n".join(f"- {name}: {value}" for name, value in flat(facts)) + "\n")
    parts.append(
        "## Method\n\n"
        + METHOD.format(
            warm_up=WARM_UP, rounds=plan.rounds, seconds=plan.seconds, limit=FOREIGN_LIMIT, attempts=plan.attempts
        )
    )
    if outcome.samples:
        parts.append(cpu_table(outcome.samples))
        parts.append(rate_table(outcome.samples))
    if outcome.start_seconds:
        parts.append(start_table(outcome))
    if outcome.memory:
        parts.append(memory_table(outcome))
    if outcome.changes:
        parts.append(change_table(outcome))
    parts.extend(f"Left out: {failure.splitlines()[0]}\n" for failure in outcome.failures)
    return "\n".join(parts)


def flat(facts: dict[str, object]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows.append((name, ", ".join(f"{key} {inner}" for key, inner in value.items())))
        else:
            rows.append((name, value))
    return rows


def grouped(samples: list[Sample]) -> dict[str, dict[str, list[Sample]]]:
    table: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        table.setdefault(sample.scenario, {}).setdefault(sample.proxy, []).append(sample)
    return table


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def head(*cells: str) -> str:
    return row(*cells) + row(*(["---"] + ["---:"] * (len(cells) - 1)))


def cpu_table(samples: list[Sample]) -> str:
    table = grouped(samples)
    names = list(dict.fromkeys(sample.proxy for sample in samples))
    reference = "sluice" if "sluice" in names else names[0]
    others = [name for name in names if name != reference]
    text = f"## CPU µs per request (lowest–highest round), and the others as multiples of {reference}\n\n"
    text += head("scenario", *names, *(f"{name} / {reference}" for name in others))
    for scenario, columns in table.items():
        medians = {name: statistics.median(s.cpu_us for s in columns[name]) for name in names if name in columns}
        cells = []
        for name in names:
            if name not in medians:
                cells.append("–")
                continue
            costs = [s.cpu_us for s in columns[name]]
            cells.append(f"{medians[name]:.1f} ({min(costs):.1f}–{max(costs):.1f})")
        known = reference in medians
        ratios = [f"{medians[n] / medians[reference]:.2f}" if known and n in medians else "–" for n in others]
        text += row(scenario, *cells, *ratios)
    return text


def rate_table(samples: list[Sample]) -> str:
    text = "## Rates, latency at full load, and what may disturb\n\n"
    text += head(
        "scenario", "gateway", "requests/s", "GB per CPU second", "p50 ms", "p99 ms", "system time", "own core share",
        "core used by others", "errors",
    )  # fmt: skip
    for scenario, columns in grouped(samples).items():
        for name, rounds in columns.items():
            cost = statistics.median(s.cpu_us for s in rounds)
            volume = f"{MEBIBYTE / cost / 1e3:.2f}" if "MiB" in scenario else ""
            text += row(
                scenario,
                name,
                f"{statistics.median(s.rate for s in rounds):,.0f}",
                volume,
                f"{statistics.median(s.p50_ms for s in rounds):.2f}",
                f"{statistics.median(s.p99_ms for s in rounds):.2f}",
                f"{statistics.median(s.system_share for s in rounds):.0%}",
                f"{statistics.median(s.cpu_share for s in rounds):.0%}",
                f"{statistics.median(s.foreign_share for s in rounds):.0%}",
                sum(s.errors for s in rounds),
            )
    return text


def start_table(outcome: Outcome) -> str:
    text = "## Seconds from start to the first answer on the last route\n\n"
    names = list(dict.fromkeys(name for column in outcome.start_seconds.values() for name in column))
    text += head("site", *names)
    for site, column in outcome.start_seconds.items():
        text += row(site, *(f"{column[name]:.2f}" if name in column else "–" for name in names))
    return text


def memory_table(outcome: Outcome) -> str:
    text = "## Memory after the load, MiB\n\nPSS counts pages that several processes share only once.\n\n"
    text += head("site", "gateway", "process", "RSS", "PSS")
    for site, gateways in outcome.memory.items():
        for name, processes in gateways.items():
            for entry in processes:
                text += row(site, name, entry["name"], entry["rss_mib"], entry["pss_mib"])
    return text


def change_table(outcome: Outcome) -> str:
    text = (
        "## One changed Mapping of 10,000 on 100 Hosts, until an answer shows it\n\n"
        "The file of one Host (100 Mappings) is replaced; one connection polls the route. "
        "Under load, 16 connections ask all other routes at full speed meanwhile.\n\n"
    )
    text += head(
        "", "changes", "median ms", "p90 ms", "max ms", "polls", "failed polls", "CPU ms each", "load", "errors"
    )
    for name, values in outcome.changes.items():
        cpu = values["cpu_ms_per_change"] or "–"
        text += row(
            name, values["count"], values["median_ms"], values["p90_ms"], values["max_ms"], values["polls"],
            values["failed_polls"], cpu, values["load_requests"], values["load_errors"],
        )  # fmt: skip
    return text
