"""The interoperability tests of gRPC (https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md) with
grpc-go on both sides of a running gateway."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.certs import Authority
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.goprograms import built
from tests.support.ports import LOOPBACK
from tests.support.processes import ChildProcess
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The time is for the compiler: a machine that has nothing yet compiles grpc-go.
pytestmark = pytest.mark.timeout(900)

NAME = "interop.example"
SECONDS = 60

CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "pick_first_unary",
    "orca_per_rpc",
    "rpc_soak",
    "channel_soak",
)
"""All that the client knows but those that need accounts of a cloud, and ``orca_oob``, whose server reports more often
than the public interface of grpc-go lets it."""

FLAGS = {
    # Only this balancer of the client reads what servers report of their load.
    "orca_per_rpc": ('--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}',),
}

LARGE = (
    "--soak_num_threads=8",
    "--soak_iterations=64",
    "--soak_request_size=2000000",
    "--soak_response_size=2000000",
    f"--soak_overall_timeout_seconds={SECONDS}",
    f"--soak_per_iteration_max_acceptable_latency_ms={SECONDS * 1000}",
)


@dataclass(frozen=True, slots=True)
class Site:
    client: Path
    gateway: GatewayProcess
    authority: Path

    def run(self, case: str, downstream: str, upstream: str, *arguments: str) -> None:
        """One case of the client. It ends with 1 and says why when an answer is not the expected one."""
        ports = self.gateway.ports
        tls = ("--use_tls", "--use_test_ca", f"--ca_file={self.authority}", f"--server_host_override={NAME}")
        done = subprocess.run(
            [
                self.client,
                f"--server_host={LOOPBACK}",
                f"--server_port={ports.https if downstream == 'tls' else ports.http}",
                f"--test_case={case}",
                f"--additional_metadata=x-upstream:{upstream}",
                *(tls if downstream == "tls" else ()),
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: self.gateway.metric("sluice_requests_in_flight") == 0, "no call is left")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with and without TLS before servers with and without it; metadata chooses between them."""
    client = built("google.golang.org/grpc/interop/client", "grpc-interop-client")
    server = built("./grpcinterop", "grpc-interop-server")
    folder, authority, ports = tmp_path_factory.mktemp("interop"), Authority(), Ports(extra=2)
    ca = folder / "ca.pem"
    ca.write_text(authority.pem)
    leaf = authority.issue(NAME)
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_text(leaf.chain)
    key.write_text(leaf.key)
    clear, secure = (f"{LOOPBACK}:{port}" for port in ports.extra)
    objects = [
        m.listener("http", ports.http),
        m.listener("https", ports.https, "HTTPS"),
        m.tls_secret("cert", leaf.chain, leaf.key),
        m.host("any", "*", "Route", "cert"),
        m.ca_secret("authority", authority.pem),
        m.tls_context("verified", ca_secret="authority", sni=NAME),
        m.mapping("h2c", "/", clear, grpc=True, headers={"x-upstream": "h2c"}),
        m.mapping("tls", "/", f"https://{secure}", grpc=True, tls="verified", headers={"x-upstream": "tls"}),
    ]
    with (
        ChildProcess([str(server), f"-listen={clear}"], folder / "clear.log", None) as one,
        ChildProcess(
            [str(server), f"-listen={secure}", f"-certificate={chain}", f"-key={key}"], folder / "secure.log", None
        ) as other,
        GatewayProcess(folder, ports, objects) as gateway,
    ):
        for running in (one, other):
            running.wait_for(lambda running=running: "listening on" in running.log(), "listens")  # type: ignore[misc]
        workers = gateway.children()
        yield Site(client, gateway, ca)
        assert gateway.children() == workers, gateway.log()
        assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture(params=["h2c", "tls"])
def downstream(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["h2c", "tls"])
def upstream(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("case", CASES)
def test_interop(site: Site, case: str, downstream: str, upstream: str) -> None:
    site.run(case, downstream, upstream, *FLAGS.get(case, ()))


def test_large_calls_at_once(site: Site, downstream: str, upstream: str) -> None:
    """8 callers on one connection, 2 MB each way: many times the windows of streams and connections."""
    site.run("rpc_soak", downstream, upstream, *LARGE)
