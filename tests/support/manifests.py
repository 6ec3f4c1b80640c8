"""Small builders for the objects that the tests configure, and their way into a folder."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType
    from pathlib import Path

Object = dict[str, Any]
GROUP = "getambassador.io/v3alpha1"


def _object(api: str, kind: str, name: str, namespace: str = "default", **rest: Any) -> Object:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **rest}


def listener(name: str, port: int, protocol: str = "HTTP", security: str = "XFP", **spec: Any) -> Object:
    base = {
        "port": port,
        "protocol": protocol,
        "securityModel": security,
        "hostBinding": {"namespace": {"from": "ALL"}},
    }
    return _object(GROUP, "Listener", name, spec={**base, **spec})


def host(name: str, hostname: str = "*", insecure: str = "Route", secret: str | None = None, **spec: Any) -> Object:
    base: Object = {"hostname": hostname, "requestPolicy": {"insecure": {"action": insecure}}}
    if secret is not None:
        base["tlsSecret"] = {"name": secret}
    return _object(GROUP, "Host", name, spec={**base, **spec})


def mapping(name: str, prefix: str, service: str, hostname: str = "*", **spec: Any) -> Object:
    """A Mapping that keeps the path (``rewrite: ""``) unless told otherwise."""
    return _object(
        GROUP, "Mapping", name, spec={"hostname": hostname, "prefix": prefix, "service": service, "rewrite": "", **spec}
    )


def module(**config: Any) -> Object:
    return _object(GROUP, "Module", "ambassador", spec={"config": config})


def rate_limit(name: str, domain: str, *limits: MappingType[str, Any]) -> Object:
    return _object(GROUP, "RateLimit", name, spec={"domain": domain, "limits": [dict(limit) for limit in limits]})


def tls_context(name: str, **spec: Any) -> Object:
    return _object(GROUP, "TLSContext", name, spec=spec)


def tls_secret(name: str, chain: str, key: str) -> Object:
    data = {"tls.crt": _base64(chain), "tls.key": _base64(key)}
    return _object("v1", "Secret", name, type="kubernetes.io/tls", data=data)


def ca_secret(name: str, ca: str) -> Object:
    data = {"ca.crt": _base64(ca), "tls.crt": _base64(ca)}
    return _object("v1", "Secret", name, type="Opaque", data=data)


def service(name: str, port: int, cluster_ip: str) -> Object:
    """A Service whose cluster address is really reachable: a loopback address."""
    return _object("v1", "Service", name, spec={"clusterIP": cluster_ip, "ports": [{"port": port, "targetPort": port}]})


def endpoints(name: str, address: str, port: int, *others: str) -> Object:
    """EndpointSlice of the Service ``name``; ``others`` are more endpoints on the same port."""
    item = _object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        f"{name}-1",
        addressType="IPv4",
        endpoints=[{"addresses": [one], "conditions": {"ready": True}} for one in (address, *others)],
        ports=[{"port": port, "protocol": "TCP"}],
    )
    item["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return item


def endpoint_resolver(name: str) -> Object:
    return _object(GROUP, "KubernetesEndpointResolver", name)


def ingress(name: str, hostname: str, path: str, path_type: str, backend: str, port: int, ingress_class: str) -> Object:
    target = {"service": {"name": backend, "port": {"number": port}}}
    rule = {"host": hostname, "http": {"paths": [{"path": path, "pathType": path_type, "backend": target}]}}
    return _object("networking.k8s.io/v1", "Ingress", name, spec={"ingressClassName": ingress_class, "rules": [rule]})


def ingress_class(name: str, controller: str) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": controller},
    }


def write(folder: Path, file: str, *objects: Object) -> None:
    """Put the objects into one file of the folder, in one step as an editor or a volume update does."""
    temporary = folder / f".{file}.new"
    temporary.write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
    os.replace(temporary, folder / file)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
