"""The page of a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.load.plan import FOREIGN_LIMIT, WARM_UP
from benchmarks.load.report import bars, tables

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.load.plan import Outcome, Plan

METHOD = """\
Every gateway runs with one worker (nginx `worker_processes 1`, HAProxy `nbthread 1`, Envoy `--concurrency 1`, Sluice
`--workers 1`), all of its processes pinned to one core. The load generator (one thread) and the backend (one process;
unless a group says otherwise, nginx that answers from memory) share the other core. All gateways of a group are up at
the same time and take turns: a round measures every scenario on every gateway, in another order each time, after
{warm_up:.0f} s of warm-up. A figure is the median of {rounds} round(s) of {seconds:g} s; the spread behind it is the
lowest and the highest round. A point during which other programs took more than {limit:.0%} of the gateway's core is
measured again, up to {attempts} times in all, and the least disturbed measurement counts.

CPU per request is the run time of all threads of all processes of a gateway (`/proc/PID/task/*/schedstat`, in
nanoseconds), divided by the requests (or messages, calls, connections) that the generator completed. Kernel work done
on behalf of the gateway is in it.

All gateways route by host and prefix, replace the prefix, add `X-Forwarded-For`, `X-Forwarded-Proto` and
`X-Request-ID`, apply timeouts, count requests, keep connections to the backend open and, where they terminate TLS,
offer HTTP/2 by ALPN if they can. Access logs are off. Absolute times belong to this machine; compare the ratios. Before
the rounds every gateway has to show that it can do a scenario at all; otherwise it is left out, and a list says why.
"""


def write(folder: Path, stem: str, facts: dict[str, object], plan: Plan, outcome: Outcome) -> Path:
    folder.mkdir(exist_ok=True)
    settings = {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "attempts": plan.attempts,
        "idle_connections": plan.idle_connections,
        "proxies": [proxy.name for proxy in plan.proxies],
    }
    judged = [asdict(bar) for bar in bars.judge(outcome)]
    document = {"facts": facts, "plan": settings, **asdict(outcome), "bars": judged}
    (folder / f"{stem}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    page = folder / f"{stem}.md"
    page.write_text(markdown(facts, plan, outcome))
    return page


def markdown(facts: dict[str, object], plan: Plan, outcome: Outcome) -> str:
    parts = ["# Load beside other gateways\n"]
    parts.append("\n".join(f"- {name}: {value}" for name, value in flat(facts)) + "\n")
    parts.append(
        "## Method\n\n"
        + METHOD.format(
            warm_up=WARM_UP, rounds=plan.rounds, seconds=plan.seconds, limit=FOREIGN_LIMIT, attempts=plan.attempts
        )
    )
    for group, method in outcome.methods.items():
        parts.append(f"## {group}\n\n{method}\n")
        samples = [sample for sample in outcome.samples if sample.group == group]
        if samples:
            parts.append(tables.cpu_table(samples, [proxy.name for proxy in plan.proxies]))
        if group == "idle" and outcome.idle:
            parts.append(tables.idle_table(outcome.idle))
        if group == "changes" and outcome.changes:
            parts.append(tables.change_table(outcome))
    if outcome.samples:
        parts.append(tables.rate_table(outcome.samples))
    if outcome.start_seconds:
        parts.append(tables.start_table(outcome))
    if outcome.memory:
        parts.append(tables.memory_table(outcome))
    for title, reasons in (("Left out", outcome.left_out), ("Failed", outcome.failures)):
        if reasons:
            parts.append(f"## {title}\n\n" + "".join(f"- {reason}\n" for reason in reasons))
    parts.append(bars.table(bars.judge(outcome)))
    return "\n".join(parts)


def flat(facts: dict[str, object]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows.append((name, ", ".join(f"{key} {inner}" for key, inner in value.items())))
        else:
            rows.append((name, value))
    return rows
