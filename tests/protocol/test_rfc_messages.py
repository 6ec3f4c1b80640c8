"""Well-formed traffic in all its shapes (RFC 9110, RFC 9112): framing, pipelining, answers without bodies."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.rawclient import RawClient, ask, chunked, request
from tests.support.replies import body_in_pieces, held, message, plain, raw
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.backend import Exchange

BODY = bytes(range(256)) * 1500


def test_pipelined_requests_in_one_segment(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        client.send(b"".join(request("GET", f"/{number}") for number in range(10)))
        assert [client.response().json()["target"] for _ in range(10)] == [f"/{number}" for number in range(10)]


def test_pipelined_requests_with_bodies_and_refusals(edge: Edge) -> None:
    """Answers keep their order although the gateway knows some of them at once."""
    pieces = [
        request("POST", "/1", body=b"one"),
        request("GET", "/2", host="absent.example"),
        request("POST", "/3", ("Transfer-Encoding", "chunked")) + chunked(b"th", b"ree"),
        request("HEAD", "/4"),
        request("GET", "/5"),
    ]
    with RawClient(edge.port) as client:
        client.send(b"".join(pieces))
        assert client.response("POST").json()["body"] == "one"
        assert client.response("GET").status == 404
        assert client.response("POST").json()["body"] == "three"
        assert client.response("HEAD").body == b""
        assert client.response("GET").json()["target"] == "/5"


def test_pipelining_does_not_run_ahead(edge: Edge) -> None:
    """The second request is not answered before the first one."""
    release = threading.Event()
    edge.backend.on("/patient", held(release))
    with RawClient(edge.port) as client:
        client.send(request("GET", "/patient") + request("GET", "/second"))
        until(lambda: edge.backend.heads(), "the first request upstream")
        release.set()
        assert client.response().json()["target"] == "/patient"
        assert client.response().json()["target"] == "/second"


@pytest.mark.parametrize("cut", range(1, len(request("POST", "/cut", body=b"hello"))))
def test_requests_cut_anywhere(edge: Edge, cut: int) -> None:
    with RawClient(edge.port) as client:
        reply = client.send(request("POST", "/cut", body=b"hello"), [cut]).response("POST").json()
    assert (reply["target"], reply["body"]) == ("/cut", "hello")


def test_a_request_byte_by_byte(edge: Edge) -> None:
    data = request("POST", "/bytes", ("Transfer-Encoding", "chunked")) + chunked(b"hello", trailers=[("X-T", "1")])
    with RawClient(edge.port) as client:
        assert client.send(data, range(1, len(data))).response("POST").json()["body"] == "hello"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_bodies_both_ways(edge: Edge, framing: str) -> None:
    if framing == "length":
        data = request("POST", "/large", body=BODY)
    else:
        data = request("POST", "/large", ("Transfer-Encoding", "chunked")) + chunked(BODY[:100_000], BODY[100_000:])
    with RawClient(edge.port) as client:
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        response = client.response("POST")
        sender.join()
        assert response.json()["body"] == BODY.decode("latin-1")
        assert client.ask(request("GET", "/next")).status == 200


def test_chunked_responses(edge: Edge) -> None:
    edge.backend.on("/pieces", body_in_pieces(b"a", b"bc", BODY))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/pieces"))
        assert response.body == b"abc" + BODY
        assert response.framing == "chunked"
        assert client.ask(request("GET", "/next")).status == 200


def test_chunks_are_not_held_back(edge: Edge) -> None:
    """A part of a response arrives although the rest is not there yet (event streams)."""
    release = threading.Event()

    def handler(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        release.wait(timeout=60)
        exchange.send(b"0\r\n\r\n")

    edge.backend.on("/patient", handler)
    with RawClient(edge.port) as client:
        client.send(request("GET", "/patient"))
        while client.stream.line():
            pass
        assert client.stream.line() == b"5"
        assert client.stream.exactly(7) == b"first\r\n"
        release.set()
        assert client.stream.exactly(5) == b"0\r\n\r\n"


def test_a_request_body_is_not_held_back(edge: Edge) -> None:
    """The upstream sees the first part of an upload before the client sends the second one."""
    arrived = threading.Event()

    def handler(exchange: Exchange) -> None:
        exchange.stream.exactly(5)
        arrived.set()
        exchange.stream.exactly(5)
        exchange.send(message(200, b"done"))

    edge.backend.on("/patient", handler)
    with RawClient(edge.port) as client:
        client.send(request("POST", "/patient", ("Content-Length", "10")) + b"first")
        until(arrived.is_set, "the first part upstream")
        assert client.ask(b"again", "POST").body == b"done"


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", id="head-length"),
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="head-chunked"),
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", id="head-nothing"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", id="304-length"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", id="304"),
        pytest.param("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", id="empty"),
        pytest.param("POST", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", id="205"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", id="204-with-length"),
    ],
)
def test_answers_without_a_body(edge: Edge, method: str, answer: bytes) -> None:
    """The upstream keeps the connection open, so a wrong idea of the length would hang or desynchronise."""
    edge.backend.on("/bodiless", raw(answer))
    with RawClient(edge.port) as client:
        response = client.ask(request(method, "/bodiless"), method)
        assert response.status == int(answer[9:12])
        assert response.body == b""
        assert client.ask(request("GET", "/next")).json()["target"] == "/next"


def test_head_keeps_the_length(edge: Edge) -> None:
    edge.backend.on("/bodiless", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"))
    assert ask(edge.port, request("HEAD", "/bodiless"), "HEAD").fields.one("content-length") == "12345"


def test_interim_responses_are_forwarded_or_dropped(edge: Edge) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    edge.backend.on("/hints", raw(hints + message(200, b"ok")))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/hints"))
        assert (response.status, response.body) == (200, b"ok")
        assert [interim.status for interim in response.interim] in ([], [103])
        assert client.ask(request("GET", "/next")).status == 200


def test_an_answer_framed_by_the_end_of_the_connection(edge: Edge) -> None:
    edge.backend.on("/until-close", raw(b"HTTP/1.1 200 OK\r\n\r\n" + BODY, close=True))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/until-close"))
        assert (response.framing, response.body) == ("chunked", BODY)
    assert ask(edge.port, request("GET", "/until-close", version="1.0")).body == BODY


def test_upstream_http_1_0(edge: Edge) -> None:
    edge.backend.on("/old-server", raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", close=True))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/old-server"))
        assert (response.version, response.body) == ("1.1", b"ok")
        assert client.ask(request("GET", "/next")).status == 200


def test_the_request_line_upstream(edge: Edge) -> None:
    ask(edge.port, request("GET", "/a?b=c", ("Accept", "x")))
    assert edge.backend.received().startswith(b"GET /a?b=c HTTP/1.1\r\n")


def test_statuses_and_reasons_pass(edge: Edge) -> None:
    for status in (200, 201, 206, 299, 301, 400, 404, 418, 429, 500, 503, 599):
        edge.backend.on("/status", plain(status, b"body"))
        assert ask(edge.port, request("GET", "/status")).status == status
