"""``python -m benchmarks.load``: measure, print, and write the results into ``benchmarks/results``."""

from __future__ import annotations

import argparse
import datetime
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load import machine
from benchmarks.load.clients import golang
from benchmarks.load.gateways.envoy import Envoy
from benchmarks.load.gateways.haproxy import Haproxy
from benchmarks.load.gateways.nginx import Nginx
from benchmarks.load.gateways.sluice import Sluice, other_checkout
from benchmarks.load.groups import changes, grpc, handshakes, http1, http2, idle, reload, websocket
from benchmarks.load.plan import Plan
from benchmarks.load.process import MissingError
from benchmarks.load.report import page
from benchmarks.load.run import Run

if TYPE_CHECKING:
    from benchmarks.load.plan import Outcome
    from benchmarks.load.process import Proxy

PROXIES: dict[str, type[Proxy]] = {kind.name: kind for kind in (Sluice, Nginx, Haproxy, Envoy)}
GROUPS = {
    group.name: group
    for group in (
        http1.SMALL,
        http1.TLS,
        http1.POST,
        http2.GROUP,
        handshakes.GROUP,
        grpc.GROUP,
        websocket.GROUP,
        http1.ROUTES_GROUP,
        idle.GROUP,
        reload.GROUP,
        changes.GROUP,
    )
}
RESULTS = Path(__file__).parent.parent / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--proxies", nargs="+", choices=PROXIES, default=list(PROXIES))
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a measured point")
    parser.add_argument("--attempts", type=int, default=3, help="how often a disturbed point is measured")
    parser.add_argument("--changes", type=int, default=20, help="route changes in each state")
    parser.add_argument("--idle-connections", type=int, default=2000, help="of the memory of one")
    parser.add_argument(
        "--previous",
        type=Path,
        metavar="PATH",
        help="another checkout with a release build in its .venv, measured beside",
    )
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--name", default=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-load", help="of the results")
    return parser.parse_args()


def gateways(wanted: argparse.Namespace) -> list[type[Proxy]]:
    kinds = [PROXIES[name] for name in wanted.proxies]
    if wanted.previous:
        previous = other_checkout(wanted.previous)
        if not previous.python.exists():
            sys.exit(f"{previous.python} does not exist: run `make build` there first")
        # Behind Sluice, so that the tables show the two side by side.
        kinds.insert(kinds.index(Sluice) + 1 if Sluice in kinds else 0, previous)
    for kind in [kind for kind in kinds if not kind.version()]:
        print(f"{kind.name} is not installed and left out", file=sys.stderr)
        kinds.remove(kind)
    return kinds


def generators() -> dict[str, str]:
    return {
        "wrk": machine.output("wrk", "-v").removeprefix("wrk ").partition(" ")[0],
        "h2load": machine.output("h2load", "--version").removeprefix("h2load "),
        "go": machine.output("go", "version").removeprefix("go version "),
        "ghz": golang.ghz_version(),
    }


def facts_of(kinds: list[type[Proxy]]) -> dict[str, object]:
    facts: dict[str, object] = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine.machine().as_dict(),
        "gateways": {kind.name: kind.version() for kind in kinds},
        "backend": Nginx.version(),
    }
    for kind in kinds:
        if issubclass(kind, Sluice):
            facts[f"commit of {kind.name}"] = kind.commit()
            facts[f"build of {kind.name}"] = kind.build_facts()
    return facts


def measure(plan: Plan) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        run = Run(plan, Path(folder))
        try:
            for group in GROUPS.values():
                if group.name in plan.groups:
                    run.group = group.name
                    run.outcome.methods[group.name] = group.method
                    try:
                        group.measure(run)
                    except MissingError as error:
                        run.leave_out(f"all gateways from {group.name}: {error}")
                    except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
                        # What the other groups have measured is worth more than an early end.
                        run.fail(f"{group.name}: {error!r}")
        finally:
            run.backend.program.stop()
        return run.outcome


def main() -> None:
    wanted = arguments()
    missing = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"needs {', '.join(missing)} (Debian: apt-get install wrk nginx-light haproxy util-linux)")
    if (os.cpu_count() or 1) < 2:
        sys.exit("needs two cores: one for the gateway, one for the load and the backend")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    kinds = gateways(wanted)
    plan = Plan(
        proxies=tuple(kinds),
        rounds=wanted.rounds,
        seconds=wanted.seconds,
        groups=frozenset(wanted.groups),
        proxy_core=wanted.proxy_core,
        load_core=wanted.load_core,
        changes=wanted.changes,
        attempts=wanted.attempts,
        idle_connections=wanted.idle_connections,
    )
    facts = facts_of(kinds)
    outcome = measure(plan)
    # Some are built on the way.
    facts["generators"] = {tool: version for tool, version in generators().items() if version}
    written = page.write(RESULTS, wanted.name, facts, plan, outcome)
    print(f"\n{written.read_text()}\nwritten to {written.relative_to(Path.cwd())}")
    if outcome.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
