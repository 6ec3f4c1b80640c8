"""The gateways beside Sluice, each configured as its own documentation advises, with the same features on.

All of them route by host and prefix, replace the prefix, add X-Forwarded-For, X-Forwarded-Proto and X-Request-ID, apply
timeouts, count, keep connections to the backend open, and write no access log.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.load.machine import output
from benchmarks.load.process import Proxy, free_port

if TYPE_CHECKING:
    from benchmarks.load.site import Pair, Route

TIMEOUT_SECONDS = 3


class Nginx(Proxy):
    name = "nginx"

    @classmethod
    def version(cls) -> str:
        return output("nginx", "-v").removeprefix("nginx version: ")

    def configure(self) -> list[str]:
        listen, settings = f"listen 127.0.0.1:{self.port}", ""
        if pair := self.site.certificate:
            listen += " ssl"
            settings = f"ssl_protocols TLSv1.3; ssl_certificate {pair.chain}; ssl_certificate_key {pair.key};"
        servers = "\n".join(
            f"server {{ {listen}; server_name {host}; {settings}\n{self.locations(routes)} }}"
            for host, routes in self.site.by_host().items()
        )
        file = self.folder / "nginx.conf"
        file.write_text(f"""
worker_processes 1;
daemon off;
user root;
pid {self.folder}/pid;
error_log {self.folder}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server_names_hash_max_size 4096;
    server_names_hash_bucket_size 128;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 0;
    client_body_temp_path {self.folder}/body;
    proxy_temp_path {self.folder}/proxy;
    upstream backend {{
        server 127.0.0.1:{self.site.backend};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_connect_timeout {TIMEOUT_SECONDS}s;
    proxy_read_timeout {TIMEOUT_SECONDS}s;
    proxy_send_timeout {TIMEOUT_SECONDS}s;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Request-ID $request_id;
    server {{ listen 127.0.0.1:{free_port()}; location = /status {{ stub_status; }} }}
{servers}
}}
""")
        return ["nginx", "-p", str(self.folder), "-c", str(file)]

    @staticmethod
    def locations(routes: list[Route]) -> str:
        return "\n".join(f"location {route.prefix} {{ proxy_pass http://backend{route.rewrite}; }}" for route in routes)


class Haproxy(Proxy):
    name = "haproxy"

    @classmethod
    def version(cls) -> str:
        return " ".join(output("haproxy", "-v").split()[:3])

    def configure(self) -> list[str]:
        bind = f"bind 127.0.0.1:{self.port} backlog 4096"
        if pair := self.site.certificate:
            bind += f" ssl crt {pair.both} ssl-min-ver TLSv1.3"
        table = self.folder / "routes.map"
        table.write_text("".join(f"{route.host}{route.prefix} backend\n" for route in self.site.routes))
        # All prefixes are equally long, so that a constant offset does what would otherwise take a regular expression.
        offset = len(self.site.routes[0].prefix) - 1
        file = self.folder / "haproxy.cfg"
        file.write_text(rf"""
global
    nbthread 1
    maxconn 4000
    stats socket {self.folder}/stats
defaults
    mode http
    no log
    option http-keep-alive
    http-reuse always
    timeout client 3600s
    timeout http-request 10s
    timeout http-keep-alive 3600s
    timeout connect {TIMEOUT_SECONDS}s
    timeout server {TIMEOUT_SECONDS}s
frontend edge
    {bind}
    option forwardfor
    unique-id-format %{{+X}}o\ %ci%cp%fi%fp%Ts%rt%pid
    unique-id-header X-Request-ID
    http-request set-header X-Forwarded-Proto {"https" if self.site.tls else "http"}
    use_backend %[base,map_beg({table},none)]
backend backend
    http-request set-path %[path,bytes({offset})]
    server only 127.0.0.1:{self.site.backend} pool-max-conn -1
backend none
    http-request return status 404
""")
        return ["haproxy", "-f", str(file)]


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
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
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
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }
            ],
        }
        chain: dict[str, Any] = {
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
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

    @staticmethod
    def route(route: Route) -> dict[str, Any]:
        action = {"cluster": "backend", "prefix_rewrite": route.rewrite, "timeout": f"{TIMEOUT_SECONDS}s"}
        return {"match": {"prefix": route.prefix}, "route": action}

    @staticmethod
    def transport_socket(pair: Pair) -> dict[str, Any]:
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "tls_params": {
                        "tls_minimum_protocol_version": "TLSv1_3",
                        "tls_maximum_protocol_version": "TLSv1_3",
                    },
                    "tls_certificates": [
                        {
                            "certificate_chain": {"filename": str(pair.chain)},
                            "private_key": {"filename": str(pair.key)},
                        }
                    ],
                },
            },
        }

    def cluster(self) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": address(self.site.backend)}}
        return {
            "name": "backend",
            "type": "STATIC",
            "connect_timeout": f"{TIMEOUT_SECONDS}s",
            "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
