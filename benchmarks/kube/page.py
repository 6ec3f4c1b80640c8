"""The results as a page, with the bars that they are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.load.machine import Machine

_METHOD = """\
etcd, kube-apiserver {version}, kube-controller-manager, Sluice with one worker, the backend and the load
generator share the cores of one machine, in a network namespace. Each Mapping has a Host and an own prefix;
each Host has a Service with one endpoint, which its Mappings share. Changes are merge patches of one Mapping;
one connection asks for its route until the answer shows the change. Under load, 16 connections ask at {rate:,}
requests a second while a Mapping changes about {changes:g} times a second; "foreign" changes are those of a
Mapping that belongs to another gateway: what they cost is the API server's part. The three take turns for some
seconds each; figures are medians of the rounds, with the range. At last the same with etcd, API server and the
program that makes the changes on a core of their own; gateway, backend and load generator have the others. Then
the master moves to the control plane's core, as it would be where there are more cores than busy workers.
"""


def page(found: dict[str, Any], machine: Machine, version: str, rate: int, changes: float) -> str:
    """Markdown."""
    single, many, load = found["single"], found["at_once"], found["load"]
    phases = [*load.values(), *found["apart"].values(), *found["worker_alone"].values()]
    rows = [
        ("start to ready, s", found["ready_s"], "10"),
        (
            "one change, from its confirmation to the first answer that shows it: median, ms",
            single["confirmed"]["median"],
            "15",
        ),
        ("the same, slowest of " + str(single["confirmed"]["count"]) + ", ms", single["confirmed"]["p99"], "30"),
        ("one change, from the beginning of the write: median, ms", single["written"]["median"], "-"),
        ("the same, slowest, ms", single["written"]["p99"], "-"),
        (
            f"{many['count']} changes at once, from the last confirmation until all are live, ms",
            many["after_last_ms"],
            "500",
        ),
        ("time in which the API server confirmed them, ms", many["written_ms"], "-"),
        *_latencies("all share the cores", load),
        *_latencies("the control plane apart", found["apart"]),
        *_latencies("the master apart, too", found["worker_alone"]),
        (
            "failed requests of all",
            f"{sum(item['failures'] for item in phases)} of {sum(item['requests'] for item in phases):,}",
            "0",
        ),
        ("master, MiB", found["master_mib"], "350"),
        ("worker, MiB", found["worker_mib"], "60"),
        ("statuses of all objects written after the start, s", found["statuses_written_s"], "-"),
    ]
    lines = [f"| {what} | {value} | {bar} |" for what, value, bar in rows]
    facts = f"{machine.processor}, {machine.cores} cores, Linux {machine.kernel}, CPython {machine.python}"
    return "\n".join(
        [
            f"# {found['mappings']:,} Mappings on {found['hosts']:,} Hosts, on a real API server",
            "",
            _METHOD.format(version=version, rate=rate, changes=changes),
            f"{facts}; load average {machine.load_average:.1f} before the run.",
            "",
            "| what | measured | bar |",
            "|---|---:|---:|",
            *lines,
            "",
        ]
    )


def _latencies(where: str, load: dict[str, Any]) -> list[tuple[str, Any, str]]:
    def shown(phase: str) -> str:
        found = load[phase]
        return f"{found['p99_ms']} ({found['p99_lowest_ms']}–{found['p99_highest_ms']})"

    return [
        (f"99 % of requests within, {where}: quiet, ms", shown("quiet"), "-"),
        ("the same while a foreign Mapping changes, ms", shown("foreign changes"), "-"),
        ("the same while Mappings change, ms", shown("changes"), f"{1.2 * load['quiet']['p99_ms']:.2f}"),
    ]
