"""Connections to upstreams: reuse, retry, time limits, failures."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.rawclient import RawClient, ask, chunked, request
from tests.support.replies import cut_reused, echo, held, message, plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.backend import Exchange


def test_connections_are_reused(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        replies = [client.ask(request("GET", f"/{number}")).json() for number in range(20)]
    assert [reply["number"] for reply in replies] == list(range(1, 21))


def test_connections_are_shared_by_clients(edge: Edge) -> None:
    assert [ask(edge.port, request()).json()["number"] for _ in range(5)] == [1, 2, 3, 4, 5]


def test_an_upstream_that_says_close_is_not_reused(edge: Edge) -> None:
    edge.backend.on("/close", plain(200, b"x", ("Connection", "close")))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/close"))
        assert (response.status, response.announces_close) == (200, False)
        assert client.ask(request("GET", "/next")).json()["number"] == 1


def test_a_connection_that_the_upstream_closed_is_not_used(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/1")).status == 200
        edge.backend.drop_connections()
        for number in range(5):
            assert client.ask(request("POST", f"/{number}", body=b"x"), "POST").status == 200


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request("GET", "/dying"), id="get"),
        pytest.param(request("HEAD", "/dying"), id="head"),
        pytest.param(request("PUT", "/dying", body=b"hello"), id="put-small-body"),
        pytest.param(request("DELETE", "/dying"), id="delete"),
        pytest.param(request("OPTIONS", "/dying"), id="options"),
    ],
)
def test_a_request_is_sent_again_when_a_reused_connection_dies(edge: Edge, data: bytes) -> None:
    """The upstream closes at the moment the second request comes: an idle timeout nobody can foresee."""
    method = data.split(b" ", 1)[0].decode()
    edge.backend.on("/dying", cut_reused)
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/first")).status == 200
        response = client.ask(data, method)
    body_may_be_gone = method == "PUT" and response.status in (502, 503)
    assert response.status == 200 or body_may_be_gone
    attempts = [head for head in edge.backend.heads() if head.target == "/dying"]
    assert len(attempts) == (1 if body_may_be_gone else 2)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_with_effects_is_never_sent_twice(edge: Edge, method: str) -> None:
    edge.backend.on("/dying", cut_reused)
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/first")).status == 200
        assert client.ask(request(method, "/dying", body=b"hello"), method).status in (502, 503)
    assert len([head for head in edge.backend.heads() if head.target == "/dying"]) == 1


def test_a_streamed_body_is_never_sent_twice(edge: Edge) -> None:
    edge.backend.on("/dying", cut_reused)
    data = request("PUT", "/dying", ("Transfer-Encoding", "chunked")) + chunked(b"x" * 500_000)
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/first")).status == 200
        assert client.offer(data).response("PUT").status in (502, 503)
    assert len([head for head in edge.backend.heads() if head.target == "/dying"]) == 1


def test_a_first_connection_that_dies_is_not_tried_again(edge: Edge) -> None:
    def dies(exchange: Exchange) -> None:
        exchange.close()

    edge.backend.on("/dying", dies)
    assert ask(edge.port, request("GET", "/dying")).status in (502, 503)
    assert len(edge.backend.heads()) == 1


def test_an_answer_that_takes_too_long(edge: Edge) -> None:
    release = threading.Event()
    edge.backend.on("/impatient", held(release))
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/impatient")).status == 504
        assert client.ask(request("GET", "/next")).status == 200
    release.set()
    by_target = {head.target: connection.id for connection in edge.backend.connections for head in connection.heads}
    assert by_target["/impatient"] != by_target["/next"]


def test_the_default_time_limit_is_three_seconds(edge: Edge) -> None:
    """Emissary's default; only that there is a limit is tested, not its length."""
    release = threading.Event()
    edge.backend.on("/slow", held(release))
    assert ask(edge.port, request("GET", "/slow")).status == 504
    release.set()


def test_a_response_that_stops_in_the_middle(edge: Edge) -> None:
    """The time limit of a route covers the whole response; the client sees that it is incomplete."""
    release = threading.Event()

    def stalls(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        release.wait(timeout=60)
        exchange.close()

    edge.backend.on("/impatient", stalls)
    with RawClient(edge.port) as client:
        client.send(request("GET", "/impatient"))
        try:
            rest = client.rest()
        except ConnectionResetError:
            rest = bytes(client.stream.log)
    release.set()
    assert rest.endswith(b"hello") or rest.startswith(b"HTTP/1.1 504 ")


def test_no_upstream_listens(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/dead")).status == 503
        assert client.ask(request("GET", "/next")).status == 200
        response = client.ask(request("POST", "/dead", body=b"hello"), "POST")
        assert response.status == 503
        assert client.ended() if response.announces_close else client.ask(request("GET", "/next")).status == 200


def test_a_client_that_leaves_frees_the_upstream(edge: Edge) -> None:
    release = threading.Event()
    edge.backend.on("/patient", held(release))
    with RawClient(edge.port) as client:
        client.send(request("GET", "/patient"))
        until(lambda: edge.backend.heads(), "the request upstream")
    release.set()
    until(lambda: edge.backend.connections[0].closed or edge.backend.requests, "the exchange to end")
    assert ask(edge.port, request()).json()["target"] == "/"


def test_many_clients_at_once(edge: Edge) -> None:
    """Every client gets its own answer."""
    release = threading.Event()
    edge.backend.on("/patient", held(release, echo))
    clients = [RawClient(edge.port) for _ in range(50)]
    try:
        for number, client in enumerate(clients):
            client.send(request("POST", f"/patient-{number}", body=b"%d" % number))
        until(lambda: len(edge.backend.heads()) == 50, "all requests upstream")
        release.set()
        assert [client.response("POST").json()["body"] for client in clients] == [str(n) for n in range(50)]
    finally:
        release.set()
        for client in clients:
            client.sock.close()


def test_a_large_answer_to_a_slow_reader(edge: Edge) -> None:
    """Back pressure: the upstream is not read faster than the client takes it."""
    sent = threading.Event()
    body = b"z" * 50_000_000

    def floods(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(message(200, body))
        sent.set()

    edge.backend.on("/patient", floods)
    with RawClient(edge.port) as client:
        client.send(request("GET", "/patient"))
        while client.stream.line():
            pass
        assert not sent.is_set(), "50 MB went into buffers"
        assert client.stream.exactly(len(body)) == body
    assert sent.is_set()
