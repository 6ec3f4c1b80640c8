"""Mappings with a ConsulResolver, against a real Consul."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.certs import Authority
from tests.support.consulagent import BUILD_SECONDS, ConsulAgent
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import ask, request
from tests.support.replies import plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS + 120)]
ROOT = "c0ffee00-0000-4000-8000-000000000000"
READ_NODES = 'node_prefix "" { policy = "read" }'
READ_QUOTE = f'service "quote" {{ policy = "read" }} {READ_NODES}'


@pytest.fixture
def backends() -> Iterator[tuple[Backend, Backend]]:
    with Backend(plain(200, b"one")) as one, Backend(plain(200, b"two")) as two:
        yield one, two


def resolver(address: str, name: str = "my-consul", datacenter: str = "dc1") -> m.Object:
    return {
        "apiVersion": m.GROUP,
        "kind": "ConsulResolver",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"address": address, "datacenter": datacenter},
    }


def objects(ports: Ports, address: str) -> list[m.Object]:
    return [
        m.listener("http", ports.http),
        m.host("any"),
        resolver(address),
        m.mapping("quote", "/quote/", "quote", resolver="my-consul"),
    ]


def said(ports: Ports) -> set[str]:
    """What eight requests are answered; a status in place of an error's text."""
    answers = [ask(ports.http, request("GET", "/quote/", ("Connection", "close"))) for _ in range(8)]
    return {answer.body.decode() if answer.status == 200 else str(answer.status) for answer in answers}


def test_instances_come_and_go(backends: tuple[Backend, Backend], tmp_path: Path) -> None:
    one, two = backends
    ports = Ports()
    with ConsulAgent(tmp_path / "consul") as consul:
        consul.register("quote", one.port, instance="q1")
        with GatewayProcess(tmp_path, ports, objects(ports, consul.address)):
            assert said(ports) == {"one"}, "the gateway is ready with instances"
            consul.register("quote", two.port, instance="q2")
            until(lambda: said(ports) == {"one", "two"}, "both are used")
            consul.check("q1", passing=False)
            until(lambda: said(ports) == {"two"}, "one fails its check")
            consul.check("q1", passing=True)
            until(lambda: said(ports) == {"one", "two"}, "and passes again")
            consul.deregister("q2")
            until(lambda: said(ports) == {"one"}, "the other is gone")
            consul.deregister("q1")
            until(lambda: said(ports) == {"503"}, "none is left")


def test_without_consul_the_last_instances_stay_and_a_new_one_is_believed(
    backends: tuple[Backend, Backend], tmp_path: Path
) -> None:
    one, two = backends
    ports = Ports()
    with ExitStack() as stack:
        consul = stack.enter_context(ConsulAgent(tmp_path / "consul"))
        for number in range(5):
            # Moves the index on, so that the next agent begins below it.
            consul.register("other", 1 + number)
        consul.register("quote", one.port)
        gateway = stack.enter_context(GatewayProcess(tmp_path, ports, objects(ports, consul.address)))
        assert said(ports) == {"one"}
        consul.terminate()
        until(lambda: "consul-unheard" in gateway.log(), "the outage is told")
        assert said(ports) == {"one"}
        gateway.configure(*objects(ports, consul.address), m.mapping("more", "/more/", f"{LOOPBACK}:{two.port}"))
        until(lambda: ask(ports.http, request("GET", "/more/")).status == 200, "other changes are taken up meanwhile")
        assert said(ports) == {"one"}
        again = stack.enter_context(ConsulAgent(tmp_path / "again", port=consul.port))
        again.register("quote", two.port)
        until(lambda: said(ports) == {"two"}, "its memory is another one", 60.0)


def test_a_token_is_sent(backends: tuple[Backend, Backend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = backends
    ports = Ports()
    with ConsulAgent(tmp_path / "consul", token=ROOT) as consul:
        consul.register("quote", one.port)
        token = consul.create_policy("reader", READ_QUOTE)
        monkeypatch.setenv("CONSUL_HTTP_TOKEN", token)
        with GatewayProcess(tmp_path, ports, objects(ports, consul.address)) as gateway:
            assert said(ports) == {"one"}
            assert token not in gateway.log()


def test_a_token_that_may_not_read_is_told_and_replaced_without_a_restart(
    backends: tuple[Backend, Backend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = backends
    ports = Ports()
    file = tmp_path / "token"
    monkeypatch.setenv("CONSUL_HTTP_TOKEN_FILE", str(file))
    with ConsulAgent(tmp_path / "consul", token=ROOT) as consul:
        consul.register("quote", one.port)
        file.write_text(consul.create_policy("blind", READ_NODES), encoding="ascii")
        with GatewayProcess(tmp_path, ports, objects(ports, consul.address)) as gateway:
            until(lambda: "may not read" in gateway.log(), "the token may not read the service")
            assert said(ports) == {"503"}
            file.write_text(f"{consul.create_policy('reader', READ_QUOTE)}\n", encoding="ascii")
            until(lambda: said(ports) == {"one"}, "this one may", 60.0)


def test_the_token_goes_to_one_address_only_if_that_is_said(
    backends: tuple[Backend, Backend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = backends
    ports = Ports()
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", ROOT)
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "consul.example.com:8500")
    with ConsulAgent(tmp_path / "consul", token=ROOT) as consul:
        consul.register("quote", one.port)
        with GatewayProcess(tmp_path, ports, objects(ports, consul.address)) as gateway:
            until(lambda: "consul-unheard" in gateway.log(), "Consul hides what a token is needed for")
            assert said(ports) == {"503"}


def test_consul_over_tls(backends: tuple[Backend, Backend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = backends
    ports = Ports()
    authority = Authority()
    leaf = authority.issue(LOOPBACK)
    for name, text in (("ca.pem", authority.pem), ("cert.pem", leaf.chain), ("key.pem", leaf.key)):
        (tmp_path / name).write_text(text, encoding="ascii")
    https = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    with ConsulAgent(tmp_path / "consul", config={"tls": {"https": https}}, tls=authority.client_context()) as consul:
        consul.register("quote", one.port)
        monkeypatch.setenv("CONSUL_CACERT", str(tmp_path / "ca.pem"))
        with GatewayProcess(tmp_path, ports, objects(ports, f"https://{consul.address}")):
            until(lambda: said(ports) == {"one"}, "trusted")
        monkeypatch.delenv("CONSUL_CACERT")
        (tmp_path / "b").mkdir()
        ports = Ports()
        with GatewayProcess(tmp_path / "b", ports, objects(ports, f"https://{consul.address}")) as gateway:
            until(lambda: "certificate verify failed" in gateway.log(), "not trusted")
            assert said(ports) == {"503"}


def test_a_datacenter_that_does_not_exist_is_told_at_the_resolver(
    backends: tuple[Backend, Backend], tmp_path: Path
) -> None:
    one, _ = backends
    ports = Ports()
    with ConsulAgent(tmp_path / "consul") as consul:
        consul.register("quote", one.port)
        wrong = [resolver(consul.address, datacenter="dc9"), *objects(ports, consul.address)]
        del wrong[3]
        with GatewayProcess(tmp_path, ports, wrong) as gateway:
            until(lambda: "ConsulResolver default/my-consul" in gateway.log(), "the resolver is named")
            assert said(ports) == {"503"}
            gateway.configure(*objects(ports, consul.address))
            until(lambda: said(ports) == {"one"}, "corrected")
