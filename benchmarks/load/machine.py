"""What the kernel knows: processor time and memory of process trees, facts of the machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
MEBIBYTE = 1024 * 1024


def read(path: Path) -> str:
    """The file's text; empty when the process or thread has gone meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop(0)
        found.append(pid)
        for task in (PROC / str(pid) / "task").glob("*"):
            waiting.extend(int(child) for child in read(task / "children").split())
    return found


@dataclass(frozen=True)
class Cpu:
    """Seconds on a processor. ``total`` is exact (nanoseconds of run time); its parts come in clock ticks."""

    total: float
    user: float
    system: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.total - earlier.total, self.user - earlier.user, self.system - earlier.system)


def cpu_of(pids: list[int]) -> Cpu:
    total = user = system = 0.0
    for pid in pids:
        for task in (PROC / str(pid) / "task").glob("*"):
            run_time = read(task / "schedstat").split()
            total += int(run_time[0]) / 1e9 if run_time else 0.0
        fields = read(PROC / str(pid) / "stat").rpartition(")")[2].split()
        if fields:
            user += int(fields[11]) / TICKS
            system += int(fields[12]) / TICKS
    return Cpu(total, user, system)


def core_busy(core: int) -> float:
    """Seconds in which a core did anything, for whomever, and those that the hypervisor took."""
    for line in read(PROC / "stat").splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(value) for value in ticks[:8])
            return (user + nice + system + irq + softirq + steal) / TICKS
    raise LookupError(f"no core {core}")


@dataclass(frozen=True)
class Memory:
    name: str
    rss_mib: float
    pss_mib: float


@dataclass(frozen=True)
class Resident:
    """Bytes of a whole tree of processes."""

    rss: int
    pss: int


def resident(pids: list[int]) -> Resident:
    known = [rollup(pid) for pid in pids]
    return Resident(sum(values.get("Rss", 0) for values in known), sum(values.get("Pss", 0) for values in known))


def rollup(pid: int) -> dict[str, int]:
    """RSS and PSS of one process in bytes."""
    values = {}
    for line in read(PROC / str(pid) / "smaps_rollup").splitlines():
        key, _, rest = line.partition(":")
        if key in {"Rss", "Pss"}:
            values[key] = 1024 * int(rest.split()[0])
    return values


def memory_of(pids: list[int]) -> list[Memory]:
    """One entry per process, the root first. PSS shares out pages that several processes map."""
    entries = []
    for pid in pids:
        if values := rollup(pid):
            title = " ".join(read(PROC / str(pid) / "cmdline").replace("\0", " ").split())
            entries.append(Memory(short(title), round(values["Rss"] / MEBIBYTE, 1), round(values["Pss"] / MEBIBYTE, 1)))
    return entries


def short(title: str) -> str:
    """A command line without its folders and files."""
    return " ".join(word.rpartition("/")[2] if word.startswith("/") else word for word in title.split()[:4])[:40]


@dataclass(frozen=True)
class Machine:
    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    load_average: float

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def machine() -> Machine:
    models = [line.partition(":")[2].strip() for line in read(PROC / "cpuinfo").splitlines() if "model name" in line]
    memory = int(read(PROC / "meminfo").split()[1]) / 1024 / 1024
    return Machine(
        processor=models[0] if models else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory, 1),
        kernel=platform.release().partition("-")[0],
        python=platform.python_version(),
        load_average=os.getloadavg()[0],
    )


def output(*command: str) -> str:
    """First line that a program prints about itself, on whichever stream."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""
