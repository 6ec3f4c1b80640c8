"""`make run` and `make demo`: two services, Sluice in front of them, and requests that show what it does.

``serve`` prints the requests for you to send and serves the folder ``manifests`` until Ctrl-C: edit a file and see
the change live. ``check`` works on a copy of the folder, sends the requests itself, shows the answers and exits with 1
when one of them is not what the manifests say.
"""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import upstreams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFESTS = Path(__file__).parent / "manifests"
PORT = 8080
ADMIN_PORT = 8877
START_TIMEOUT = 30.0
LIVE_TIMEOUT = 10.0

GUIDE = f"""
Sluice serves {MANIFESTS} on http://localhost:{PORT}. Try:

  # a Mapping; see which headers the service received
  curl -i http://localhost:{PORT}/quote/today

  # 80 % stable, 20 % canary
  for i in $(seq 10); do curl -s http://localhost:{PORT}/quote/ | head -c 21; echo; done

  # the fourth request within a minute is answered 429
  curl -i http://localhost:{PORT}/limited/

  # a plain Ingress beside the Mappings
  curl -i -H 'Host: shop.localhost' http://localhost:{PORT}/cart/7

  # no route: 404
  curl -i http://localhost:{PORT}/nothing-here

  # counters of all workers
  curl -s http://localhost:{ADMIN_PORT}/metrics | grep '^sluice_requests'

Edit a file in the folder (the weight in 02-quote.yaml, say) and ask again: no restart. Ctrl-C ends it.
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


def ask(path: str, host: str = f"localhost:{PORT}", port: int = PORT) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host, "User-Agent": "quickstart"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    finally:
        connection.close()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def gateway(folder: Path, log_level: str) -> Iterator[subprocess.Popen[bytes]]:
    """``sluice run`` on a folder, ready to serve; ended with SIGTERM."""
    taken = [port for port in (PORT, ADMIN_PORT, *upstreams.PORTS.values()) if not is_free(port)]
    if taken:
        sys.exit(f"quickstart needs port {', '.join(map(str, taken))}, which another program is using")
    sluice = Path(sys.executable).with_name("sluice")
    arguments = [str(sluice), "run", str(folder), "--workers", "1", "--bind-address", "127.0.0.1"]
    arguments += ["--admin-address", f"127.0.0.1:{ADMIN_PORT}", "--log-level", log_level]
    with upstreams.serving(), subprocess.Popen(arguments) as process:
        try:
            wait_until_ready(process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"sluice ended with {process.returncode} before it was ready")
        try:
            if ask("/ambassador/v0/check_ready", port=ADMIN_PORT).status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"sluice was not ready after {START_TIMEOUT:.0f} s")


@dataclass
class Report:
    failures: list[str] = field(default_factory=list)

    def show(self, title: str, request: str, shown: list[str], expectations: dict[str, bool]) -> None:
        print(f"\n— {title}\n  $ {request}")
        for line in shown:
            print(f"  {line}")
        for text, held in expectations.items():
            print(f"  {'ok  ' if held else 'FAIL'} {text}")
            if not held:
                self.failures.append(f"{title}: {text}")


def check_route(report: Report) -> None:
    answer = ask("/quote/today")
    seen = answer.json() if answer.status == 200 else {"path": None, "headers": {}}
    headers = seen["headers"]
    interesting = ("x-forwarded-for", "x-forwarded-proto", "x-request-id")
    report.show(
        "a Mapping",
        f"curl -i http://localhost:{PORT}/quote/today",
        [f"HTTP {answer.status}, x-demo: {answer.headers.get('x-demo')}"]
        + [f"the service saw {name}: {headers.get(name)}" for name in interesting],
        {
            "answered by the service": answer.status == 200,
            "the prefix /quote/ became /": seen["path"] == "/today",
            "the answer carries the header that the Mapping adds": answer.headers.get("x-demo") == "quickstart",
            "the service learns the client, the scheme and a request id": all(
                headers.get(name) for name in interesting
            ),
        },
    )


def check_canary(report: Report, requests: int = 500) -> None:
    counts = Counter(ask("/quote/").json()["service"] for _ in range(requests))
    share = counts["canary"] / requests
    report.show(
        "a canary of 20 %",
        f"for i in $(seq {requests}); do curl -s http://localhost:{PORT}/quote/; done",
        [f"stable {counts['stable']}, canary {counts['canary']}: {share:.1%}"],
        {"between 12 % and 28 % of the requests": 0.12 < share < 0.28},
    )


def check_limit(report: Report) -> None:
    answers = [ask("/limited/") for _ in range(5)]
    statuses = [answer.status for answer in answers]
    report.show(
        "three requests a minute",
        f"for i in 1 2 3 4 5; do curl -i http://localhost:{PORT}/limited/; done",
        [f"HTTP {', '.join(map(str, statuses))}", f"retry-after: {answers[-1].headers.get('retry-after')}"],
        {"three pass, then 429": statuses == [200, 200, 200, 429, 429]},
    )


def check_ingress(report: Report) -> None:
    answer = ask("/cart/7", host="shop.localhost")
    seen = answer.json() if answer.status == 200 else {"path": None, "service": None}
    report.show(
        "an Ingress for another host",
        f"curl -i -H 'Host: shop.localhost' http://localhost:{PORT}/cart/7",
        [f"HTTP {answer.status} from {seen['service']}, path {seen['path']}"],
        {
            "answered by the service": answer.status == 200,
            "an Ingress keeps the path": seen["path"] == "/cart/7",
        },
    )


def check_unknown(report: Report) -> None:
    answer = ask("/nothing-here")
    report.show(
        "no route",
        f"curl -i http://localhost:{PORT}/nothing-here",
        [f"HTTP {answer.status}"],
        {"404": answer.status == 404},
    )


def check_live_change(report: Report, folder: Path) -> None:
    """The canary takes everything: the weight in the file becomes 100 while requests go on."""
    file = folder / "02-quote.yaml"
    edited = file.read_text().replace("weight: 20", "weight: 100")
    fresh = file.with_suffix(".new")
    fresh.write_text(edited)
    began = time.monotonic()
    fresh.replace(file)
    statuses: Counter[int] = Counter()
    in_a_row = 0
    live = began
    while in_a_row < 40 and time.monotonic() < began + LIVE_TIMEOUT:
        answer = ask("/quote/")
        statuses[answer.status] += 1
        if answer.status == 200 and answer.json()["service"] == "canary":
            live = time.monotonic() if in_a_row == 0 else live
            in_a_row += 1
        else:
            in_a_row = 0
    report.show(
        "a change while it serves",
        "sed -i 's/weight: 20/weight: 100/' manifests/02-quote.yaml",
        [f"{statuses.total()} requests meanwhile, every answer canary from {1000 * (live - began):.0f} ms on"],
        {"the new weight is live": in_a_row == 40, "no request failed": set(statuses) == {200}},
    )


def check_metrics(report: Report) -> None:
    answer = ask("/metrics", port=ADMIN_PORT)
    samples = [line for line in answer.body.decode().splitlines() if line and not line.startswith("#")]
    report.show(
        "metrics",
        f"curl -s http://localhost:{ADMIN_PORT}/metrics",
        [f"HTTP {answer.status}, {len(samples)} samples"],
        {"Prometheus text with samples": answer.status == 200 and len(samples) > 10},
    )


def check() -> int:
    report = Report()
    with tempfile.TemporaryDirectory(prefix="sluice-quickstart-") as scratch:
        folder = Path(scratch) / "manifests"
        shutil.copytree(MANIFESTS, folder)
        steps: list[Callable[[Report], None]] = [check_route, check_canary, check_limit, check_ingress, check_unknown]
        steps += [partial(check_live_change, folder=folder), check_metrics]
        with gateway(folder, "warning"):
            for step in steps:
                try:
                    step(report)
                except (OSError, http.client.HTTPException) as error:
                    report.show("a request that got no answer", "", [], {f"{type(error).__name__}: {error}": False})
    if report.failures:
        print(f"\n{len(report.failures)} of the expectations did not hold:", *report.failures, sep="\n  ")
        return 1
    print("\nEverything is as the manifests say.")
    return 0


def serve() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with gateway(MANIFESTS, "info") as process:
        print(GUIDE, flush=True)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0


def main() -> int:
    modes = {"serve": serve, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in modes:
        sys.exit(f"usage: {Path(sys.argv[0]).name} {{{'|'.join(modes)}}}")
    return modes[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
