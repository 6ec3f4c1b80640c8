"""TCPMappings from outside: forwarded bytes, names in the hello, changes and the end of the process."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.certs import Authority, server_context
from tests.support.echo import Echo
from tests.support.gatewayproc import READY, GatewayProcess, Ports
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ChildProcess
from tests.support.replies import plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.native

WEB, PASSED, ENDED, UPSTREAM = "web.example", "passed.example", "ended.example", "upstream.example"


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=20)


def say(sock: socket.socket, data: bytes) -> bytes:
    """Send and read as much."""
    sock.sendall(data)
    return take(sock, len(data))


def take(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = sock.recv(count - len(got))
        assert more, f"ended after {got!r}"
        got += more
    return got


def rest(sock: socket.socket) -> bytes:
    got = b""
    while more := sock.recv(65536):
        got += more
    return got


def failures(gateway: GatewayProcess, reason: str) -> float:
    return gateway.metric(f'sluice_tcp_failures_total{{reason="{reason}"}}')


@pytest.fixture
def ports() -> Ports:
    return Ports(extra=2)


def test_connections_live_through_changes(tmp_path: Path, ports: Ports) -> None:
    port = ports.extra[0]
    with (
        Echo(b"old ") as old,
        Echo(b"new ") as new,
        GatewayProcess(tmp_path, ports, [m.tcp_mapping("echo", port, old.service)], workers=2) as gateway,
        ExitStack() as cleanup,
    ):
        live = [cleanup.enter_context(connect(port)) for _ in range(20)]
        assert {take(sock, 4) for sock in live} == {b"old "}
        gateway.configure(m.tcp_mapping("echo", port, new.service))

        def changed() -> bool:
            with connect(port) as sock:
                return take(sock, 4) == b"new "

        until(changed, "new connections go to the new service")
        until(lambda: gateway.metric("sluice_connections_active") == len(live), "only the old ones are left")
        for sock in live:
            assert say(sock, b"still here") == b"still here"
            sock.shutdown(socket.SHUT_WR)
            assert rest(sock) == b""
        gateway.configure(m.tcp_mapping("echo", ports.extra[1], new.service))

        def refused() -> bool:
            try:
                connect(port).close()
            except OSError:
                return True
            return False

        until(refused, "the port is closed")


def test_weights_and_a_dead_service(tmp_path: Path, ports: Ports) -> None:
    port, dead = ports.extra
    with Echo(b"a") as first, Echo(b"b") as second:
        objects = [
            m.tcp_mapping("first", port, first.service, weight=50),
            m.tcp_mapping("second", port, second.service, weight=50),
            m.tcp_mapping("dead", dead, f"{LOOPBACK}:{free_port()}"),
        ]
        with GatewayProcess(tmp_path, ports, objects) as gateway:
            names = []
            for _ in range(40):
                with connect(port) as sock:
                    names.append(take(sock, 1))
            assert set(names) == {b"a", b"b"}
            with pytest.raises(ConnectionResetError), connect(dead) as sock:
                rest(sock)
            until(lambda: failures(gateway, "unreachable") == 1, "the failure is counted")
            assert gateway.metric("sluice_tcp_connections_total") == 41


class Shared:
    """One HTTPS port: a Host, a name that is passed through, a name whose TLS ends here."""

    def __init__(self, folder: Path, port: int, authority: Authority, gateway: GatewayProcess) -> None:
        self.port, self.authority, self.gateway = port, authority, gateway
        self.ca = folder / "authority.pem"
        self.ca.write_text(authority.pem, encoding="ascii")

    def client(self, name: str) -> ssl.SSLSocket:
        return self.authority.client_context().wrap_socket(connect(self.port), server_hostname=name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("names")
    ports, authority = Ports(extra=1), Authority()
    leaf, ended = authority.issue(WEB), authority.issue(ENDED)
    with (
        Backend(plain(200, b"web")) as web,
        Backend(plain(200, b"passed"), server_context(authority.issue(PASSED), folder)) as passed,
        Echo() as echo,
        Echo(b"verified ", server_context(authority.issue(UPSTREAM), folder)) as secure,
    ):
        objects = [
            m.listener("https", ports.https, "HTTPS"),
            m.tls_secret("cert-web", leaf.chain, leaf.key),
            m.tls_secret("cert-ended", ended.chain, ended.key),
            m.host("web", WEB, secret="cert-web"),
            m.tls_context("ended", hosts=[ENDED], secret="cert-ended"),
            m.ca_secret("authority", authority.pem),
            m.tls_context("verified", ca_secret="authority", sni=UPSTREAM),
            m.mapping("all", "/", f"{LOOPBACK}:{web.port}"),
            m.tcp_mapping("passed", ports.https, f"{LOOPBACK}:{passed.port}", host=PASSED),
            m.tcp_mapping("ended", ports.https, echo.service, host=ENDED),
            m.tcp_mapping("secure", ports.extra[0], f"https://{secure.service}", tls="verified"),
        ]
        with GatewayProcess(folder, ports, objects) as gateway:
            edge = Shared(folder, ports.https, authority, gateway)
            yield edge
            assert gateway.metric("sluice_native_panics_total") == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("name", [WEB, PASSED])
def test_curl_reaches_hosts_and_passed_names_on_one_port(shared: Shared, name: str) -> None:
    command = ["curl", "--silent", "--show-error", "--http1.1", "--cacert", str(shared.ca)]
    command += ["--resolve", f"{name}:{shared.port}:{LOOPBACK}", f"https://{name}:{shared.port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == (name.partition(".")[0], "")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_sees_the_certificate_of_the_service(shared: Shared) -> None:
    command = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{shared.port}", "-servername", PASSED]
    command += ["-CAfile", str(shared.ca), "-verify_return_error", "-brief"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert f"CN = {PASSED}" in done.stderr


def test_tls_ends_for_a_name_with_a_certificate(shared: Shared) -> None:
    with shared.client(ENDED) as client:
        assert say(client, b"x" * 100_000) == b"x" * 100_000


def test_an_unknown_name_is_refused(shared: Shared) -> None:
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        shared.client("unknown.example")


def test_the_service_is_reached_over_verified_tls(shared: Shared) -> None:
    with connect(shared.gateway.ports.extra[0]) as client:
        assert take(client, 9) == b"verified "
        assert say(client, b"hello") == b"hello"


HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen front
    bind {loopback}:{front}
    server gateway {loopback}:{port} {send}
"""


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_haproxy_says_who_the_client_is(tmp_path: Path, ports: Ports, send: str) -> None:
    port, front = ports.extra
    log = {"client": "%DOWNSTREAM_REMOTE_ADDRESS%", "flags": "%RESPONSE_FLAGS%", "in": "%BYTES_RECEIVED%"}
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(loopback=LOOPBACK, front=front, port=port, send=send), encoding="ascii")
    listener = m.listener("tcp", port, protocolStack=["PROXY", "TCP"])
    del listener["spec"]["protocol"]
    with Echo() as echo:
        objects = [
            listener,
            m.tcp_mapping("echo", port, echo.service),
            m.module(envoy_log_type="json", envoy_log_format=log),
        ]
        with (
            GatewayProcess(tmp_path, ports, objects) as gateway,
            ChildProcess(["haproxy", "-db", "-f", str(config)], tmp_path / "haproxy.log", None) as haproxy,
        ):
            haproxy.wait_for(lambda: reachable(front), "listening")
            with connect(front) as client:
                assert say(client, b"hello") == b"hello"
                client.shutdown(socket.SHUT_WR)
                assert rest(client) == b""
                name, number = client.getsockname()
            expected = json.dumps({"client": f"{name}:{number}", "flags": "-", "in": 5}, separators=(",", ":"))
            until(lambda: expected in gateway.log(), "the connection is logged")


