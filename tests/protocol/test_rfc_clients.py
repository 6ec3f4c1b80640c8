"""Clients of other times and habits: HTTP/1.0, connections that close, half-closed connections."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.rawclient import RawClient, ask, request
from tests.support.replies import body_in_pieces, held, message, raw
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.protocol.site import Edge


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ((), False),
        ((("Connection", "keep-alive"),), True),
        ((("Connection", "Keep-Alive"),), True),
        ((("Connection", "close"),), False),
    ],
)
def test_http_1_0_clients(edge: Edge, fields: tuple[tuple[str, str], ...], kept: bool) -> None:
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/old-client", *fields, version="1.0"))
        assert response.status == 200
        assert response.framing in ("length", "close")
        if kept:
            assert response.fields.one("connection").lower() == "keep-alive"
            assert client.ask(request("GET", "/next", version="1.0")).status == 200
        assert client.ended()


def test_http_1_0_clients_never_get_chunks(edge: Edge) -> None:
    edge.backend.on("/pieces", body_in_pieces(b"ab", b"cd"))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/pieces", ("Connection", "keep-alive"), version="1.0"))
        assert (response.framing, response.body) == ("close", b"abcd")
        assert client.ended()


def test_http_1_0_clients_never_get_interim_responses(edge: Edge) -> None:
    edge.backend.on("/hints", raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" + message(200, b"ok")))
    response = ask(edge.port, request("GET", "/hints", version="1.0"))
    assert (response.status, response.interim) == (200, ())


def test_the_upstream_is_asked_in_http_1_1(edge: Edge) -> None:
    assert ask(edge.port, request("GET", "/old-client", version="1.0")).json()["version"] == "1.1"


@pytest.mark.parametrize(
    "fields", [(("Connection", "close"),), (("Connection", "Close"),), (("Connection", "x, close"),)]
)
def test_clients_that_ask_to_close(edge: Edge, fields: tuple[tuple[str, str], ...]) -> None:
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/last", *fields))
        assert response.announces_close
        assert client.ended()


def test_a_client_that_closes_its_side_gets_its_answer(edge: Edge) -> None:
    release = threading.Event()
    edge.backend.on("/patient", held(release))
    with RawClient(edge.port) as client:
        client.send(request("POST", "/patient", body=b"hello")).half_close()
        until(lambda: edge.backend.heads(), "the request upstream")
        release.set()
        assert client.response("POST").json()["body"] == "hello"
        assert client.ended()


def test_a_client_that_closes_in_the_middle_of_a_head(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        client.send(b"GET /half HTTP/1.1\r\nHost: site.ex").half_close()
        rest = client.rest()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    assert edge.backend.heads() == []
