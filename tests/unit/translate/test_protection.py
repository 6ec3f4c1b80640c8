"""A FilterPolicy that cannot be applied closes at least the routes that it could match."""

from __future__ import annotations

import pytest

from gateway.translate import TranslateSettings, translate
from tests.golden.compact import read


def manifest(rule: str, hostname: str, prefix: str) -> str:
    return f"""
apiVersion: getambassador.io/v3alpha1
kind: FilterPolicy
metadata: {{name: p, namespace: d}}
spec: {{rules: [{{{rule}, filters: [{{name: jwt}}]}}]}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {{name: m, namespace: d}}
spec: {{hostname: "{hostname}", prefix: {prefix}, service: s}}
"""


def refused(rule: str, hostname: str, prefix: str) -> bool:
    resources, _ = read(manifest(rule, hostname, prefix))
    (host,) = translate(resources, TranslateSettings()).gateway.virtual_hosts
    (route,) = (item for item in host.routes if item.match.path.value == prefix)
    return route.choices[0].direct is not None


@pytest.mark.parametrize(
    ("rule", "hostname", "prefix", "closed"),
    [
        pytest.param("path: /admin/*", "a.x", "/admin/users/", True, id="star in the path"),
        pytest.param("path: /admin/*", "a.x", "/open/", False, id="another path"),
        pytest.param('path: "/adm?n/*"', "a.x", "/admin/", True, id="one character of the path"),
        pytest.param('path: "/adm[hi]n/*"', "a.x", "/admin/", True, id="set in the path"),
        pytest.param('path: "/{admin,root}/*"', "a.x", "/admin/", True, id="alternatives in the path"),
        pytest.param("path: '/a\\dmin/*'", "a.x", "/admin/", True, id="escape in the path"),
        pytest.param('path: "/adm?n/*"', "a.x", "/open/", False, id="another beginning of the path"),
        pytest.param("path: true", "a.x", "/admin/", True, id="no path at all"),
        pytest.param("path: admin", "a.x", "/admin/", True, id="no slash"),
        pytest.param("host: a.x", "a.x", "/", True, id="host"),
        pytest.param("host: A.x", "a.X", "/", True, id="host in capitals"),
        pytest.param("host: a.x", "b.x", "/", False, id="another host"),
        pytest.param('host: "*.x"', "a.x", "/", True, id="star in the host"),
        pytest.param('host: "*.x"', "a.y", "/", False, id="star in another host"),
        pytest.param('host: "a?.x"', "ab.x", "/", True, id="one character of the host"),
        pytest.param('host: "{a,b}.x"', "a.x", "/", True, id="alternatives in the host"),
        pytest.param('host: "[ab].x"', "a.x", "/", True, id="set in the host"),
        pytest.param("host: 'a\\.x'", "a.x", "/", True, id="escape in the host"),
        pytest.param('host: "*.{x,y}"', "a.x", "/", True, id="star and alternatives"),
        pytest.param('host: "a*.x"', "ab.x", "/", True, id="star inside of the host"),
        pytest.param('host: "a.x*"', "a.x", "/", True, id="star for nothing"),
        pytest.param('host: "a.x:8080"', "a.x", "/", True, id="port in the policy"),
        pytest.param('host: "a.x:*"', "a.x", "/", True, id="any port in the policy"),
        pytest.param("host: a.x", "a.x:8080", "/", True, id="port in the Mapping"),
        pytest.param('host: "a.x:8080"', "b.x", "/", False, id="port of another host"),
        pytest.param("host: 5", "a.x", "/", True, id="no host at all"),
    ],
)
def test_filter_policy(rule: str, hostname: str, prefix: str, closed: bool) -> None:
    assert refused(rule, hostname, prefix) is closed
