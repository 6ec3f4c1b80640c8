"""Requests at a steady rate, and how long each took. At full speed two cores would measure who gets them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.kube.objects import host_name, prefix

if TYPE_CHECKING:
    from pathlib import Path

_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds of all requests of a phase."""

    requests: int
    failures: int
    """Everything but a 200."""
    p50_ms: float
    p99_ms: float
    p999_ms: float


@dataclass(frozen=True, slots=True)
class SteadyRequests:
    """h2load over HTTP/1.1 with keep-alive, on a route that does not change."""

    port: int
    hosts: int
    rate: int
    """Requests a second."""
    seconds: float
    folder: Path
    cores: str
    """A list as taskset takes it."""

    def start(self) -> RunningRequests:
        """Begin to ask."""
        log = self.folder / "requests.log"
        log.unlink(missing_ok=True)
        words = ["taskset", "--cpu-list", self.cores, "h2load", "--h1", "--clients", str(_CONNECTIONS)]
        words += ["--rps", str(self.rate // _CONNECTIONS), "--duration", str(round(self.seconds))]
        # A header "Host" would be the second one.
        words += ["--log-file", str(log), "--header", f":authority: {host_name(1 % self.hosts)}"]
        words += [f"http://127.0.0.1:{self.port}{prefix(1)}"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return RunningRequests(process, log, self.seconds)


@dataclass(frozen=True, slots=True)
class RunningRequests:
    """Requests under way."""

    process: subprocess.Popen[str]
    log: Path
    seconds: float

    def wait(self) -> Latencies:
        """Blocks until the end."""
        try:
            said = self.process.communicate(timeout=self.seconds + 30)[0]
        finally:
            self.process.kill()
        if self.process.returncode:
            raise RuntimeError(f"h2load ended with {self.process.returncode}: {said[-500:]}")
        # A line is the start in microseconds, the status, and the time in microseconds; -1 is a broken stream.
        lines = [line.split("\t") for line in self.log.read_text(encoding="ascii").splitlines()]
        took = sorted(int(line[2]) / 1e3 for line in lines)
        at = [round(took[min(len(took) - 1, int(share * len(took)))], 2) for share in (0.5, 0.99, 0.999)]
        return Latencies(len(lines), sum(line[1] != "200" for line in lines), *at)
