"""gRPC from clients of HTTP/1.1 (``enable_grpc_http11_bridge`` of the Module)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.grpcwire import message
from tests.support.h2backend import H2Backend
from tests.support.h2client import h2_ask
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, chunked, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.h2backend import H2Exchange

GRPC = ("Content-Type", "application/grpc")
CALL, METHOD = message(b"question"), "/demo.Greeter/Ask"
LIMIT = 65_536


class Site:
    def __init__(self, gateway: GatewayProcess, framed: H2Backend) -> None:
        self.gateway, self.framed, self.port = gateway, framed, gateway.ports.http

    def answers(
        self, status: int, *trailers: tuple[str, str], body: bytes = b"", fields: tuple[tuple[str, str], ...] = ()
    ) -> None:
        def serve(exchange: H2Exchange) -> None:
            exchange.answer(status, [("content-type", "application/grpc"), *fields], body, list(trailers))

        self.framed.serve = serve


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ports = Ports()
    with H2Backend(lambda exchange: exchange.answer(200)) as framed:
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.mapping("grpc", "/", f"{LOOPBACK}:{framed.port}", grpc=True),
            m.module(enable_grpc_http11_bridge=True, buffer_limit_bytes=LIMIT, envoy_log_type="json"),
        ]
        arguments = ["--access-log", "json"]
        with GatewayProcess(tmp_path_factory.mktemp("bridge"), ports, objects, arguments=arguments) as gateway:
            yield Site(gateway, framed)
            assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture
def site(running: Site) -> Site:
    running.framed.requests.clear()
    return running


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 5, 40_000])
def test_the_status_comes_into_the_head(site: Site, framing: str, size: int) -> None:
    body = message(b"x" * size)
    site.answers(200, ("grpc-status", "0"), ("grpc-message", "fine"), ("x-other", "gone"), body=body)
    with RawClient(site.port) as client:
        for _ in range(2):
            if framing == "length":
                data = request("POST", METHOD, GRPC, body=CALL)
            else:
                data = request("POST", METHOD, GRPC, ("Transfer-Encoding", "chunked")) + chunked(CALL[:3], CALL[3:])
            response = client.ask(data, "POST")
            assert (response.status, response.body, response.framing) == (200, body, "length")
            assert response.fields.one("grpc-status") == "0"
            assert response.fields.one("grpc-message") == "fine"
            assert response.fields.one("content-type") == "application/grpc"
    assert [bytes(seen.body) for seen in site.framed.requests] == [CALL, CALL]
    assert [seen.fields.one("te") for seen in site.framed.requests] == ["trailers"] * 2


def test_a_failure_is_one_for_clients_that_know_no_grpc(site: Site) -> None:
    site.answers(200, ("grpc-status", "5"), ("grpc-message", "not%20there"))
    response = ask(site.port, request("POST", METHOD, GRPC, body=CALL), "POST")
    assert (response.status, response.body) == (503, b"")
    assert (response.fields.one("grpc-status"), response.fields.one("grpc-message")) == ("5", "not%20there")


def test_trailers_alone_stay_as_they_are(site: Site) -> None:
    """As Envoy: a status that came in the head leaves the status of HTTP alone."""
    site.answers(200, fields=(("grpc-status", "5"), ("grpc-message", "no")))
    response = ask(site.port, request("POST", METHOD, GRPC, body=CALL), "POST")
    assert (response.status, response.fields.one("grpc-status")) == (200, "5")


def test_an_answer_that_is_too_large_to_be_kept(site: Site) -> None:
    site.answers(200, ("grpc-status", "0"), body=b"x" * (LIMIT + 1))
    response = ask(site.port, request("POST", METHOD, GRPC, body=CALL), "POST")
    assert (response.status, response.fields.one("grpc-status")) == (200, "2")
    site.gateway.wait_for(lambda: '"response_flags": "UTL"' in site.gateway.log().replace('":"', '": "'), "the flag")


def test_an_answer_that_is_cut_is_none(site: Site) -> None:
    def cut(exchange: H2Exchange) -> None:
        exchange.head(200, ("content-type", "application/grpc"))
        exchange.data(message(b"one"))
        exchange.cut()

    site.framed.serve = cut
    response = ask(site.port, request("POST", METHOD, GRPC, body=CALL), "POST")
    assert (response.status, response.fields.one("grpc-status")) == (200, "14")
    assert response.fields.one("grpc-message").startswith("the upstream")


def test_clients_that_know_trailers_get_them(site: Site) -> None:
    site.answers(200, ("grpc-status", "5"), body=message(b"x"))
    response = h2_ask(site.port, "POST", METHOD, GRPC, body=CALL)
    assert (response.status, response.trailers.one("grpc-status")) == (200, "5")
    assert "grpc-status" not in response.fields


def test_other_requests_are_left_alone(site: Site) -> None:
    site.answers(200, ("grpc-status", "5"), body=b"x")
    response = ask(site.port, request("POST", METHOD, ("Content-Type", "text/plain"), body=b"x"), "POST")
    assert (response.status, response.framing, response.trailers.one("grpc-status")) == (200, "chunked", "5")
