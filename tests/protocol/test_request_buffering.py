"""Requests that are read as a whole before they are forwarded (``buffer`` of the Module; behaviour row 50)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.protocol.site import Edge
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.h2backend import H2Backend
from tests.support.h2client import H2Client, h2_ask, pseudo
from tests.support.messages import Response
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, chunked, request
from tests.support.replies import echo, message, plain, tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backend import Exchange
    from tests.support.h2backend import H2Exchange

LIMIT = 300_000
FULL = bytes(range(250)) * (LIMIT // 250)
CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, H2Backend]]:
    ports = Ports()
    retries = {"retry_on": "5xx", "num_retries": 2}
    with Backend(echo) as backend, H2Backend(lambda exchange: exchange.answer(200)) as framed:
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.mapping("all", "/", f"{LOOPBACK}:{backend.port}"),
            m.mapping("retried", "/retried", f"{LOOPBACK}:{backend.port}", retry_policy=retries),
            m.mapping("h2", "/h2", f"{LOOPBACK}:{framed.port}", grpc=True, retry_policy=retries),
            m.mapping("socket", "/socket", f"{LOOPBACK}:{backend.port}", allow_upgrade=["websocket"]),
            m.module(buffer={"max_request_bytes": LIMIT}),
        ]
        arguments = ["--access-log", "json"]
        with GatewayProcess(tmp_path_factory.mktemp("buffer"), ports, objects, arguments=arguments) as gateway:
            yield Edge(gateway, backend), framed
            assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture
def edge(running: tuple[Edge, H2Backend]) -> Iterator[Edge]:
    edge, _ = running
    edge.backend.reset()
    yield edge
    assert edge.backend.faults() == []


@pytest.fixture
def framed(running: tuple[Edge, H2Backend]) -> H2Backend:
    _, framed = running
    framed.requests.clear()
    return framed


def test_nothing_goes_upstream_before_the_end(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        client.send(request("POST", "/whole", CHUNKED) + b"5\r\nhello\r\n", [30])
        # An answer to somebody else shows that the gateway has had time to forward.
        assert ask(edge.port, request("GET", "/probe")).status == 200
        assert [head.target for head in edge.backend.heads()] == ["/probe"]
        reply = client.ask(b"0\r\n\r\n", "POST").json()
    assert (reply["target"], reply["body"]) == ("/whole", "hello")
    headers = dict(reply["headers"])
    assert headers["content-length"] == "5"
    assert not {"transfer-encoding", "Transfer-Encoding"} & set(headers)


@pytest.mark.parametrize("size", [0, 1, 5000, LIMIT])
@pytest.mark.parametrize("framing", ["length", "chunked", "h2", "h2-unknown"])
def test_bodies_up_to_the_limit(edge: Edge, framing: str, size: int) -> None:
    body = FULL[:size]
    if framing == "h2":
        response = h2_ask(edge.port, "POST", "/", ("content-length", str(size)), body=body)
    elif framing == "h2-unknown":
        response = h2_ask(edge.port, "POST", "/", body=body)
    else:
        data = request("POST", "/", body=body)
        if framing == "chunked":
            data = request("POST", "/", CHUNKED) + chunked(body[:100], body[100:])
        with RawClient(edge.port) as client:
            response = client.send(data).response("POST")
            assert client.ask(request("GET", "/next")).status == 200
    assert response.status == 200
    assert edge.backend.requests[0].body == body


def test_trailers_stay_with_a_body_in_chunks(edge: Edge, framed: H2Backend) -> None:
    for target in ("/", "/h2"):
        data = request("POST", target, CHUNKED) + chunked(b"hello", trailers=[("X-Sum", "1")])
        with RawClient(edge.port) as client:
            client.send(data, [len(data) - 4])
            assert client.response("POST").status == 200
    assert edge.backend.requests[0].trailers.one("x-sum") == "1"
    assert framed.requests[0].trailers.one("x-sum") == "1"


def test_pipelined_requests_keep_their_order(edge: Edge) -> None:
    data = request("POST", "/1", CHUNKED) + chunked(b"one") + request("POST", "/2", body=b"two") + request("GET", "/3")
    for splits in ([], [len(data) // 3], range(1, len(data), 7)):
        with RawClient(edge.port) as client:
            client.send(data, list(splits))
            assert [client.response().json()["body"] for _ in range(3)] == ["one", "two", ""]


def test_a_declared_length_above_the_limit_is_refused_at_once(edge: Edge) -> None:
    before = rejects(edge)
    with RawClient(edge.port) as client:
        client.send(request("POST", "/large", ("Content-Length", str(LIMIT + 1)), ("Expect", "100-continue")))
        response = client.response("POST")
        assert (response.status, response.interim) == (413, ())
        assert response.announces_close
    with H2Client(edge.port) as h2:
        fields = [*pseudo("POST", "/large"), (b"content-length", str(LIMIT + 1).encode())]
        assert refused(h2, h2.start(fields, end=False)) == 413
    assert rejects(edge) == before + 2
    assert edge.backend.heads() == []
    until(lambda: edge.gateway.log().count('"DTL"') >= 2, "the flag in the log")


@pytest.mark.parametrize("framing", ["chunked", "h2"])
def test_a_body_that_grows_above_the_limit_is_refused(edge: Edge, framing: str) -> None:
    before = rejects(edge)
    if framing == "chunked":
        with RawClient(edge.port) as client:
            client.offer(request("POST", "/large", CHUNKED) + chunked(FULL, b"x"))
            assert client.response("POST").status == 413
            assert client.ended()
    else:
        with H2Client(edge.port) as h2:
            number = h2.start(pseudo("POST", "/large"), end=False)
            h2.data(number, FULL + b"x", end=False)
            assert refused(h2, number) == 413
            assert isinstance(h2.ask("GET", "/next"), Response)
    assert rejects(edge) == before + 1
    assert [head.target for head in edge.backend.heads()] in ([], ["/next"])


def refused(client: H2Client, stream: int) -> int:
    """The status of an answer that is whole. It may be followed by a reset without an error: the rest of the request is
    not wanted (RFC 9113, section 8.1)."""
    client.outcome(stream)
    assert client.streams[stream].ended
    return client.streams[stream].response().status


def rejects(edge: Edge) -> float:
    name = 'sluice_rejects_total{reason="body_too_large"}'
    for line in edge.gateway.admin_page("/metrics").body.decode().splitlines():
        if line.startswith(name):
            return float(line.rpartition(" ")[2])
    return 0


def test_a_client_that_asks_first_is_let_on_once(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        client.send(request("POST", "/", ("Content-Length", "5"), ("Expect", "100-continue")))
        assert client.stream.line() == b"HTTP/1.1 100 Continue"
        assert client.stream.line() == b""
        assert edge.backend.heads() == []
        response = client.ask(b"hello", "POST")
    assert (response.status, response.interim, response.json()["body"]) == (200, (), "hello")


def test_a_client_that_leaves_in_the_middle(edge: Edge) -> None:
    client = RawClient(edge.port)
    client.send(request("POST", "/half", ("Content-Length", "1000")) + b"x" * 10)
    client.reset()
    until(lambda: edge.gateway.metric("sluice_requests_in_flight") == 0, "nothing in flight")
    assert edge.backend.heads() == []


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_body_is_sent_again_as_the_retry_policy_asks(edge: Edge, version: str) -> None:
    bodies: list[bytes] = []

    def flaky(exchange: Exchange) -> None:
        bodies.append(exchange.read_body().body)
        exchange.send(message(503 if len(bodies) < 3 else 200, b"done"))

    edge.backend.on("/retried", flaky)
    if version == "2":
        response = h2_ask(edge.port, "POST", "/retried", body=FULL)
    else:
        response = ask(edge.port, request("POST", "/retried", CHUNKED) + chunked(FULL), "POST")
    assert (response.status, response.body) == (200, b"done")
    assert bodies == [FULL] * 3


def test_a_body_is_sent_again_over_http_2(edge: Edge, framed: H2Backend) -> None:
    def flaky(exchange: H2Exchange) -> None:
        exchange.answer(503 if len(framed.requests) < 3 else 200, body=b"done")

    framed.serve = flaky
    data = request("POST", "/h2", body=FULL)
    with RawClient(edge.port) as client:
        assert client.send(data).response("POST").body == b"done"
    assert [bytes(seen.body) for seen in framed.requests] == [FULL] * 3


def test_without_a_policy_nothing_is_sent_twice(edge: Edge) -> None:
    edge.backend.on("/once", plain(503, b"no"))
    response = ask(edge.port, request("POST", "/once", body=FULL), "POST")
    assert (response.status, response.body) == (503, b"no")
    assert len(edge.backend.requests) == 1


def test_a_request_that_is_not_idempotent_is_not_sent_again_without_an_answer(edge: Edge) -> None:
    """The policy asks for it, but the upstream may have done what it was asked to do."""

    def die(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.close()

    edge.backend.on("/retried", die)
    assert ask(edge.port, request("POST", "/retried", body=FULL), "POST").status == 503
    assert len(edge.backend.requests) == 1
    assert ask(edge.port, request("PUT", "/retried", body=FULL), "PUT").status == 503
    assert len(edge.backend.requests) == 4


def test_an_answer_before_the_end_of_the_body(edge: Edge) -> None:
    """The upstream answers and reads no further: its answer comes through, and the client's connection goes on."""
    answered = threading.Semaphore(0)

    def refuse(exchange: Exchange) -> None:
        exchange.send(message(401, b"who are you?", ("Connection", "close")))
        # To close with something unread would reset the connection, and the answer might be lost with it.
        answered.acquire(timeout=10)
        exchange.close()

    edge.backend.on("/early", refuse)
    with RawClient(edge.port) as client:
        for _ in range(3):
            response = client.send(request("POST", "/early", body=FULL)).response("POST")
            assert (response.status, response.body) == (401, b"who are you?")
            answered.release()
        assert client.ask(request("GET", "/next")).status == 200


def test_requests_without_a_body_are_not_held(edge: Edge) -> None:
    assert ask(edge.port, request("GET", "/")).json()["body"] == ""
    assert h2_ask(edge.port).json()["body"] == ""


def test_tunnels_are_not_held(edge: Edge) -> None:
    edge.backend.on("/socket", tunnel)
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    with RawClient(edge.port) as client:
        client.send(request("GET", "/socket", *upgrade, ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")))
        assert client.response().status == 101
        frame = b"\x82\x85\0\0\0\0hello"
        client.send(frame)
        assert client.stream.exactly(len(frame)) == frame
