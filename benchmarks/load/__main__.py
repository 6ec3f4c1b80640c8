"""``python -m benchmarks.load``: measure, print, and write the results into ``benchmarks/results``."""

from __future__ import annotations

import argparse
import datetime
import os
import resource
import shutil
import sys
from pathlib import Path

from benchmarks.load import machine, report, sluice
from benchmarks.load.peers import Envoy, Haproxy, Nginx
from benchmarks.load.run import Plan, Run
from benchmarks.load.sluice import Sluice

PROXIES = {kind.name: kind for kind in (Sluice, Nginx, Haproxy, Envoy)}
GROUPS = ("small", "tls", "routes", "changes")
RESULTS = Path(__file__).parent.parent / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--proxies", nargs="+", choices=PROXIES, default=list(PROXIES))
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a measured point")
    parser.add_argument("--attempts", type=int, default=3, help="how often a disturbed point is measured")
    parser.add_argument("--changes", type=int, default=20, help="route changes in each state")
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--name", default=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-load", help="of the results")
    return parser.parse_args()


def main() -> None:
    wanted = arguments()
    missing = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"needs {', '.join(missing)} (Debian: apt-get install wrk nginx-light haproxy util-linux)")
    if (os.cpu_count() or 1) < 2:
        sys.exit("needs two cores: one for the gateway, one for the load and the backend")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    versions = {name: PROXIES[name].version() for name in wanted.proxies}
    for name in [name for name, version in versions.items() if not version]:
        print(f"{name} is not installed and left out", file=sys.stderr)
        del versions[name]
    facts: dict[str, object] = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine.machine().as_dict(),
        "gateways": versions,
        "generator": " ".join(machine.output("wrk", "-v").split()[:2]),
        "backend": Nginx.version(),
    }
    if "sluice" in versions:
        changed = "with changes" if machine.output("git", "status", "--porcelain", "-uno") else "unchanged"
        facts["commit"] = f"{machine.output('git', 'rev-parse', '--short', 'HEAD')}, {changed}"
        facts["build"] = sluice.build_facts()
    plan = Plan(
        proxies=tuple(PROXIES[name] for name in versions),
        rounds=wanted.rounds,
        seconds=wanted.seconds,
        groups=frozenset(wanted.groups),
        proxy_core=wanted.proxy_core,
        load_core=wanted.load_core,
        changes=wanted.changes,
        attempts=wanted.attempts,
    )
    outcome = Run(plan).everything()
    page = report.write(RESULTS, wanted.name, facts, plan, outcome)
    print(f"\n{page.read_text()}\nwritten to {page.relative_to(Path.cwd())}")
    if outcome.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
