"""The tables of a page."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.load.machine import MEBIBYTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.load.plan import Idle, Outcome, Sample


def grouped(samples: Iterable[Sample]) -> dict[str, dict[str, list[Sample]]]:
    """By scenario, then by gateway."""
    table: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        table.setdefault(sample.scenario, {}).setdefault(sample.proxy, []).append(sample)
    return table


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def head(*cells: str) -> str:
    return row(*cells) + row(*(["---"] + ["---:"] * (len(cells) - 1)))


def spread(values: list[float], digits: int = 1) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def cpu_table(samples: list[Sample], order: list[str]) -> str:
    measured = {sample.proxy for sample in samples}
    names = [name for name in order if name in measured]
    reference = "sluice" if "sluice" in names else names[0]
    others = [name for name in names if name != reference]
    text = "CPU µs each (lowest–highest round)"
    text += f", and the others as multiples of {reference}:\n\n" if others else ":\n\n"
    text += head("scenario", *names, *(f"{name} / {reference}" for name in others))
    for scenario, columns in grouped(samples).items():
        costs = {name: [sample.cpu_us for sample in columns[name]] for name in columns}
        cells = [spread(costs[name]) if name in costs else "–" for name in names]
        ratios = [
            f"{statistics.median(costs[name]) / statistics.median(costs[reference]):.2f}"
            if name in costs and reference in costs
            else "–"
            for name in others
        ]
        text += row(scenario, *cells, *ratios)
    details = {f"{sample.scenario}, {sample.proxy}: {sample.detail}" for sample in samples if sample.detail}
    return text + "".join(f"\n- {detail}" for detail in sorted(details)) + ("\n" if details else "")


def rate_table(samples: list[Sample]) -> str:
    text = "## Rates, latency at full load, and what may disturb\n\n"
    text += head(
        "scenario", "gateway", "per second", "per CPU second", "GB per CPU second", "p50 ms", "p99 ms", "system time",
        "own core share", "core used by others", "errors",
    )  # fmt: skip
    for scenario, columns in grouped(samples).items():
        for name, rounds in columns.items():
            cost = statistics.median(s.cpu_us for s in rounds)
            text += row(
                scenario,
                name,
                f"{statistics.median(s.rate for s in rounds):,.0f}",
                f"{1e6 / cost:,.0f}" if cost else "–",
                f"{MEBIBYTE / cost / 1e3:.2f}" if "MiB" in scenario else "",
                middle([s.p50_ms for s in rounds]),
                middle([s.p99_ms for s in rounds]),
                f"{statistics.median(s.system_share for s in rounds):.0%}",
                f"{statistics.median(s.cpu_share for s in rounds):.0%}",
                f"{statistics.median(s.foreign_share for s in rounds):.0%}",
                sum(s.errors for s in rounds),
            )
    return text


def middle(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.2f}" if known else "–"


def idle_table(looks: list[Idle]) -> str:
    text = "Bytes per idle connection (lowest–highest round):\n\n"
    text += head("site", "gateway", "connections", "RSS", "PSS", "closed meanwhile")
    for site, name in dict.fromkeys((look.site, look.proxy) for look in looks):
        rounds = [look for look in looks if (look.site, look.proxy) == (site, name)]
        rss, pss = (
            [float(value) for value in column] for column in zip(*((r.rss, r.pss) for r in rounds), strict=True)
        )
        text += row(site, name, rounds[0].connections, spread(rss, 0), spread(pss, 0), sum(r.closed for r in rounds))
    return text


def start_table(outcome: Outcome) -> str:
    text = "## Seconds from start to the first answer on the last route\n\n"
    text += "On the sites for HTTP/2 by prior knowledge: to the first connection that is taken.\n\n"
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
    text = "Milliseconds from the new file being in place to the first answer that shows it:\n\n"
    text += head("", "changes", "median", "p90", "max", "polls", "failed polls", "CPU ms each", "load", "errors")
    for name, values in outcome.changes.items():
        cpu = values["cpu_ms_per_change"] or "–"
        text += row(
            name, values["count"], values["median_ms"], values["p90_ms"], values["max_ms"], values["polls"],
            values["failed_polls"], cpu, values["load_requests"], values["load_errors"],
        )  # fmt: skip
    return text
