"""TLS towards upstreams: the name and the authority are verified, and what cannot be verified is a 503."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.certs import Authority, server_context
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import ask, request
from tests.support.replies import echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "upstream.example"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One gateway whose routes differ only in what their upstream shows and what they expect."""
    folder: Path = tmp_path_factory.mktemp("tls-upstream")
    good, other = Authority(), Authority("another authority")
    ports = Ports()
    with (
        Backend(echo, server_context(good.issue(NAME), folder)) as right,
        Backend(echo, server_context(good.issue("wrong.example"), folder)) as wrong_name,
        Backend(echo, server_context(other.issue(NAME), folder)) as wrong_authority,
        Backend(echo) as cleartext,
    ):
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.ca_secret("authority", good.pem),
            m.tls_context("verified", ca_secret="authority", sni=NAME),
            m.mapping("right", "/right", f"https://{LOOPBACK}:{right.port}", tls="verified"),
            m.mapping("wrong-name", "/wrong-name", f"https://{LOOPBACK}:{wrong_name.port}", tls="verified"),
            m.mapping("authority", "/wrong-authority", f"https://{LOOPBACK}:{wrong_authority.port}", tls="verified"),
            m.mapping("cleartext", "/cleartext", f"https://{LOOPBACK}:{cleartext.port}", tls="verified"),
            m.mapping("no-tls", "/no-tls", f"http://{LOOPBACK}:{right.port}"),
        ]
        with GatewayProcess(folder, ports, objects):
            yield ports.http


@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param("/right", 200, id="verified"),
        pytest.param("/wrong-name", 503, id="other-name"),
        pytest.param("/wrong-authority", 503, id="other-authority"),
        pytest.param("/cleartext", 503, id="upstream-without-tls"),
    ],
)
def test_upstream_verification(port: int, target: str, status: int) -> None:
    assert ask(port, request("GET", target)).status == status


def test_cleartext_to_a_tls_upstream(port: int) -> None:
    assert ask(port, request("GET", "/no-tls")).status in (502, 503)


def test_verified_connections_are_reused(port: int) -> None:
    first = ask(port, request("GET", "/right")).json()
    second = ask(port, request("GET", "/right")).json()
    assert (second["connection"], second["number"]) == (first["connection"], first["number"] + 1)