def reachable(port: int) -> bool:
    try:
        connect(port).close()
    except OSError:
        return False
    return True


def ended(gateway: GatewayProcess) -> int:
    until(lambda: gateway.process.poll() is not None, "the gateway ends", deadline=20.0)
    return gateway.process.returncode


def test_a_drain_waits_for_connections(tmp_path: Path, ports: Ports) -> None:
    port = ports.extra[0]
    with Echo() as echo, GatewayProcess(tmp_path, ports, [m.tcp_mapping("echo", port, echo.service)]) as gateway:
        with connect(port) as client:
            assert say(client, b"before") == b"before"
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: gateway.admin(READY) == 503, "readiness fails")
            until(lambda: not reachable(port), "new connections are refused")
            assert say(client, b"after") == b"after"
        assert ended(gateway) == 0
        assert "no connection was cut" in gateway.log()


def test_a_drain_ends(tmp_path: Path, ports: Ports) -> None:
    port = ports.extra[0]
    with Echo() as echo:
        objects = [m.tcp_mapping("echo", port, echo.service)]
        with (
            GatewayProcess(tmp_path, ports, objects, arguments=("--drain-timeout", "0.5")) as gateway,
            connect(port) as client,
        ):
            assert say(client, b"before") == b"before"
            gateway.process.send_signal(signal.SIGTERM)
            assert rest(client) == b""
            assert ended(gateway) == 0
            assert "1 connection was cut" in gateway.log()


def test_a_broken_tcp_mapping_gives_its_name_to_nobody(tmp_path: Path, ports: Ports) -> None:
    """Its connections would be decrypted by the Host that covers the name, or go to the TCPMapping for the rest."""
    authority = Authority()
    leaf = authority.issue(WEB)
    names = ("heavy.example", "nowhere.example", "secret.test")
    with Backend(plain(200, b"web")) as web, Echo(b"rest ") as rest_of_all:
        objects = [
            m.listener("https", ports.https, "HTTPS"),
            m.tls_secret("cert", leaf.chain, leaf.key),
            m.host("web", "*.example", secret="cert"),
            m.mapping("all", "/", f"{LOOPBACK}:{web.port}"),
            m.host("secret", "secret.test", secret="missing"),
            m.tcp_mapping("secret", ports.https, rest_of_all.service, host="secret.test"),
            m.tcp_mapping("heavy", ports.https, rest_of_all.service, host="heavy.example", weight=60),
            m.tcp_mapping("heavy-too", ports.https, rest_of_all.service, host="heavy.example", weight=60),
            m.tcp_mapping("nowhere", ports.https, "http://", host="nowhere.example"),
            m.tcp_mapping("rest", ports.https, rest_of_all.service),
        ]
        with GatewayProcess(tmp_path, ports, objects) as gateway:
            for count, name in enumerate(names, start=1):
                with pytest.raises((ssl.SSLError, ConnectionResetError)):
                    authority.client_context().wrap_socket(connect(ports.https), server_hostname=name)
                until(lambda count=count: failures(gateway, "no_route") == count, f"{name} is refused")  # type: ignore[misc]
            with authority.client_context().wrap_socket(connect(ports.https), server_hostname=WEB) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n")
                assert rest(client).endswith(b"web")
            with connect(ports.https) as client:
                client.sendall(b"not TLS")
                assert take(client, 12) == b"rest not TLS"
