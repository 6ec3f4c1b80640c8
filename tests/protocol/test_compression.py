"""Answers that are compressed on their way (``gzip`` of the Module), and those that must not be touched."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.protocol.h2_oracle import Worker
from tests.protocol.site import Edge
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.h2backend import H2Backend
from tests.support.h2client import H2Client, Reset, pseudo
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, request
from tests.support.replies import echo, message, plain, raw
from tests.support.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backend import Exchange
    from tests.support.h2backend import H2Exchange
    from tests.support.messages import Response

TEXT = b"".join(b"line %d of a text that repeats itself a little\n" % number for number in range(20_000))
PLAIN = ("Content-Type", "text/plain")
GZIP = ("Accept-Encoding", "gzip")
CODINGS = ["gzip", "br", "zstd"]


@dataclass(frozen=True, slots=True)
class Site(Edge):
    """A gateway that compresses, with an upstream of each protocol; ``/h2`` is the one that speaks HTTP/2."""

    framed: H2Backend


def answer_text(exchange: H2Exchange) -> None:
    exchange.answer(200, [("content-type", "text/plain"), ("content-length", str(len(TEXT)))], TEXT)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ports = Ports()
    with Backend(echo) as backend, H2Backend(answer_text) as framed:
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.mapping("all", "/", f"{LOOPBACK}:{backend.port}"),
            m.mapping("h2", "/h2", f"{LOOPBACK}:{framed.port}", grpc=True),
            m.module(gzip={}),
        ]
        with GatewayProcess(tmp_path_factory.mktemp("compression"), ports, objects) as gateway:
            yield Site(gateway, backend, framed)
            assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture
def edge(running: Site) -> Iterator[Site]:
    running.backend.reset()
    running.framed.serve = answer_text
    workers = running.gateway.children()
    yield running
    assert running.gateway.children() == workers, running.gateway.log()


def get(edge: Site, target: str, *fields: tuple[str, str]) -> Response:
    return ask(edge.port, request("GET", target, *fields))


def curl(edge: Site, target: str, coding: str, *options: str) -> tuple[str, bytes]:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("there is no curl")
    url = f"http://{LOOPBACK}:{edge.port}{target}"
    command = [program, "-s", "-S", "-i", "--raw" if coding == "raw" else "--compressed", *options]
    done = subprocess.run(
        [*command, "-H", f"Accept-Encoding: {coding}", url], check=True, capture_output=True, timeout=30
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return head.decode("latin-1").lower(), body


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("target", ["/text", "/h2"])
@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_client_reads_what_the_upstream_sent(edge: Site, coding: str, target: str, version: str) -> None:
    edge.backend.on("/text", plain(200, TEXT, PLAIN))
    head, body = curl(edge, target, coding, version)
    assert f"content-encoding: {coding}\r\n" in f"{head}\r\n"
    assert "vary: accept-encoding" in head
    assert "content-length" not in head
    assert body == TEXT


@pytest.mark.parametrize("chunks", [1, 1000])
def test_chunks_and_trailers(edge: Site, chunks: int) -> None:
    size = len(TEXT) // chunks + 1

    def handler(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(TEXT), size):
            piece = TEXT[start : start + size]
            exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.send(b"0\r\nX-Sum: 42\r\n\r\n")

    edge.backend.on("/chunks", handler)
    with RawClient(edge.port) as client:
        for _ in range(2):
            response = client.ask(request("GET", "/chunks", GZIP))
            assert gzip.decompress(response.body) == TEXT
            assert len(response.body) < len(TEXT) // 2
            assert response.trailers.one("x-sum") == "42"
    assert len(edge.backend.connections) == 1


def test_the_weights_of_the_client_decide(edge: Site) -> None:
    edge.backend.on("/text", plain(200, TEXT, PLAIN))
    for accepted, coding in [
        ("gzip, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.9", "gzip"),
        ("zstd, gzip;q=0.5, br;q=0", "zstd"),
        ("*", "br"),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0", None),
        ("deflate", None),
    ]:
        response = get(edge, "/text", ("Accept-Encoding", accepted))
        assert response.fields.get("content-encoding") == coding, accepted
        assert response.fields.one("vary") == "Accept-Encoding"
        assert (response.body == TEXT) == (coding is None)


SMALL, JUST = b"x" * 29, b"x" * 30


@pytest.mark.parametrize(
    ("status", "body", "fields"),
    [
        pytest.param(200, SMALL, [PLAIN], id="small"),
        pytest.param(200, JUST, [("Content-Type", "image/png")], id="type"),
        pytest.param(200, JUST, [], id="no-type"),
        pytest.param(200, JUST, [PLAIN, ("Cache-Control", "no-transform")], id="no-transform"),
        pytest.param(200, JUST, [PLAIN, ("Content-Encoding", "br")], id="encoded"),
        pytest.param(206, JUST, [PLAIN, ("Content-Range", "bytes 0-29/50")], id="range"),
        pytest.param(200, JUST, [PLAIN, ("Content-Digest", "sha-256=:AAAA:")], id="digest"),
        pytest.param(200, b"", [PLAIN], id="empty"),
    ],
)
def test_answers_that_stay_as_they_are(edge: Site, status: int, body: bytes, fields: list[tuple[str, str]]) -> None:
    edge.backend.on("/plain", plain(status, body, *fields, ("ETag", '"tag"')))
    response = get(edge, "/plain", GZIP)
    assert (response.status, response.body, response.framing) == (status, body, "length")
    assert response.fields.get("content-encoding") == dict(fields).get("Content-Encoding")
    assert response.fields.one("etag") == '"tag"'
    assert "vary" not in response.fields


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(edge: Site, status: int) -> None:
    edge.backend.on("/none", raw(f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\n\r\n".encode()))
    response = get(edge, "/none", GZIP)
    assert (response.status, response.body) == (status, b"")
    assert "content-encoding" not in response.fields


def test_head_tells_of_the_plain_answer(edge: Site) -> None:
    head = message(200, TEXT, PLAIN)[: -len(TEXT)]
    edge.backend.on("/text", raw(head))
    response = ask(edge.port, request("HEAD", "/text", GZIP), "HEAD")
    assert response.fields.one("content-length") == str(len(TEXT))
    assert "content-encoding" not in response.fields
    assert response.fields.one("vary") == "Accept-Encoding"


def test_a_client_of_http_1_0_gets_the_length(edge: Site) -> None:
    edge.backend.on("/text", plain(200, TEXT, PLAIN))
    response = ask(edge.port, request("GET", "/text", GZIP, version="1.0"))
    assert (response.body, response.framing) == (TEXT, "length")


def test_a_strong_tag_does_not_outlive_the_bytes_it_names(edge: Site) -> None:
    edge.backend.on("/strong", plain(200, TEXT, PLAIN, ("ETag", '"a"'), ("Accept-Ranges", "bytes"), ("Vary", "Cookie")))
    edge.backend.on("/weak", plain(200, TEXT, PLAIN, ("ETag", 'W/"a"'), ("Vary", "Accept-Encoding")))
    strong, weak = get(edge, "/strong", GZIP), get(edge, "/weak", GZIP)
    assert "etag" not in strong.fields
    assert "accept-ranges" not in strong.fields
    assert strong.fields.all("vary") == ["Cookie", "Accept-Encoding"]
    assert weak.fields.one("etag") == 'W/"a"'
    assert weak.fields.one("vary") == "Accept-Encoding"


@pytest.mark.parametrize("version", ["1", "2"])
def test_events_are_not_held_back(edge: Site, version: str) -> None:
    """Each event is read, decoded, before the upstream sends the next one."""
    events = [b"data: number %d\n\n" % number for number in range(5)]
    turn = threading.Semaphore(1)

    def stream(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            assert turn.acquire(timeout=10)
            exchange.send(b"%x\r\n%s\r\n" % (len(event), event))
        exchange.send(b"0\r\n\r\n")

    edge.backend.on("/events", stream)
    inflate = zlib.decompressobj(31)
    if version == "1":
        with RawClient(edge.port) as client:
            client.send(request("GET", "/events", GZIP))
            while client.stream.line():
                pass
            for event in events:
                seen = b""
                while seen != event:
                    size = int(client.stream.line(), 16)
                    seen += inflate.decompress(client.stream.exactly(size))
                    assert client.stream.line() == b""
                    assert event.startswith(seen)
                turn.release()
            tail = client.stream.exactly(int(client.stream.line(), 16))
            assert inflate.decompress(tail) == b""
    else:
        with H2Client(edge.port) as h2:
            number = h2.start([*pseudo("GET", "/events"), (b"accept-encoding", b"gzip")])
            for count in range(1, len(events) + 1):
                expected = b"".join(events[:count])
                while _inflated(h2, number) != expected:
                    h2.read()
                turn.release()
            assert h2.response(number).status == 200
            inflate.decompress(bytes(h2.streams[number].body))
    assert inflate.eof


def _inflated(client: H2Client, stream: int) -> bytes:
    return zlib.decompressobj(31).decompress(bytes(client.streams[stream].body))


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_cut_answer_is_not_finished(edge: Site, framing: str) -> None:
    """The upstream dies in the middle: what the client gets has no proper end, in either version."""
    fields = b"Content-Length: 1000000" if framing == "length" else b"Transfer-Encoding: chunked"
    body = TEXT[:1000] if framing == "length" else b"3e8\r\n" + TEXT[:1000] + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + fields + b"\r\n\r\n"
    edge.backend.on("/cut", raw(head + body, close=True))
    with RawClient(edge.port) as client, pytest.raises(WireError):
        client.ask(request("GET", "/cut", GZIP))
    with H2Client(edge.port) as h2:
        assert isinstance(h2.ask("GET", "/cut", GZIP), Reset)


def test_a_reset_of_the_upstream_is_not_an_end(edge: Site) -> None:
    def cut(exchange: H2Exchange) -> None:
        exchange.head(200, ("content-type", "text/plain"))
        exchange.data(TEXT[:1000])
        exchange.cut()

    edge.framed.serve = cut
    with RawClient(edge.port) as client, pytest.raises(WireError):
        client.ask(request("GET", "/h2", GZIP))
    with H2Client(edge.port) as h2:
        assert isinstance(h2.ask("GET", "/h2", GZIP), Reset)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_client_that_reads_nothing_costs_no_memory(edge: Site, coding: str) -> None:
    """The upstream has a gigabyte to send; it is stopped as soon as the buffers on the way are full."""
    worker = Worker(edge)
    noise = random.Random(1).randbytes(1 << 20)
    sent = [0]
    stopped = threading.Event()

    def endless(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1073741824\r\n\r\n")
        exchange.sock.settimeout(2)
        try:
            for _ in range(1024):
                exchange.send(noise)
                sent[0] += len(noise)
        except TimeoutError:
            stopped.set()
        finally:
            exchange.close()

    edge.backend.on("/endless", endless)
    with RawClient(edge.port) as client:
        client.send(request("GET", "/endless", ("Accept-Encoding", coding)))
        assert client.stream.has_more()
        assert stopped.wait(timeout=30)
        assert sent[0] < 64 << 20
        worker.assert_unharmed()
    worker.assert_idle()


def test_a_client_that_goes_away(edge: Site) -> None:
    worker = Worker(edge)
    noise = random.Random(1).randbytes(1 << 20)
    ended = threading.Event()

    def endless(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        try:
            for _ in range(1024):
                exchange.send(noise)
        except OSError:
            ended.set()
        exchange.close()

    edge.backend.on("/endless", endless)
    client = RawClient(edge.port)
    client.send(request("GET", "/endless", GZIP))
    assert client.stream.has_more()
    client.reset()
    assert ended.wait(timeout=20)
    worker.assert_idle()
    worker.assert_unharmed()


def test_a_bomb_passes_as_it_is(edge: Site) -> None:
    """Nothing is ever decompressed (behaviour row 49): a thousandfold body is a small one on its way."""
    bomb = gzip.compress(b"\0" * (200 << 20), compresslevel=9)
    worker = Worker(edge)
    edge.backend.on("/bomb", plain(200, bomb, PLAIN, ("Content-Encoding", "gzip")))
    response = get(edge, "/bomb", ("Accept-Encoding", "gzip, br"))
    assert response.body == bomb
    assert response.fields.one("content-length") == str(len(bomb))
    assert get(edge, "/bomb").body == bomb
    upload = request("POST", "/upload", ("Content-Encoding", "gzip"), body=bomb)
    edge.backend.on("/upload", plain(200))
    assert ask(edge.port, upload, "POST").status == 200
    assert edge.backend.requests[-1].body == bomb
    worker.assert_unharmed()


def test_accept_encoding_and_tags_as_configured(tmp_path: Path) -> None:
    ports = Ports()
    with Backend(echo) as backend:
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.mapping("all", "/", f"{LOOPBACK}:{backend.port}"),
            m.module(gzip={"remove_accept_encoding_header": True, "disable_on_etag_header": True}),
        ]
        backend.on("/tagged", plain(200, TEXT, PLAIN, ("ETag", 'W/"a"')))
        with GatewayProcess(tmp_path, ports, objects) as gateway:
            response = ask(gateway.ports.http, request("GET", "/", GZIP))
            seen = dict(json.loads(gzip.decompress(response.body))["headers"])
            assert not {"accept-encoding", "Accept-Encoding"} & set(seen)
            assert ask(gateway.ports.http, request("GET", "/tagged", GZIP)).body == TEXT
