"""Envoy with one worker thread; its binary comes as a wheel."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.load.machine import output
from benchmarks.load.process import TIMEOUT_SECONDS, Proxy, free_port

if TYPE_CHECKING:
    from benchmarks.load.site import Pair, Route

TYPES = "type.googleapis.com/envoy.extensions"


class Envoy(Proxy):
    name = "envoy"

    @classmethod
    def binary(cls) -> Path | None:
        found = importlib.util.find_spec("envoy")
        file = Path(found.origin).parent / "_bin" / "envoy" if found and found.origin else None
        return file if file and file.exists() else None

    @classmethod
    def version(cls) -> str:
        binary = cls.binary()
        if binary is None:
            return ""
        words = output(str(binary), "--version").split("version:")[-1].strip().split("/")
        return f"envoy {words[1]} ({words[3]}, {words[4]})" if len(words) > 4 else "envoy"

    def configure(self) -> list[str]:
        chain: dict[str, Any] = {
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": self.manager()}]
        }
        if self.site.certificate:
            chain["transport_socket"] = self.transport_socket(self.site.certificate)
        configuration = {
            "admin": {"address": address(free_port())},
            "static_resources": {
                "listeners": [{"name": "edge", "address": address(self.port), "filter_chains": [chain]}],
                "clusters": [self.cluster()],
            },
        }
        file = self.folder / "envoy.json"
        file.write_text(json.dumps(configuration))
        words = [str(self.binary()), "--config-path", str(file), "--concurrency", "1", "--disable-hot-restart"]
        return [*words, "--log-level", "warning"]

    def manager(self) -> dict[str, Any]:
        """Without a codec type it takes HTTP/1.1 and HTTP/2, by ALPN or by the first bytes."""
        router = {"@type": f"{TYPES}.filters.http.router.v3.Router"}
        manager: dict[str, Any] = {
            "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "edge",
            "use_remote_address": True,
            "request_timeout": "10s",
            "stream_idle_timeout": "300s",
            "route_config": {
                "name": "routes",
                "virtual_hosts": [
                    {"name": host, "domains": [host], "routes": [self.route(route) for route in routes]}
                    for host, routes in self.site.by_host().items()
                ],
            },
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        }
        if self.site.websocket:
            manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
        return manager

    @staticmethod
    def route(route: Route) -> dict[str, Any]:
        action = {"cluster": "backend", "prefix_rewrite": route.rewrite, "timeout": f"{TIMEOUT_SECONDS}s"}
        return {"match": {"prefix": route.prefix}, "route": action}

    @staticmethod
    def transport_socket(pair: Pair) -> dict[str, Any]:
        certificate = {"certificate_chain": {"filename": str(pair.chain)}, "private_key": {"filename": str(pair.key)}}
        versions = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "tls_params": versions,
                    "tls_certificates": [certificate],
                    "alpn_protocols": ["h2", "http/1.1"],
                },
            },
        }

    def cluster(self) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": address(self.site.backend)}}
        cluster: dict[str, Any] = {
            "name": "backend",
            "type": "STATIC",
            "connect_timeout": f"{TIMEOUT_SECONDS}s",
            "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        if self.site.grpc:
            options = {
                "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
            name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
            cluster["typed_extension_protocol_options"] = {name: options}
        return cluster


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
