"""Only what is ours is asked for, and it is found out again only when it may have changed."""

from __future__ import annotations

import yaml

from gateway.resources import ResourceSet
from gateway.resources.reader import read_object
from gateway.translate import TranslateSettings
from gateway.translate.references import References

OBJECTS = """\
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: a, namespace: one}
spec: {hostname: a, tlsSecret: {name: own}, tls: {ca_secret: ca.two, crl_secret: crl}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: b, namespace: one}
spec: {hostname: b, tlsSecret: {name: far, namespace: two}}
---
apiVersion: getambassador.io/v3alpha1
kind: TLSContext
metadata: {name: c, namespace: one}
spec: {secret: dotted.name, ca_secret: ca.name, secret_namespacing: false}
---
apiVersion: getambassador.io/v3alpha1
kind: TLSContext
metadata: {name: d, namespace: one}
spec: {secret: dotted.name}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ours, namespace: three}
spec: {ingressClassName: sluice, tls: [{hosts: [x], secretName: ours}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: theirs, namespace: three}
spec: {ingressClassName: nginx, tls: [{hosts: [x], secretName: theirs}]}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: m, namespace: one}
spec: {hostname: "*", prefix: /, service: s}
"""


def objects(text: str) -> ResourceSet:
    found = [read_object(document) for document in yaml.safe_load_all(text)]
    assert not [one for result in found for one in result.diagnostics]
    return ResourceSet.build(item for result in found for item in result.resources)


def test_every_way_to_name_a_secret() -> None:
    found = References(TranslateSettings(namespace="gateways")).of(objects(OBJECTS))
    assert {(key.kind_group, key.namespace, key.name) for key in found} == {
        ("Secret", "gateways", "fallback-self-signed-cert"),
        ("Secret", "one", "own"),
        ("Secret", "two", "ca"),
        ("Secret", "one", "crl"),
        ("Secret", "two", "far"),
        ("Secret", "one", "dotted.name"),
        ("Secret", "one", "ca.name"),
        ("Secret", "name", "dotted"),
        ("Secret", "three", "ours"),
    }


def test_a_change_of_what_cannot_refer_costs_nothing() -> None:
    references = References(TranslateSettings())
    before = objects(OBJECTS)
    found = references.of(before)
    (mapping,) = [item for item in before if item.kind == "Mapping"]
    assert references.of(before.replaced({mapping.key: None}, {})) is found
    host = next(item for item in before if item.name == "b")
    after = references.of(before.replaced({host.key: None}, {}))
    assert {key.name for key in found - after} == {"far"}
