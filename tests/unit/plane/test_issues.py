"""What cannot be compiled is named by object, field, file and line, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.plane.issues import described
from gateway.plane.offline import Offline
from gateway.plane.pipeline import load
from gateway.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.diagnostics import Diagnostic

pytestmark = pytest.mark.native

HOSTS = """\
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: a}
spec: {hostname: a.example.com, requestPolicy: {insecure: {action: Route}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: b}
spec: {hostname: b.example.com, requestPolicy: {insecure: {action: Route}}}
"""


def compiled(folder: Path) -> list[Diagnostic]:
    update = load(Settings(paths=(str(folder),)))
    return list(described(Offline(update.sections).issues(), update))


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        pytest.param(
            r'prefix: "/a(\\d", prefix_regex: true',
            "spec.prefix",
            r'regex "/a(\d", at offset 2: unclosed group; the route is not served',
            id="path",
        ),
        pytest.param(
            'prefix: /, method: "(", method_regex: true', "spec.method", "the route is not served", id="method"
        ),
        pytest.param('prefix: /, regex_headers: {x-a: "("}', "spec.regex_headers.x-a", "regex", id="header"),
        pytest.param(
            'prefix: /, regex_query_parameters: {q: "("}', "spec.regex_query_parameters.q", "regex", id="parameter"
        ),
        pytest.param(
            r'prefix: /, regex_rewrite: {pattern: "/(\\d+)", substitution: "/x?id=\\1"}',
            "spec.regex_rewrite.substitution",
            r""""/x?id=\1" cannot be part of a path: a '?' starts a query, which a rewrite of the path cannot set; """
            "its requests are answered 500",
            id="substitution",
        ),
        pytest.param(
            'prefix: /, regex_rewrite: {pattern: "/(", substitution: "/"}',
            "spec.regex_rewrite.pattern",
            'regex "/("',
            id="pattern",
        ),
        pytest.param('prefix: /, rewrite: "/a b"', "spec.rewrite", "write %20", id="rewrite"),
        pytest.param('prefix: /, host_rewrite: "a b"', "spec.host_rewrite", "is not a host", id="host"),
        pytest.param(
            'prefix: /, host_redirect: true, regex_redirect: {pattern: "(", substitution: "/"}',
            "spec.regex_redirect.pattern",
            'regex "("',
            id="redirect",
        ),
        pytest.param(
            'prefix: /, add_request_headers: {content-length: "1"}',
            "spec.add_request_headers",
            "cannot be edited",
            id="add",
        ),
        pytest.param(
            'prefix: /, remove_response_headers: ["a b"]',
            "spec.remove_response_headers",
            "is not a header name",
            id="remove",
        ),
    ],
)
def test_a_part_of_a_mapping(tmp_path: Path, spec: str, field: str, words: str) -> None:
    mapping = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: x}\n"
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    (tmp_path / "x.yaml").write_text(f'# x\n{mapping}spec: {{hostname: "*", service: "127.0.0.1:9", {spec}}}\n')
    (found,) = compiled(tmp_path)
    assert (found.severity, found.code, str(found.origin), found.field) == (
        "error",
        "compile",
        "Mapping default/x",
        field,
    )
    assert (found.origin.path, found.line) == (f"{tmp_path}/x.yaml", 2)
    assert words in found.message
    assert "\\\\" not in found.message


def test_the_member_of_a_canary_group_that_is_wrong_is_named(tmp_path: Path) -> None:
    text = HOSTS
    for name, rewrite in (("good", "/"), ("wrong", "/?")):
        text += (
            f"---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: {name}}}\n"
            f'spec: {{hostname: "*", prefix: /, service: "127.0.0.1:9", weight: 50, rewrite: "{rewrite}"}}\n'
        )
    (tmp_path / "x.yaml").write_text(text)
    (found,) = compiled(tmp_path)
    assert (str(found.origin), found.field) == ("Mapping default/wrong", "spec.rewrite")


def test_a_secret_that_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        HOSTS.replace("hostname: a.example.com", "hostname: a.example.com, tlsSecret: {name: s}")
        + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/tls\n"
        'stringData: {tls.crt: "-----BEGIN CERTIFICATE-----\\nAAAA\\n", tls.key: "secret words"}\n'
    )
    host, secret = compiled(tmp_path)
    assert (str(host.origin), host.field, host.line) == ("Host default/a", "spec.tlsSecret", 1)
    assert "TLS handshakes for a.example.com are refused" in host.message
    assert (str(secret.origin), secret.field, secret.line) == ("Secret default/s", "data[tls.crt]", 11)
    assert "a BEGIN line without its END line" in secret.message
    assert "[67" not in secret.message
    assert "secret words" not in secret.message


def test_an_upstream_is_named_by_those_who_use_it(tmp_path: Path) -> None:
    text = HOSTS + (
        "---\napiVersion: getambassador.io/v3alpha1\nkind: TLSContext\nmetadata: {name: c}\nspec: {ca_secret: s}\n"
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
        'stringData: {ca.crt: "-----BEGIN CERTIFICATE-----\\nAAAA\\n"}\n'
    )
    for name in "uv":
        text += (
            f"---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: {name}}}\n"
            f'spec: {{hostname: "*", prefix: /{name}, service: "https://127.0.0.1:9", tls: c}}\n'
        )
    (tmp_path / "x.yaml").write_text(text)
    (found,) = compiled(tmp_path)
    assert (str(found.origin), found.field) == ("Mapping default/u", "spec.tls")
    assert "1 more object uses this upstream" in found.message


def test_a_path_of_an_ingress(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n"
        "spec:\n  rules:\n"
        "  - host: a.b\n    http:\n      paths:\n"
        "      - {path: /, pathType: Exact, backend: {service: {name: s, port: {number: 80}}}}\n"
    )
    update = load(Settings(paths=(str(tmp_path),)))
    issue = ("virtual_host/a.b", "routes[0].match.path", "no")
    (found,) = described([issue], update)
    assert (str(found.origin), found.field, found.line) == ("Ingress default/i", "spec.rules[0].http.paths[0].path", 1)


def test_what_cannot_be_found_keeps_the_name_of_its_section(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(HOSTS)
    update = load(Settings(paths=(str(tmp_path),)))
    found = described(
        [("filter/f", "", "gone"), ("virtual_host/none", "routes[9]", "odd"), ("options/main", "server_name", "bad")],
        update,
    )
    assert sorted((str(one.origin), one.field, one.message) for one in found) == [
        ("Module ambassador", "spec.config.server_name", "bad"),
        ("filter f", "", "gone"),
        ("virtual_host none", "routes[9]", "odd"),
    ]
