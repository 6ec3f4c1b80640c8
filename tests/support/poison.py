"""Objects of getambassador.io with one field that holds something it should not."""

from __future__ import annotations

from typing import Any

from gateway.resources.model import GETAMBASSADOR
from gateway.resources.module import ModuleConfig
from gateway.resources.registry import KINDS

Raw = dict[str, Any]

POISON: list[object] = [
    None,
    True,
    -1,
    2**70,
    1.5,
    "",
    "\0",
    "${X}",
    "x" * 5_000,
    "\ud800",
    [],
    [[]],
    ["\r\n"],
    {},
    {"no": "such"},
    {"a": {"b": [{"c": None}]}},
]
REQUIRED: dict[str, Raw] = {
    "Mapping": {"prefix": "/poisoned/", "service": "bad", "hostname": "*"},
    "TCPMapping": {"port": 9000, "service": "db:5432"},
    "Host": {"hostname": "poisoned.example"},
    "Listener": {"port": 9090, "protocol": "HTTP", "securityModel": "XFP", "hostBinding": {}},
    "AuthService": {"auth_service": "auth"},
    "RateLimitService": {"service": "limiter"},
    "TracingService": {"service": "collector", "driver": "zipkin"},
    "RateLimit": {"domain": "other", "limits": []},
    "TLSContext": {"hosts": ["poisoned.example"], "secret": "cert"},
}
CLOSING = {"AuthService", "RateLimitService"}
"""Kinds that may refuse the routes of others, and never change them otherwise."""
OPTIONS = {"Module"}
"""Kinds that say how all routes are served; only the number and the names of routes stay."""


def ambassador(kind: str, name: str, spec: object) -> Raw:
    meta = {"name": name, "namespace": "d"}
    return {"apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": meta, "spec": spec}


def fields(kind: str) -> list[str]:
    model = ModuleConfig if kind == "Module" else KINDS[GETAMBASSADOR, kind].body
    return list(model.__struct_encode_fields__)


def poisoned(kind: str, field: str, value: object) -> Raw:
    if kind == "Module":
        return ambassador("Module", "ambassador", {"config": {field: value}})
    return ambassador(kind, "poisoned", {**REQUIRED.get(kind, {}), field: value})
