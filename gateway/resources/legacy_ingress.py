"""Ingress of extensions/v1beta1 and networking.k8s.io/v1beta1, rewritten to the shape of v1."""

from __future__ import annotations

from collections.abc import Mapping as Map

Raw = dict[str, object]


def upgrade_ingress(spec: Raw) -> Raw:
    """Rewrite a v1beta1 ``spec``: ``backend`` to ``defaultBackend``, ``serviceName`` to ``service.name`` and so on.

    Rules of the Kubernetes API (``pkg/apis/networking/v1beta1/conversion.go``); a path without ``pathType`` is
    ``ImplementationSpecific``.
    """
    result = dict(spec)
    if "backend" in result:
        result["defaultBackend"] = _backend(result.pop("backend"))
    rules = result.get("rules")
    if isinstance(rules, list):
        result["rules"] = [_rule(rule) if isinstance(rule, Map) else rule for rule in rules]
    return result


def _rule(rule: Map[str, object]) -> Raw:
    http = rule.get("http")
    if not isinstance(http, Map) or not isinstance(paths := http.get("paths"), list):
        return dict(rule)
    return {**rule, "http": {**http, "paths": [_path(path) if isinstance(path, Map) else path for path in paths]}}


def _path(path: Map[str, object]) -> Raw:
    return {"pathType": "ImplementationSpecific", **path, "backend": _backend(path.get("backend"))}


def _backend(backend: object) -> object:
    if not isinstance(backend, Map) or "serviceName" not in backend:
        return backend
    rest = {key: value for key, value in backend.items() if key not in ("serviceName", "servicePort")}
    port = backend.get("servicePort")
    service: Raw = {"name": backend["serviceName"]}
    if port is not None:
        service["port"] = {"name": port} if isinstance(port, str) else {"number": port}
    return {**rest, "service": service}
