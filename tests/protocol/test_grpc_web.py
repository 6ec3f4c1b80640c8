"""gRPC-Web in front of a server of gRPC (``enable_grpc_web`` of the Module)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.grpcwire import TRAILERS, from_text, message, messages, trailers_of
from tests.support.h2backend import H2Backend
from tests.support.h2client import H2Client, Reset, h2_ask, pseudo
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, chunked, request
from tests.support.replies import plain
from tests.support.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backend import Exchange
    from tests.support.h2backend import H2Exchange
    from tests.support.messages import Response

BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"
CALL = message(b"question")
REPLY = message(b"answer") + message(b"") + message(b"x" * 100_000)
METHOD = "/demo.Greeter/Ask"


def reply(exchange: H2Exchange) -> None:
    exchange.answer(
        200,
        [("content-type", "application/grpc")],
        REPLY,
        [("grpc-status", "0"), ("grpc-message", "fine"), ("X-A", "b")],
    )


class Site:
    def __init__(self, gateway: GatewayProcess, framed: H2Backend, backend: Backend) -> None:
        self.gateway, self.framed, self.backend = gateway, framed, backend
        self.port = gateway.ports.http

    def call(self, version: str, kind: str, body: bytes, *fields: tuple[str, str]) -> Response:
        sent = [("Content-Type", kind), ("Accept", kind), ("X-Grpc-Web", "1"), *fields]
        if version == "2":
            return h2_ask(self.port, "POST", METHOD, *sent, body=body)
        if version == "1-chunked":
            pieces = [body[at : at + 3] for at in range(0, len(body), 3)]
            data = request("POST", METHOD, *sent, ("Transfer-Encoding", "chunked")) + chunked(*pieces)
            return ask(self.port, data, "POST")
        if version == "1-in-two":
            data = request("POST", METHOD, *sent, body=body)
            with RawClient(self.port) as client:
                return client.send(data, [len(data) - 7]).response("POST")
        return ask(self.port, request("POST", METHOD, *sent, body=body), "POST")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ports = Ports()
    with H2Backend(reply) as framed, Backend(plain(200, b"plain", ("Content-Type", "text/plain"))) as backend:
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.mapping(
                "grpc", "/demo.Greeter/", f"{LOOPBACK}:{framed.port}", grpc=True, cors={"origins": "https://a.b"}
            ),
            m.mapping("http1", "/demo.Old/", f"{LOOPBACK}:{backend.port}"),
            m.module(enable_grpc_web=True, gzip={"content_type": ["application/grpc-web+proto", "text/plain"]}),
        ]
        with GatewayProcess(tmp_path_factory.mktemp("grpcweb"), ports, objects) as gateway:
            yield Site(gateway, framed, backend)
            assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture
def site(running: Site) -> Site:
    running.framed.serve = reply
    running.framed.requests.clear()
    running.backend.reset()
    return running


VERSIONS = ["1", "1-in-two", "1-chunked", "2"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", [BINARY, TEXT, "application/grpc-web", "application/grpc-web-text"])
def test_a_call(site: Site, version: str, kind: str) -> None:
    text = "text" in kind
    response = site.call(version, kind, base64.b64encode(CALL) if text else CALL)
    assert response.status == 200
    assert response.fields.one("content-type") == (TEXT if text else BINARY)
    assert "content-encoding" not in response.fields
    assert response.trailers.items == ()
    *replies, (flags, block) = messages(from_text(response.body) if text else response.body)
    assert b"".join(message(data, flags) for flags, data in replies) == REPLY
    assert flags == TRAILERS
    assert trailers_of(block) == {"grpc-status": "0", "grpc-message": "fine", "x-a": "b"}
    (seen,) = site.framed.requests
    assert bytes(seen.body) == CALL
    assert seen.fields.one("content-type") == ("application/grpc+proto" if "+" in kind else "application/grpc")
    assert seen.fields.one("te") == "trailers"
    assert seen.fields.one("grpc-accept-encoding") == "identity"


def test_the_answer_has_the_form_that_is_accepted(site: Site) -> None:
    fields = [("Content-Type", BINARY), ("Accept", f"*/*, {TEXT};q=1")]
    response = ask(site.port, request("POST", METHOD, *fields, body=CALL), "POST")
    assert response.fields.one("content-type") == TEXT
    assert messages(from_text(response.body))[0] == (0, b"answer")


@pytest.mark.parametrize("version", ["1", "2"])
def test_messages_are_padded_one_by_one_and_not_held_back(site: Site, version: str) -> None:
    """A message of a stream can be decoded while the next one is still to come."""
    seen = []

    def stream(exchange: H2Exchange) -> None:
        exchange.head(200, ("content-type", "application/grpc"))
        exchange.data(message(b"one"))
        seen.append(exchange)

    site.framed.serve = stream
    expected = base64.b64encode(message(b"one"))
    fields = [("content-type", TEXT), ("accept", TEXT)]
    if version == "1":
        with RawClient(site.port) as client:
            client.send(request("POST", METHOD, *fields, body=base64.b64encode(CALL)))
            while client.stream.line():
                pass
            assert client.stream.exactly(int(client.stream.line(), 16)) == expected
    else:
        with H2Client(site.port) as h2:
            raw = [(name.encode(), value.encode()) for name, value in fields]
            number = h2.start([*pseudo("POST", METHOD), *raw], end=False)
            h2.data(number, base64.b64encode(CALL))
            while h2.streams[number].body != expected:
                assert not h2.closed
                h2.read()


def test_a_status_without_messages(site: Site) -> None:
    """Trailers alone are the head of the answer, and stay there."""

    def refuse(exchange: H2Exchange) -> None:
        exchange.answer(200, [("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", "no")])

    site.framed.serve = refuse
    for version in ["1", "2"]:
        response = site.call(version, TEXT, base64.b64encode(CALL))
        assert (response.status, response.body) == (200, b"")
        assert response.fields.one("content-type") == TEXT
        assert (response.fields.one("grpc-status"), response.fields.one("grpc-message")) == ("7", "no")


@pytest.mark.parametrize(("status", "code"), [(503, "14"), (404, "12"), (403, "7"), (200, "2")])
def test_an_answer_that_is_no_grpc(site: Site, status: int, code: str) -> None:
    def page(exchange: H2Exchange) -> None:
        exchange.answer(status, [("content-type", "text/plain")], b"50% \xc3\xbc\n" + b"x" * 50_000)

    site.framed.serve = page
    for version in ["1", "2"]:
        response = site.call(version, BINARY, CALL)
        assert (response.status, response.body) == (status, b"")
        assert response.fields.one("grpc-status") == code
        assert response.fields.one("grpc-message").startswith("50%25 %C3%BC%0Axxx")
        assert len(response.fields.one("grpc-message")) < 17_000
        assert response.fields.one("content-type") == BINARY


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("body", [b"AAAA=AAA", b"AAAAA", b"AA\nA", b"A===", b"AB=="])
def test_what_is_no_base64_is_refused(site: Site, version: str, body: bytes) -> None:
    response = site.call(version, TEXT, body)
    assert (response.status, response.fields.one("grpc-status")) == (200, "13")
    assert site.framed.requests == []


def test_a_cut_answer_is_not_finished(site: Site) -> None:
    def cut(exchange: H2Exchange) -> None:
        exchange.head(200, ("content-type", "application/grpc"))
        exchange.data(message(b"one"))
        exchange.cut()

    site.framed.serve = cut
    for kind in (BINARY, TEXT):
        body = base64.b64encode(CALL) if kind == TEXT else CALL
        fields = [("Content-Type", kind), ("Accept", kind)]
        with RawClient(site.port) as client, pytest.raises(WireError):
            client.ask(request("POST", METHOD, *fields, body=body), "POST")
        with H2Client(site.port) as h2:
            assert isinstance(h2.ask("POST", METHOD, *fields, body=body), Reset)


def test_an_upstream_of_http_1(site: Site) -> None:
    def over_chunks(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc+json\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunked(message(b"{}"), trailers=[("grpc-status", "0")])
        )

    site.backend.on("/demo.Old/", over_chunks)
    fields = [("Content-Type", "application/grpc-web-text+json"), ("Accept", "application/grpc-web-text")]
    data = request("POST", "/demo.Old/Ask", *fields, body=base64.b64encode(CALL))
    for splits in ([], [len(data) - 5]):
        with RawClient(site.port) as client:
            response = client.send(data, splits).response("POST")
        assert response.fields.one("content-type") == "application/grpc-web-text+json"
        assert messages(from_text(response.body)) == [(0, b"{}"), (TRAILERS, b"grpc-status:0\r\n")]
    assert [bytes(recorded.body) for recorded in site.backend.requests] == [CALL] * 2


def test_others_are_left_alone(site: Site) -> None:
    for fields in ([("Content-Type", "application/grpc")], [("Content-Type", "text/plain")]):
        response = h2_ask(site.port, "POST", METHOD, *fields, body=CALL)
        assert response.fields.one("content-type") == "application/grpc"
        assert response.body == REPLY
        assert response.trailers.one("grpc-status") == "0"
    preflight = [("Origin", "https://a.b"), ("Access-Control-Request-Method", "POST")]
    assert ask(site.port, request("OPTIONS", METHOD, *preflight), "OPTIONS").fields.one("access-control-allow-origin")
