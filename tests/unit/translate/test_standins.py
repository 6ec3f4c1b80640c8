"""A Host or TLSContext that cannot be read, in a process that never knew a good version, opens nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from gateway.resources import ResourceSet
from gateway.resources.reader import read_object
from gateway.translate import TranslateSettings, translate
from tests.support.certs import Authority

if TYPE_CHECKING:
    from gateway import ir

MAPPING = """
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: m, namespace: d}
spec: {hostname: "*", prefix: /, service: s}
"""
LISTENERS = """
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: clear, namespace: d}
spec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: tls, namespace: d}
spec: {port: 8443, protocol: HTTPS, securityModel: SECURE, hostBinding: {namespace: {from: ALL}}}
"""


def host(name: str, spec: str) -> str:
    meta = f"{{name: {name}, namespace: d}}"
    return f"apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {meta}\nspec: {spec}\n"


def context(name: str, spec: str) -> str:
    meta = f"{{name: {name}, namespace: d}}"
    return f"apiVersion: getambassador.io/v3alpha1\nkind: TLSContext\nmetadata: {meta}\nspec: {spec}\n"


def secret(name: str) -> str:
    authority = Authority()
    leaf = authority.issue("a.x")
    data = {"tls.crt": leaf.chain, "tls.key": leaf.key, "ca.crt": authority.pem}
    meta = {"name": name, "namespace": "d"}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})


def served(*texts: str) -> ir.Gateway:
    """The gateway of a process that has just started."""
    results = [read_object(one) for text in texts for one in yaml.safe_load_all(text)]
    objects = [item for result in results for item in (*result.resources, *result.stand_ins)]
    return translate(ResourceSet.build(objects), TranslateSettings()).gateway


def forwarding(gateway: ir.Gateway) -> set[str]:
    """Domains under which any route reaches an upstream."""
    return {
        domain
        for item in gateway.virtual_hosts
        for domain in item.domains
        if any(choice.forward is not None for route in item.routes for choice in route.choices)
    }


BAD = "requestPolicy: {insecure: {action: Rejekt}}"


@pytest.mark.parametrize(
    "spec",
    [f"{{hostname: a.x, {BAD}}}", f"{{{BAD}}}", "{hostname: 7}", "{hostname: 'a*b'}", "[]", "{tls: {ca_secret: 5}}"],
)
def test_no_default_host_opens_what_a_host_that_cannot_be_read_closes(spec: str) -> None:
    gateway = served(MAPPING, LISTENERS, host("h", spec))
    assert gateway.virtual_hosts
    assert not forwarding(gateway)
    assert {item.insecure_action for item in gateway.virtual_hosts} == {"reject"}


def test_a_wider_host_does_not_serve_the_domain_of_one_that_cannot_be_read() -> None:
    wide = host("wide", "{hostname: '*.x', tlsSecret: {name: cert}, requestPolicy: {insecure: {action: Route}}}")
    objects = (MAPPING, LISTENERS, wide, secret("cert"))
    gateway = served(*objects, host("h", f"{{hostname: a.x, {BAD}}}"))
    assert forwarding(gateway) == {"*.x"}
    names = {item.name: item for item in gateway.virtual_hosts}
    for listener in gateway.listeners:
        assert {domain for name in listener.virtual_hosts for domain in names[name].domains} == {"*.x", "a.x"}
    assert forwarding(served(*objects, host("h", "{hostname: 7}"))) == {"*.x"}


@pytest.mark.parametrize(
    ("asks", "named"),
    [
        pytest.param("{hostname: a.x, tlsSecret: {name: cert}}", "h-context", id="implicit"),
        pytest.param("{hostname: a.x, tlsSecret: {name: cert}, tlsContext: {name: c}}", "c", id="named"),
        pytest.param("{hostname: a.x}", "any", id="by its hosts"),
    ],
)
def test_no_tls_without_the_client_certificates_that_a_context_may_ask_for(asks: str, named: str) -> None:
    objects = (MAPPING, LISTENERS, host("h", asks), secret("cert"))
    good = served(*objects, context(named, "{hosts: [a.x], secret: cert, ca_secret: cert, cert_required: true}"))
    (tls,) = (item for item in good.listeners if item.port == 8443)
    assert [item.client_cert_required for item in tls.terminations] == [True]
    bad = served(*objects, context(named, "{hosts: [a.x], secret: cert, ca_secret: cert, cert_required: perhaps}"))
    for listener in bad.listeners:
        assert not listener.terminations


def test_no_upstream_is_reached_by_a_context_that_cannot_be_read() -> None:
    text = MAPPING.replace("service: s}", "service: s, tls: up}")
    assert not forwarding(served(text, context("up", "{alpn_protocols: 5}")))


def test_a_tcp_mapping_is_closed_where_tls_cannot_be_read() -> None:
    tcp = """
apiVersion: getambassador.io/v3alpha1
kind: TCPMapping
metadata: {name: t, namespace: d}
spec: {port: 9000, host: a.x, service: db:5432}
"""
    for closing in (host("h", f"{{hostname: a.x, {BAD}}}"), context("c", "{hosts: [a.x], cert_required: perhaps}")):
        (route,) = (one for item in served(tcp, closing).listeners for one in item.tcp_routes)
        assert route.choices == ()
