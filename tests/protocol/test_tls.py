"""TLS towards clients: choice of the certificate, misdirected requests, redirects, rotation, versions."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from tests.protocol.tls_site import ONE, SHARED, TWO, Leaves, TlsEdge, shown_serial, tls_site
from tests.support import manifests as m
from tests.support.certs import Authority
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.rawclient import RawClient, ask, request
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backend import Backend


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def shared(upstream: Backend, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEdge]:
    ports = Ports()
    leaves = Leaves(authority.issue(ONE, SHARED), authority.issue(TWO))
    objects = tls_site(ports, upstream.port, leaves, [])
    with GatewayProcess(tmp_path_factory.mktemp("tls"), ports, objects) as gateway:
        yield TlsEdge(gateway, upstream, authority, leaves, objects)


@pytest.fixture
def edge(shared: TlsEdge) -> Iterator[TlsEdge]:
    shared.backend.reset()
    yield shared
    assert shared.backend.faults() == []


@pytest.mark.parametrize("host", [ONE, TWO, SHARED])
def test_a_request_over_tls(edge: TlsEdge, host: str) -> None:
    with edge.connect(host) as client:
        reply = client.ask(request("GET", "/x", host=host)).json()
    headers = {name.lower(): value for name, value in reply["headers"]}
    assert reply["target"] == "/x"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["host"] == host


def test_the_server_name_chooses_the_certificate(edge: TlsEdge) -> None:
    assert edge.serial(ONE) == edge.leaves.one.serial
    assert edge.serial(TWO) == edge.leaves.two.serial
    assert edge.serial(SHARED) == edge.leaves.one.serial


@pytest.mark.parametrize("name", ["ONE.example", "one.example."])
def test_server_names_are_compared_normalised(edge: TlsEdge, name: str) -> None:
    context = edge.authority.client_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with edge.connect(name, context) as client:
        assert shown_serial(client) == edge.leaves.one.serial


@pytest.mark.parametrize("name", [None, "absent.example"])
def test_an_unknown_server_name_reaches_no_host(edge: TlsEdge, name: str | None) -> None:
    """No handshake, or no answer in the name of a host."""
    context = edge.authority.client_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        client = edge.connect(name, context)
    except ssl.SSLError:
        return
    with client:
        assert client.ask(request("GET", "/x", host="absent.example")).status in (404, 421)
    assert edge.backend.heads() == []


@pytest.mark.parametrize(("server_name", "host"), [(ONE, TWO), (TWO, ONE), (TWO, SHARED)])
def test_a_host_of_another_certificate_is_misdirected(edge: TlsEdge, server_name: str, host: str) -> None:
    with edge.connect(server_name) as client:
        assert client.ask(request("GET", "/x", host=host)).status == 421
    assert edge.backend.heads() == []


def test_hosts_of_one_certificate_may_share_a_connection(edge: TlsEdge) -> None:
    with edge.connect(ONE) as client:
        assert client.ask(request("GET", "/1", host=ONE)).status == 200
        assert client.ask(request("GET", "/2", host=SHARED)).status == 200


def test_an_unknown_host_over_tls(edge: TlsEdge) -> None:
    with edge.connect(ONE) as client:
        assert client.ask(request("GET", "/x", host="absent.example")).status in (404, 421)
    assert edge.backend.heads() == []


@pytest.mark.parametrize(
    ("target", "location"),
    [
        pytest.param("/x", f"https://{ONE}/x", id="path"),
        pytest.param("/x?a=b&c", f"https://{ONE}/x?a=b&c", id="query"),
        pytest.param("/", f"https://{ONE}/", id="root"),
        pytest.param("/a/../b%41", f"https://{ONE}/bA", id="normalised"),
        pytest.param("//evil.example/x", f"https://{ONE}//evil.example/x", id="double-slash"),
    ],
)
def test_cleartext_is_redirected(edge: TlsEdge, target: str, location: str) -> None:
    response = ask(edge.gateway.ports.http, request("GET", target, host=ONE))
    got = response.fields.one("location").replace(f":{edge.gateway.ports.https}", "")
    assert (response.status, got) == (301, location)
    assert edge.backend.heads() == []


@pytest.mark.parametrize("value", ["https", "HTTPS", "https,http"])
def test_a_stranger_cannot_claim_tls(edge: TlsEdge, value: str) -> None:
    response = ask(edge.gateway.ports.http, request("GET", "/x", ("X-Forwarded-Proto", value), host=ONE))
    assert response.status == 301


def test_a_redirect_with_a_body_leaves_nothing_behind(edge: TlsEdge) -> None:
    with RawClient(edge.gateway.ports.http) as client:
        client.send(request("POST", "/x", host=ONE, body=request("GET", "/smuggled", host=SHARED)))
        response = client.response("POST")
        assert response.status == 301
        if response.announces_close:
            assert client.ended()
        else:
            assert client.ask(request("GET", "/next", host=SHARED)).json()["target"] == "/next"
    assert "/smuggled" not in [head.target for head in edge.backend.heads()]


def test_acme_challenges_are_never_redirected(edge: TlsEdge) -> None:
    response = ask(edge.gateway.ports.http, request("GET", "/.well-known/acme-challenge/token", host=ONE))
    assert response.status == 200


def test_cleartext_is_rejected(edge: TlsEdge) -> None:
    assert ask(edge.gateway.ports.http, request("GET", "/x", host=TWO)).status in (403, 404)
    assert edge.backend.heads() == []


def test_cleartext_is_routed(edge: TlsEdge) -> None:
    assert ask(edge.gateway.ports.http, request("GET", "/x", host=SHARED)).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_that_are_served(edge: TlsEdge, version: ssl.TLSVersion) -> None:
    context = edge.authority.client_context()
    context.minimum_version = context.maximum_version = version
    with edge.connect(ONE, context) as client:
        assert client.ask(request("GET", "/x", host=ONE)).status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_refused(edge: TlsEdge) -> None:
    context = edge.authority.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        edge.connect(ONE, context)


def test_cleartext_on_the_tls_port(edge: TlsEdge) -> None:
    with RawClient(edge.gateway.ports.https) as client:
        client.send(request("GET", "/x", host=ONE))
        try:
            rest = client.rest()
        except ConnectionResetError:
            rest = b""
    assert not rest.startswith(b"HTTP/1.1 200")
    assert edge.backend.heads() == []


def test_a_protocol_that_nobody_speaks(edge: TlsEdge) -> None:
    """ALPN without common protocol ends the handshake or falls back to HTTP/1.1; it is never taken as agreed."""
    context = edge.authority.client_context()
    context.set_alpn_protocols(["spdy/1"])
    try:
        client = edge.connect(ONE, context)
    except ssl.SSLError:
        return
    with client:
        assert client.tls.selected_alpn_protocol() is None


def test_certificates_rotate_without_a_failed_handshake(edge: TlsEdge) -> None:
    """Handshakes go on while the Secret changes; an open connection lives on; a broken Secret keeps the old one."""
    fresh = edge.authority.issue(TWO)
    rotated = [
        m.tls_secret("cert-two", fresh.chain, fresh.key) if item["metadata"]["name"] == "cert-two" else item
        for item in edge.objects
    ]
    broken = [
        m.tls_secret("cert-two", "no certificate", fresh.key) if item["metadata"]["name"] == "cert-two" else item
        for item in edge.objects
    ]
    serials: list[int] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def shake() -> None:
        while not stop.is_set():
            try:
                serials.append(edge.serial(TWO))
            except Exception as error:
                failures.append(error)

    thread = threading.Thread(target=shake)
    with edge.connect(TWO) as open_connection:
        assert open_connection.ask(request("GET", "/before", host=TWO)).status == 200
        thread.start()
        try:
            edge.gateway.configure(*rotated)
            until(lambda: edge.serial(TWO) == fresh.serial, "the new certificate")
            edge.gateway.configure(*broken, m.mapping("after", "/after", "127.0.0.1:9", prefix_exact=True))
            until(
                lambda: ask(edge.gateway.ports.http, request("GET", "/after", host=SHARED)).status == 503,
                "the change beside the broken Secret",
            )
            assert edge.serial(TWO) == fresh.serial
        finally:
            stop.set()
            thread.join()
            edge.gateway.configure(*edge.objects)
        assert open_connection.ask(request("GET", "/x", host=TWO)).status == 200
    assert failures == []
    assert set(serials) <= {edge.leaves.two.serial, fresh.serial}
    until(lambda: edge.serial(TWO) == edge.leaves.two.serial, "the first certificate again")
