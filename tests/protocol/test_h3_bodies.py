"""Bodies that change on their way, for clients of HTTP/3: the same rules as for the other versions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
from curl_cffi import CurlOpt, requests

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.certs import Authority
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.grpcwire import TRAILERS, message, messages
from tests.support.h2backend import H2Backend
from tests.support.ports import LOOPBACK
from tests.support.replies import echo, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.h2backend import H2Exchange

HOST = "one.example"
LIMIT = 100_000
TEXT = b"a line of text\n" * 10_000


def answer(exchange: H2Exchange) -> None:
    exchange.answer(200, [("content-type", "application/grpc")], message(b"answer"), [("grpc-status", "0")])


@dataclass(frozen=True, slots=True)
class Site:
    port: int
    authority: str
    backend: Backend
    framed: H2Backend

    def curl(self, method: Literal["GET", "POST"], path: str, **options: Any) -> requests.Response:
        session: requests.Session[requests.Response]
        with requests.Session(curl_options={CurlOpt.RESOLVE: [f"{HOST}:{self.port}:{LOOPBACK}"]}) as session:
            # The types of curl_cffi know a switch only; the name of a file is documented.
            verify: Any = self.authority
            url = f"https://{HOST}:{self.port}{path}"
            return session.request(method, url, http_version="v3only", timeout=20, verify=verify, **options)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("h3-bodies")
    authority = Authority()
    file = folder / "authority.pem"
    file.write_text(authority.pem, encoding="ascii")
    leaf, ports = authority.issue(HOST), Ports()
    quic = m.listener("quic", ports.https, protocolStack=["TLS", "HTTP", "UDP"])
    del quic["spec"]["protocol"]
    with Backend(echo) as backend, H2Backend(answer) as framed:
        objects = [
            m.listener("https", ports.https, "HTTPS"),
            quic,
            m.tls_secret("cert", leaf.chain, leaf.key),
            m.host("one", HOST, "Redirect", "cert"),
            m.mapping("all", "/", f"{LOOPBACK}:{backend.port}"),
            m.mapping("grpc", "/demo/", f"{LOOPBACK}:{framed.port}", grpc=True),
            m.module(gzip={}, enable_grpc_web=True, buffer={"max_request_bytes": LIMIT}),
        ]
        with GatewayProcess(folder, ports, objects) as gateway:
            yield Site(ports.https, str(file), backend, framed)
            assert gateway.metric("sluice_native_panics_total") == 0


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_compression(site: Site, coding: str) -> None:
    site.backend.on("/text", plain(200, TEXT, ("Content-Type", "text/plain")))
    response = site.curl("GET", "/text", headers={"Accept-Encoding": coding})
    assert response.headers["content-encoding"] == coding
    assert response.content == TEXT


def test_buffering(site: Site) -> None:
    body = b"x" * LIMIT
    assert json.loads(site.curl("POST", "/", data=body).content)["body"] == body.decode()
    assert site.curl("POST", "/", data=body + b"x").status_code == 413


def test_grpc_web(site: Site) -> None:
    fields = {"Content-Type": "application/grpc-web+proto", "Accept": "application/grpc-web+proto"}
    response = site.curl("POST", "/demo/Ask", data=message(b"question"), headers=fields)
    assert messages(response.content) == [(0, b"answer"), (TRAILERS, b"grpc-status:0\r\n")]
    assert bytes(site.framed.requests[-1].body) == message(b"question")
