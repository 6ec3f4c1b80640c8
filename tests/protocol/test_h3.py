"""HTTP/3 towards clients (RFC 9114): as TCP serves it, advertised there, bounded where a client does not play along."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
from curl_cffi import CurlOpt, requests
from curl_cffi.const import CurlHttpVersion

from tests.support import manifests as m
from tests.support.certs import Authority, Leaf
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.quicclient import QuicClient, RawFields, configuration, head, initials
from tests.support.rawclient import RawClient, request
from tests.support.replies import plain, tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backend import Backend, Exchange

HOST = "one.example"
DATAGRAM = 1200
"""Bytes of a full datagram before the path is known to take more."""
RETRY_ABOVE = 256
"""Incomplete handshakes of one worker above which clients are asked to retry."""


@dataclass(frozen=True, slots=True)
class QuicEdge:
    gateway: GatewayProcess
    backend: Backend
    authority: Authority
    authority_file: str
    objects: list[m.Object]

    @property
    def port(self) -> int:
        return self.gateway.ports.https

    def connect(self, **settings: int) -> QuicClient:
        return QuicClient(self.port, configuration(HOST, self.authority.pem, **settings))

    def curl(self, method: Literal["GET", "HEAD", "POST"], path: str, **options: Any) -> requests.Response:
        """A request by curl, which takes HTTP/3 or nothing unless told otherwise."""
        options = {"http_version": "v3only", **options}
        resolve = {CurlOpt.RESOLVE: [f"{HOST}:{self.port}:{LOOPBACK}"]}
        curl_options = {**resolve, **options.pop("curl_options", {})}
        url = f"https://{HOST}:{self.port}{path}"
        session: requests.Session[requests.Response]
        with requests.Session(curl_options=curl_options) as session:
            # The types of curl_cffi know a switch only; the name of a file is documented.
            verify: Any = self.authority_file
            return session.request(method, url, timeout=20, verify=verify, **options)


def objects_of(ports: Ports, upstream: int, leaf: Leaf) -> list[m.Object]:
    return [
        m.listener("http", ports.http),
        m.listener("https", ports.https, "HTTPS"),
        quic_listener("quic", ports.https),
        m.tls_secret("cert", leaf.chain, leaf.key),
        m.host("one", HOST, "Redirect", "cert"),
        m.mapping("all", "/", f"{LOOPBACK}:{upstream}"),
        m.mapping("socket", "/socket", f"{LOOPBACK}:{upstream}", allow_upgrade=["websocket"], rewrite=""),
        m.mapping("named", "/named/", f"{LOOPBACK}:{upstream}", add_response_headers={"alt-svc": "clear"}),
    ]


def quic_listener(name: str, port: int) -> m.Object:
    listener = m.listener(name, port, protocolStack=["TLS", "HTTP", "UDP"])
    del listener["spec"]["protocol"]
    return listener


@pytest.fixture(scope="module")
def shared(upstream: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuicEdge]:
    folder = tmp_path_factory.mktemp("quic")
    authority = Authority()
    authority_file = folder / "authority.pem"
    authority_file.write_text(authority.pem, encoding="ascii")
    ports = Ports()
    objects = objects_of(ports, upstream.port, authority.issue(HOST))
    with GatewayProcess(folder, ports, objects, arguments=["--access-log", "text"]) as gateway:
        yield QuicEdge(gateway, upstream, authority, str(authority_file), objects)
        assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture
def edge(shared: QuicEdge) -> Iterator[QuicEdge]:
    shared.backend.reset()
    workers = shared.gateway.children()
    yield shared
    assert shared.backend.faults() == []
    assert shared.gateway.children() == workers, shared.gateway.log()


def test_get(edge: QuicEdge) -> None:
    response = edge.curl("GET", "/a?b=c")
    assert (response.status_code, response.http_version) == (200, CurlHttpVersion.V3)
    seen = json.loads(response.content)
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert (seen["method"], seen["target"], seen["version"]) == ("GET", "/a?b=c", "1.1")
    assert (headers["host"], headers["x-forwarded-proto"]) == (f"{HOST}:{edge.port}", "https")
    assert "transfer-encoding" not in headers
    assert "content-length" not in headers


@pytest.mark.parametrize("size", [0, 1, 100_000, 2_000_000])
def test_post(edge: QuicEdge, size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    seen = json.loads(edge.curl("POST", "/p", data=body).content)
    assert seen["body"].encode("latin-1") == body


def test_head(edge: QuicEdge) -> None:
    response = edge.curl("HEAD", "/h")
    assert (response.status_code, response.content) == (200, b"")


def test_tcp_says_where_it_is_and_curl_follows(edge: QuicEdge, tmp_path: Path) -> None:
    cache = tmp_path / "alternatives"
    options = {CurlOpt.ALTSVC: str(cache), CurlOpt.ALTSVC_CTRL: 1 << 5}
    first = edge.curl("GET", "/", http_version="v1", curl_options=options)
    assert first.headers["alt-svc"] == f'h3=":{edge.port}"; ma=86400'
    assert first.http_version == CurlHttpVersion.V1_1
    assert re.search(rf"h1 {HOST} {edge.port} h3 {HOST} {edge.port}", cache.read_text(encoding="ascii"))
    second = edge.curl("GET", "/", http_version=None, curl_options=options)
    assert (second.status_code, second.http_version) == (200, CurlHttpVersion.V3)
    assert "alt-svc" not in second.headers


def test_alternatives_are_told_over_tls_only_and_once(edge: QuicEdge) -> None:
    with RawClient(edge.gateway.ports.http) as client:
        assert "alt-svc" not in client.ask(request("GET", "/", host=HOST)).fields
    context = edge.authority.client_context()
    with RawClient(edge.port, tls=context, server_name=HOST) as client:
        assert client.ask(request("GET", "/named/", host=HOST)).fields.all("alt-svc") == ["clear"]
        edge.backend.on("/own", plain(200, b"", ("Alt-Svc", 'h2="other:1"')))
        assert client.ask(request("GET", "/own", host=HOST)).fields.all("alt-svc") == ['h2="other:1"']
        missing = client.ask(request("GET", "/", host="absent.example"))
        assert missing.fields.all("alt-svc") == [f'h3=":{edge.port}"; ma=86400']


def test_the_access_log_names_the_protocol(edge: QuicEdge) -> None:
    edge.curl("GET", "/logged-over-h3")
    until(lambda: "/logged-over-h3" in edge.gateway.log(), "the line of the access log")
    (line,) = [line for line in edge.gateway.log().splitlines() if "/logged-over-h3" in line]
    assert "HTTP/3" in line


# ----------------------------------------------------------------------------------------------------- malformed heads


def replaced(name: bytes, value: bytes) -> RawFields:
    return [(key, value if key == name else old) for key, old in head()]


def without(name: bytes) -> RawFields:
    return [(key, value) for key, value in head() if key != name]


MALFORMED = {
    **{
        f"{what}-in-{where.strip(':')}": replaced(
            where.encode(), b"/a" + byte + b"b" if where == ":path" else b"a" + byte
        )
        for where in (":method", ":path", ":authority", ":scheme")
        for what, byte in {"cr": b"\r", "lf": b"\n", "nul": b"\0", "space": b" ", "crlf": b"\r\nx: y\r\n"}.items()
    },
    **{
        f"{what}-in-value": [*head(), (b"x-a", b"a" + byte + b"b")]
        for what, byte in {"cr": b"\r", "lf": b"\n", "nul": b"\0", "crlf": b"\r\nx: y"}.items()
    },
    **{
        f"{what}-in-name": [*head(), (b"x-" + byte + b"a", b"b")]
        for what, byte in {"cr": b"\r", "lf": b"\n", "nul": b"\0", "space": b" ", "colon": b":", "upper": b"A"}.items()
    },
    "connection": [*head(), (b"connection", b"close")],
    "keep-alive": [*head(), (b"keep-alive", b"timeout=5")],
    "transfer-encoding": [*head(), (b"transfer-encoding", b"chunked")],
    "upgrade": [*head(), (b"upgrade", b"websocket")],
    "te": [*head(), (b"te", b"gzip")],
    "no-method": without(b":method"),
    "no-path": without(b":path"),
    "no-scheme": without(b":scheme"),
    "no-authority": without(b":authority"),
    "two-paths": [*head(), (b":path", b"/other")],
    "two-methods": [(b":method", b"POST"), *head()],
    "late-pseudo": [*without(b":path"), (b"x-a", b"b"), (b":path", b"/")],
    "status": [*head(), (b":status", b"200")],
    "unknown-pseudo": [*head(), (b":x", b"y")],
    "path-without-slash": replaced(b":path", b"admin"),
    "empty-path": replaced(b":path", b""),
    "absolute-path": replaced(b":path", b"https://other.example/"),
    "other-host": [*head(), (b"host", b"other.example")],
    "two-hosts": [*without(b":authority"), (b"host", HOST.encode()), (b"host", HOST.encode())],
    "two-lengths": [*head(), (b"content-length", b"1"), (b"content-length", b"2")],
    "bad-length": [*head(), (b"content-length", b"+1")],
    "underscore": [*head(), (b"x_a", b"b")],
}


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in MALFORMED.items()])
def test_malformed_heads_reach_nobody(edge: QuicEdge, fields: RawFields) -> None:
    with edge.connect() as client:
        reply = client.ask(fields)
        assert reply.reset is not None or reply.status == 400
        # The connection, and what it is used for by others, is not harmed.
        assert client.ask(head("GET", "/next")).status == 200
    assert [seen.target for seen in edge.backend.heads()] == ["/next"]


@pytest.mark.parametrize(("announced", "body"), [(b"5", b"123"), (b"3", b"12345"), (b"0", b"1"), (b"5", b"")])
def test_a_body_of_another_length_than_announced(edge: QuicEdge, announced: bytes, body: bytes) -> None:
    with edge.connect() as client:
        reply = client.ask(head("POST", "/length", HOST, (b"content-length", announced)), body)
        assert reply.reset is not None or reply.status == 400
        assert client.ask(head("GET", "/next")).status == 200
    assert [seen.head.target for seen in edge.backend.requests] == ["/next"], "the first one was never complete"


def test_a_large_head_is_431(edge: QuicEdge) -> None:
    with edge.connect() as client:
        assert client.ask(head("GET", "/", HOST, (b"x-a", b"v" * 62_000))).status == 431
        assert client.ask(head("GET", "/", HOST, (b"x-a", b"v" * 30_000))).status == 200


def test_trailers_pass_by_the_same_rules(edge: QuicEdge) -> None:
    with edge.connect() as client:
        stream = client.request(head("POST", "/t"), b"body", end=False)
        client.h3.send_headers(stream, [(b"x-sum", b"42"), (b"authorization", b"secret")], end_stream=True)
        reply = client.replies[stream]
        client.pump(lambda: reply.over)
        assert json.loads(reply.body)["trailers"] == [["x-sum", "42"]]


# ------------------------------------------------------------------------------------------------------------- limits


def extended(path: str) -> RawFields:
    """An extended CONNECT (RFC 9220)."""
    return [*head("CONNECT", path), (b":protocol", b"websocket"), (b"sec-websocket-version", b"13")]


def test_websocket(edge: QuicEdge) -> None:
    edge.backend.on("/socket", tunnel)
    with edge.connect() as client:
        client.pump(lambda: client.h3.received_settings is not None)
        assert (client.h3.received_settings or {})[0x08] == 1, "RFC 9220 section 5"
        stream = client.request(extended("/socket"), end=False)
        reply = client.replies[stream]
        sent = b""
        for piece in (b"\x81\x03abc", bytes(range(256)), b"z" * 200_000):
            client.h3.send_data(stream, piece, end_stream=False)
            sent += piece
            client.pump(lambda: len(reply.body) == len(sent))  # noqa: B023 - pump returns before the next turn
        assert (reply.status, reply.body) == (200, sent)
        assert not {b"sec-websocket-accept", b"upgrade", b"connection"} & {name for name, _ in reply.fields}
        client.h3.send_data(stream, b"", end_stream=True)
        client.pump(lambda: reply.over)
        assert reply.ended
        assert client.ask(head()).status == 200


def test_websocket_where_the_route_does_not_allow_it(edge: QuicEdge) -> None:
    with edge.connect() as client:
        stream = client.request(extended("/a"), end=False)
        client.pump(lambda: client.replies[stream].over)
        assert client.replies[stream].status == 403
    assert edge.backend.requests == []


def test_streams_are_limited(edge: QuicEdge) -> None:
    """The 101st request waits until one of the others is over."""
    release = threading.Event()

    def hold(exchange: Exchange) -> None:
        release.wait(20)
        plain(200, b"ok")(exchange)

    edge.backend.on("/hold", hold)
    with edge.connect() as client:
        streams = [client.request(head("GET", "/hold")) for _ in range(101)]
        client.idle(0.5)
        until(lambda: len(edge.backend.heads()) == 100, "a hundred requests upstream")
        release.set()
        client.pump(lambda: all(client.replies[stream].over for stream in streams))
        assert {client.replies[stream].status for stream in streams} == {200}


def test_stalled_streams_are_bounded(edge: QuicEdge) -> None:
    """Clients that ask for much and take nothing pin their windows, not what they asked for."""
    sent = threading.Semaphore(0)

    def pour(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.close()
        exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(400):
            exchange.send(b"x" * 16_384)
            sent.release()

    edge.backend.on("/pour", pour)
    with edge.connect(max_stream_data=1000, max_data=20_000) as client:
        for _ in range(20):
            client.request(head("GET", "/pour"))
        client.idle(1.5)
        poured = 0
        while sent.acquire(blocking=False):
            poured += 1
        assert poured < 20 * 400 * 0.8, "the upstream was stopped"
        assert edge.gateway.metric("sluice_requests_in_flight") == 20
    until(lambda: edge.gateway.metric("sluice_requests_in_flight") == 0, "the end of every request")


def test_an_address_that_may_be_made_up_gets_little(edge: QuicEdge) -> None:
    """Until a client answers, it gets three times the bytes it sent (RFC 9000 section 8). The library lets the datagram
    that reaches the limit go whole, so there may be a part of one more."""
    ((_, data),) = initials(edge.port, configuration(HOST, None), 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOOPBACK, edge.port))
        sock.send(data)
        received = 0
        deadline = time.monotonic() + 4
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                received += len(sock.recv(65_536))
            except TimeoutError:
                break
    assert 0 < received < 3 * len(data) + DATAGRAM


def test_many_unfinished_handshakes_ask_for_a_retry(edge: QuicEdge) -> None:
    """Who cannot be reached gets a Retry (RFC 9000 section 8.1.2) instead of a handshake; who can is served."""
    before = edge.gateway.metric("sluice_tls_handshake_failures_total")
    retries = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOOPBACK, edge.port))
        sock.setblocking(False)
        for _, data in initials(edge.port, configuration(HOST, None), RETRY_ABOVE + 40):
            sock.send(data)
            time.sleep(0.002)
            retries += drained(sock)
        time.sleep(0.2)
        retries += drained(sock)
        # A test before may have left a handshake behind.
        assert 40 <= retries <= 45
        # An honest client makes one more round trip.
        with edge.connect() as client:
            assert client.ask(head()).status == 200
            assert client.quic._retry_count == 1
    failures = before + RETRY_ABOVE - 5
    metric = "sluice_tls_handshake_failures_total"
    until(lambda: edge.gateway.metric(metric) >= failures, "the end of the handshakes", 20)
    with edge.connect() as client:
        assert client.quic._retry_count == 0


def drained(sock: socket.socket) -> int:
    """Retry packets (long header, type 3) among what has arrived."""
    count = 0
    while True:
        try:
            data = sock.recv(65_536)
        except BlockingIOError:
            return count
        count += data[0] & 0xF0 == 0xF0


# -------------------------------------------------------------------------------------------------------- coming, going


def test_workers_share_a_port_and_a_drain_says_goodbye(upstream: Backend, tmp_path: Path) -> None:
    authority = Authority()
    ports = Ports()
    objects = objects_of(ports, upstream.port, authority.issue(HOST))
    release = threading.Event()

    def hold(exchange: Exchange) -> None:
        release.wait(20)
        plain(200, b"ok")(exchange)

    upstream.on("/drained", hold)
    with GatewayProcess(tmp_path, ports, objects, workers=2) as gateway, ExitStack() as cleanup:
        config = configuration(HOST, authority.pem)
        clients = [cleanup.enter_context(QuicClient(ports.https, config)) for _ in range(12)]
        for client in clients:
            for _ in range(3):
                assert client.ask(head()).status == 200
        busy = clients[0].request(head("GET", "/drained"))
        clients[0].idle(0.2)
        gateway.process.send_signal(signal.SIGTERM)
        for client in clients[1:]:
            with pytest.raises(ConnectionError, match="0x100"):
                client.pump(lambda: False)
        release.set()
        clients[0].pump(lambda: clients[0].replies[busy].over)
        assert clients[0].replies[busy].status == 200
        with pytest.raises(ConnectionError, match="0x100"):
            clients[0].pump(lambda: False)
        assert gateway.process.wait(10) == 0


def test_reloads_and_new_certificates_drop_no_connection(edge: QuicEdge) -> None:
    fresh = edge.authority.issue(HOST)
    rotated = [
        m.tls_secret("cert", fresh.chain, fresh.key) if item["kind"] == "Secret" else item for item in edge.objects
    ]
    with edge.connect() as client:
        assert client.ask(head()).status == 200
        try:
            for round_ in range(5):
                edge.gateway.configure(*rotated, m.mapping("more", f"/more-{round_}/", "127.0.0.1:9"))
                until(lambda: client.ask(head("GET", f"/more-{round_}/")).status == 503, "the change")  # noqa: B023
        finally:
            edge.gateway.configure(*edge.objects)
        assert client.ask(head()).status == 200


def test_a_listener_of_its_own_serves_udp_only(upstream: Backend, tmp_path: Path) -> None:
    authority = Authority()
    ports = Ports()
    objects = [
        item for item in objects_of(ports, upstream.port, authority.issue(HOST)) if item["metadata"]["name"] != "https"
    ]
    with GatewayProcess(tmp_path, ports, objects) as gateway:
        with QuicClient(ports.https, configuration(HOST, authority.pem)) as client:
            assert client.ask(head()).status == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, ports.https))
        # The listener goes: so does its socket, once its connections are gone.
        with QuicClient(ports.https, configuration(HOST, authority.pem)) as client:
            gateway.configure(*[item for item in objects if item["metadata"]["name"] != "quic"])
            with pytest.raises(ConnectionError, match="0x100"):
                client.pump(lambda: False)
        with pytest.raises(ConnectionError):
            QuicClient(ports.https, configuration(HOST, authority.pem))
