"""``python -m benchmarks.kube``: Sluice on a real API server with ten thousand Mappings on a thousand Hosts.

API server, etcd and everything else run in a network namespace of their own; needs root, Go and Debian's etcd-server,
as the tests on Kubernetes do. Results go to ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.kube.load import SteadyRequests
from benchmarks.kube.measure import Many, Prober, Single, changes_at_once, single_changes
from benchmarks.kube.objects import foreign, general, host_name, mapping, of_a_host, prefix
from benchmarks.kube.page import page
from benchmarks.kube.underload import Load, under_load
from benchmarks.load import machine
from benchmarks.load.backend import Backend
from benchmarks.load.process import Program, get
from tests.support.kube.client import KubeClient, client
from tests.support.kube.controlplane import ControlPlane
from tests.support.kube.network import NODE_ADDRESS, Network
from tests.support.kube.programs import VERSION, control_plane_program

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

RESULTS = Path(__file__).parent.parent / "results"
HTTP_PORT, ADMIN_PORT = 8080, 8877
_AT_ONCE = 32
"""Requests to the API server at the same time while objects are made."""
EVERY_CORE = f"0-{(os.cpu_count() or 1) - 1}"
CONTROL_CORE, GATEWAY_CORES = 0, f"{min(1, (os.cpu_count() or 1) - 1)}-{(os.cpu_count() or 1) - 1}"
"""Where the API server and what asks it are while they shall not be in the way of requests, and where the rest is."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kube", description=__doc__)
    parser.add_argument("--mappings", type=int, default=10_000)
    parser.add_argument("--hosts", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=50, help="single changes")
    parser.add_argument("--at-once", type=int, default=100, help="changes at the same time")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load, without and with changes")
    parser.add_argument("--rounds", type=int, default=5, help="of these seconds, one after the other")
    parser.add_argument("--requests", type=int, default=2_000, help="a second under load")
    parser.add_argument("--rate", type=float, default=10.0, help="changes a second under load")
    parser.add_argument("--name", default=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-kube", help="of the results")
    return parser.parse_args()


async def make(kube: KubeClient, objects: Iterable[dict[str, Any]]) -> int:
    """Create objects, many at a time; how many."""
    waiting = iter(objects)
    made = 0

    async def maker() -> None:
        nonlocal made
        for item in waiting:
            await kube.create(item)
            made += 1

    await asyncio.gather(*(maker() for _ in range(_AT_ONCE)))
    return made


def memory(program: Program) -> tuple[float, float]:
    """MiB of the master and of its largest worker; shared pages count by their share (PSS)."""
    master, *workers = machine.memory_of(program.pids())
    return master.pss_mib, max(worker.pss_mib for worker in workers)


def move_apart(data_path: Collection[int]) -> None:
    """Put these processes on their cores and all others that belong to this program on the other one."""
    first, last = map(int, GATEWAY_CORES.split("-"))
    for pid in machine.tree(os.getpid()):
        cores = range(first, last + 1) if pid in data_path else (CONTROL_CORE,)
        for task in (machine.PROC / str(pid) / "task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def statuses_written(objects: int) -> bool:
    """Whether the gateway has told so many objects about themselves."""
    page = get(ADMIN_PORT, "/metrics", "localhost")[1].decode()
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    return float(values.get('sluice_status_writes_total{result="written"}', 0)) >= objects


async def measured(plane: ControlPlane, definitions: str, folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    backend = Backend(folder / "backend", EVERY_CORE, address=NODE_ADDRESS)
    found: dict[str, Any] = {"mappings": wanted.mappings, "hosts": wanted.hosts}
    try:
        async with client(plane.admin, "edge") as kube:
            await kube.apply(definitions)
            await kube.apply([*general(HTTP_PORT), foreign(backend.port)])
            began = time.monotonic()
            hosts = (of_a_host(number, NODE_ADDRESS, backend.port) for number in range(wanted.hosts))
            made = await make(kube, itertools.chain.from_iterable(hosts))
            mappings = (mapping(number, wanted.hosts, backend.port) for number in range(wanted.mappings))
            made += await make(kube, mappings)
            print(f"{made:,} objects made in {time.monotonic() - began:.0f} s", flush=True)
            found |= await _gateway(plane, kube, backend, folder, wanted)
    finally:
        backend.program.stop()
    return found


async def _gateway(
    plane: ControlPlane, kube: KubeClient, backend: Backend, folder: Path, wanted: argparse.Namespace
) -> dict[str, Any]:
    command = [sys.executable, "-m", "gateway", "run", "--kubeconfig", str(plane.admin.path), "--workers", "1"]
    command += ["--admin-address", f"127.0.0.1:{ADMIN_PORT}"]
    program = Program(command, EVERY_CORE, folder / "sluice.log")
    try:
        started = await asyncio.to_thread(program.wait_for, ADMIN_PORT, "/ready", "localhost")
        last = wanted.mappings - 1
        name = host_name(last % wanted.hosts)
        first = await asyncio.to_thread(program.wait_for, HTTP_PORT, prefix(last), name)
        print(f"ready after {started:.2f} s, first answer after {first:.2f} s", flush=True)
        # Statuses of all objects are written first, some a second: that is work for the API server on the same cores.
        objects = wanted.mappings + wanted.hosts
        settled = await asyncio.to_thread(program.wait_until, lambda: statuses_written(objects), 900.0)
        print(f"all statuses written after {settled:.0f} s", flush=True)
        prober = Prober(HTTP_PORT, wanted.hosts)

        def load(name: str, cores: str) -> Load:
            request = SteadyRequests(HTTP_PORT, wanted.hosts, wanted.requests, wanted.seconds, folder, cores)
            return Load(name, request, wanted.rounds, wanted.rate)

        numbers = [(index * 7919) % wanted.mappings for index in range(wanted.changes)]
        single: Single = await single_changes(kube, prober, numbers)
        print(f"single changes: {single}", flush=True)
        many: Many = await changes_at_once(kube, prober, range(wanted.at_once), "at-once")
        print(f"at once: {many}", flush=True)
        busy = await under_load(kube, prober, load("shared", EVERY_CORE))
        print(f"under load: {busy}", flush=True)
        move_apart([*program.pids(), *backend.program.pids()])
        apart = await under_load(kube, prober, load("apart", GATEWAY_CORES))
        print(f"under load, the control plane on a core of its own: {apart}", flush=True)
        _, *workers = program.pids()
        move_apart([*workers, *backend.program.pids()])
        alone = await under_load(kube, prober, load("alone", GATEWAY_CORES))
        print(f"under load, the master beside the control plane: {alone}", flush=True)
        master, worker = memory(program)
        print(f"memory: master {master} MiB, worker {worker} MiB", flush=True)
    finally:
        program.stop()
    return {
        "ready_s": round(started, 2),
        "first_answer_s": round(first, 2),
        "statuses_written_s": round(settled),
        "single": asdict(single),
        "at_once": asdict(many),
        "load": {name: asdict(phase) for name, phase in busy.items()},
        "apart": {name: asdict(phase) for name, phase in apart.items()},
        "worker_alone": {name: asdict(phase) for name, phase in alone.items()},
        "master_mib": master,
        "worker_mib": worker,
    }


def main() -> None:
    wanted = arguments()
    program, before = control_plane_program(), machine.machine()
    crds = [sys.executable, "-m", "gateway", "crds"]
    definitions = subprocess.run(crds, check=True, capture_output=True, text=True).stdout
    network = Network.create()
    with tempfile.TemporaryDirectory(prefix="sluice-kube-") as name, network.entered():
        plane = ControlPlane(Path(name) / "cluster", network, program)
        plane.folder.mkdir()
        plane.start()
        try:
            found = asyncio.run(measured(plane, definitions, Path(name), wanted))
        finally:
            plane.stop()
    network.close()
    (RESULTS / f"{wanted.name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page(found, before, VERSION, wanted.requests, wanted.rate)
    (RESULTS / f"{wanted.name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
