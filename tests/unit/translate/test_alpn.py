"""ALPN: what clients and upstreams are offered."""

from __future__ import annotations

import pytest

from gateway.diagnostics import Collector, Origin
from gateway.resources import TLSContext
from gateway.resources.hosts import TlsSettings
from gateway.translate import TranslateSettings, translate
from gateway.translate.tlssettings import HTTP1, SPOKEN, alpn
from tests.golden.compact import read

HOST = """
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {{name: h, namespace: d}}
spec: {{hostname: a.example.com, tlsSecret: {{name: cert}}, tls: {tls}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: cert, namespace: d}}
stringData:
  tls.crt: "-----BEGIN CERTIFICATE-----\\nMA==\\n-----END CERTIFICATE-----\\n"
  tls.key: "-----BEGIN PRIVATE KEY-----\\nMA==\\n-----END PRIVATE KEY-----\\n"
"""
MAPPING = """
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {{name: m, namespace: d}}
spec: {{hostname: "*", prefix: /, service: "https://up", tls: ctx, grpc: {grpc}}}
---
apiVersion: getambassador.io/v3alpha1
kind: TLSContext
metadata: {{name: ctx, namespace: d}}
spec: {{alpn_protocols: "h2,http/1.1"}}
"""


@pytest.mark.parametrize(
    ("tls", "offered"),
    [
        pytest.param("{}", ("h2", "http/1.1"), id="default"),
        pytest.param("{alpn_protocols: http/1.1}", ("http/1.1",), id="one"),
        pytest.param('{alpn_protocols: "http/1.1, h2"}', ("http/1.1", "h2"), id="order"),
        pytest.param("{alpn_protocols: spdy/3}", ("h2", "http/1.1"), id="none that is spoken"),
    ],
)
def test_clients(tls: str, offered: tuple[str, ...]) -> None:
    gateway = translate(read(HOST.format(tls=tls))[0], TranslateSettings()).gateway
    (termination,) = [item for listener in gateway.listeners for item in listener.terminations]
    assert termination.alpn == offered


@pytest.mark.parametrize(("grpc", "offered"), [("true", ("h2",)), ("false", ("http/1.1",))])
def test_upstreams_are_offered_what_is_spoken_to_them(grpc: str, offered: tuple[str, ...]) -> None:
    (cluster,) = translate(read(MAPPING.format(grpc=grpc))[0], TranslateSettings()).gateway.clusters
    assert cluster.tls is not None
    assert cluster.tls.alpn == offered


def test_what_is_not_spoken_is_named() -> None:
    for spoken, named in ((SPOKEN, "h3"), (HTTP1, "h2, h3")):
        found = Collector()
        settings = TlsSettings(alpn_protocols="h2,h3,http/1.1")
        alpn(settings, Origin(TLSContext.KIND, "d", "c"), found, "spec", spoken)
        assert [item.message for item in found.sorted()] == [f"{named} is not spoken here and not offered"]
