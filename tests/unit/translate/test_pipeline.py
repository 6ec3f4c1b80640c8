"""What holds for every translation: isolation of faults, identity of what did not change, no keys in dumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from gateway.ir import Encoder, encode, redacted
from gateway.resources import Mapping, ResourceSet
from gateway.translate import Memo, TranslateSettings, pipeline, translate
from gateway.translate.ambassador import grouping, groups, matching, members
from tests.golden.compact import read

if TYPE_CHECKING:
    from collections.abc import Mapping as Map
    from collections.abc import Sequence

    from gateway.translate.clusters import ClusterResult

SETTINGS = TranslateSettings()
TWO = """
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: h, namespace: d}
spec: {hostname: a.example.com, tlsSecret: {name: cert}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: i, namespace: d}
spec: {hostname: b.example.com}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: bad, namespace: d}
spec: {hostname: a.example.com, prefix: /bad/, service: bad}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: good, namespace: d}
spec: {hostname: b.example.com, prefix: /good/, service: good}
---
apiVersion: v1
kind: Secret
metadata: {name: cert, namespace: d}
stringData:
  tls.crt: "-----BEGIN CERTIFICATE-----\\nMA==\\n-----END CERTIFICATE-----\\n"
  tls.key: "-----BEGIN PRIVATE KEY-----\\nc2VjcmV0\\n-----END PRIVATE KEY-----\\n"
"""


def test_a_crash_costs_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    real = matching.build_matching

    def crash(spec: object, *rest: object) -> object:
        if getattr(spec, "service", "") == "bad":
            raise RuntimeError("c2VjcmV0")
        return real(spec, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(members, "build_matching", crash)
    result = translate(read(TWO)[0], SETTINGS)
    routes = [route.name for host in result.gateway.virtual_hosts for route in host.routes]
    assert routes == ["mapping/d/good"]
    (found,) = [item for item in result.diagnostics if item.code == "translation-crash"]
    assert found.origin.name == "bad"
    assert "RuntimeError" in found.message
    assert "c2VjcmV0" not in str(found)


def test_unchanged_parts_keep_their_identity() -> None:
    resources, _ = read(TWO)
    memo = Memo()
    before = translate(resources, SETTINGS, memo).gateway
    changed, _ = read(TWO.replace("prefix: /good/", "prefix: /better/"))
    newer = changed.get(Mapping, "d", "good")
    assert newer is not None
    mixed = ResourceSet.build([newer if item.key == newer.key else item for item in resources], previous=resources)
    after = translate(mixed, SETTINGS, memo).gateway
    old, new = ({host.name: host for host in item.virtual_hosts} for item in (before, after))
    assert old["a.example.com"] is new["a.example.com"]
    assert old["b.example.com"] is not new["b.example.com"]
    assert before.clusters[0] is after.clusters[0]
    assert before.certificates[0] is after.certificates[0]
    assert all(a is b for a, b in zip(before.listeners, after.listeners, strict=True))


def test_only_what_changed_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    many = TWO + "".join(
        f"---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: m{number}, namespace: d}}\n"
        f"spec: {{hostname: a.example.com, prefix: /{number}/, service: s{number}}}\n"
        for number in range(20)
    )
    resources, _ = read(many)
    memo = Memo()
    before = translate(resources, SETTINGS, memo)
    built: list[str] = []
    real = groups.build_group

    def build(parts: Sequence[members.Member], clusters: Map[str, ClusterResult]) -> groups.Group:
        built.append(parts[0].name)
        return real(parts, clusters)

    monkeypatch.setattr(grouping, "build_group", build)
    changed, _ = read(many.replace("prefix: /7/, service: s7", "prefix: /seven/, service: other"))
    newer = changed.get(Mapping, "d", "m7")
    assert newer is not None
    edited = resources.replaced({newer.key: newer}, {})
    after = translate(edited, SETTINGS, memo)
    assert built == ["mapping/d/m7"]
    assert after == translate(edited, SETTINGS)
    names = [[cluster.name for cluster in result.gateway.clusters] for result in (before, after)]
    assert [set(names[0]) - set(names[1]), set(names[1]) - set(names[0])] == [{"s7.d:80"}, {"other.d:80"}]
    assert set(memo.clusters) == set(names[1])
    assert translate(resources, SETTINGS, memo) == before


RESOLVED = """---
apiVersion: getambassador.io/v3alpha1
kind: KubernetesEndpointResolver
metadata: {name: endpoint, namespace: d}
---
apiVersion: v1
kind: Service
metadata: {name: good, namespace: d}
spec: {ports: [{port: 80}]}
"""
SLICE = """---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: good-1, namespace: d, labels: {kubernetes.io/service-name: good}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1]}]
ports: [{port: 8080}]
"""


def test_a_change_of_endpoints_looks_at_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TWO.replace("service: good}", "service: good, resolver: endpoint}") + RESOLVED + SLICE
    resources, _ = read(text)
    memo = Memo()
    before = translate(resources, SETTINGS, memo)
    (newer,) = (item for item in read(SLICE.replace("10.1.0.1", "10.1.0.2"))[0])
    moved = resources.replaced({newer.key: newer}, {})
    with monkeypatch.context() as patch:
        patch.setattr(grouping, "build_group", lambda *_: 1 // 0)
        after = translate(moved, SETTINGS, memo)
    assert after == translate(moved, SETTINGS)
    assert all(old is new for old, new in zip(before.gateway.virtual_hosts, after.gateway.virtual_hosts, strict=True))
    endpoints = [
        [endpoint.address for cluster in result.gateway.clusters for endpoint in cluster.endpoints]
        for result in (before, after)
    ]
    assert endpoints == [["10.1.0.1"], ["10.1.0.2"]]
    # Without its endpoints the cluster says something to the route that uses it.
    gone = moved.replaced({newer.key: None}, {})
    assert translate(gone, SETTINGS, memo) == translate(gone, SETTINGS)
    assert translate(resources, SETTINGS, memo) == before


def test_a_failed_pass_leaves_no_half_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    resources, _ = read(TWO)
    memo = Memo()
    translate(resources, SETTINGS, memo)
    changed, _ = read(TWO.replace("prefix: /good/, service: good", "prefix: /better/, service: better"))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "build_listener", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            translate(changed, SETTINGS, memo)
    assert translate(changed, SETTINGS, memo) == translate(changed, SETTINGS)


def test_sections_are_canonical_and_remembered() -> None:
    gateway = translate(read(TWO)[0], SETTINGS).gateway
    again = translate(read(TWO)[0], SETTINGS).gateway
    assert [(item.key, item.digest) for item in encode(gateway)] == [(item.key, item.digest) for item in encode(again)]
    encoder = Encoder()
    first = encoder.encode(gateway)
    assert all(a is b for a, b in zip(first, encoder.encode(gateway), strict=True))
    assert {item.key.partition("/")[0] for item in first} == {
        "options",
        "listener",
        "virtual_host",
        "cluster",
        "certificate",
    }


def test_private_keys_are_redacted() -> None:
    gateway = translate(read(TWO)[0], SETTINGS).gateway
    assert b"c2VjcmV0" not in orjson.dumps(redacted(gateway))
    assert "c2VjcmV0" not in repr(gateway)
    assert "c2VjcmV0" not in repr(encode(gateway))
