"""The published conformance suite for HTTP/2 (https://github.com/summerwind/h2spec) against a running gateway."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.support import manifests as m
from tests.support.certs import Authority
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.goprograms import installed
from tests.support.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backend import Backend

PACKAGE, VERSION = "github.com/summerwind/h2spec/cmd/h2spec", "v2.2.1+incompatible"
CASES = 145

KNOWN = {
    # The handshake has chosen HTTP/2: there is nothing else that bytes could be.
    "https": frozenset[str](),
    "http": frozenset(
        {
            # One port serves both protocols without TLS, and bytes that are not the preface are a request of HTTP/1:
            # this one is answered 400 in HTTP/1.1 and the connection closed, which the suite takes for no GOAWAY.
            "Sends invalid connection preface",
        }
    ),
}
"""Cases that may fail, for each scheme."""


@pytest.fixture(scope="session")
def h2spec() -> Path:
    return installed(PACKAGE, VERSION)


@pytest.fixture(scope="module")
def ports(upstream: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """A gateway with and without TLS before the upstream that reads bodies and echoes them."""
    ports = Ports()
    leaf = Authority().issue(LOOPBACK, "localhost")
    objects = [
        m.listener("http", ports.http),
        m.listener("https", ports.https, "HTTPS"),
        m.tls_secret("cert", leaf.chain, leaf.key),
        m.host("any", "*", "Route", "cert"),
        m.mapping("all", "/", f"{LOOPBACK}:{upstream.port}"),
    ]
    with GatewayProcess(tmp_path_factory.mktemp("h2spec"), ports, objects) as gateway:
        workers = gateway.children()
        yield ports
        assert gateway.children() == workers, gateway.log()
        assert gateway.metric("sluice_native_panics_total") == 0


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", KNOWN)
def test_h2spec(h2spec: Path, ports: Ports, scheme: str, tmp_path: Path) -> None:
    report = tmp_path / "h2spec.xml"
    secure = ["--tls", "--insecure"] if scheme == "https" else []
    port = ports.https if scheme == "https" else ports.http
    ran = subprocess.run(
        [h2spec, "--host", LOOPBACK, "--port", str(port), "--timeout", "5", "--junit-report", str(report), *secure],
        capture_output=True,
        text=True,
        check=False,
    )
    cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 - a report of our own
    assert len(cases) == CASES, ran.stdout
    skipped = [case.get("classname") for case in cases if case.find("skipped") is not None]
    assert skipped == []
    failed = {
        case.get("classname") for case in cases if case.find("failure") is not None or case.find("error") is not None
    }
    assert failed <= KNOWN[scheme], ran.stdout
