"""nginx with one worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load.machine import output
from benchmarks.load.process import TIMEOUT_SECONDS, Proxy, free_port

if TYPE_CHECKING:
    from benchmarks.load.site import Route

FIELDS = {
    "Host": "$host",
    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
    "X-Forwarded-Proto": "$scheme",
    "X-Request-ID": "$request_id",
}
UPGRADE = {"Upgrade": "$http_upgrade", "Connection": '"upgrade"'}


class Nginx(Proxy):
    name = "nginx"

    @classmethod
    def version(cls) -> str:
        return output("nginx", "-v").removeprefix("nginx version: ")

    def configure(self) -> list[str]:
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
    {self.forwarding()}
    server {{ listen 127.0.0.1:{free_port()}; location = /status {{ stub_status; }} }}
{self.servers()}
}}
""")
        return ["nginx", "-p", str(self.folder), "-c", str(file)]

    def servers(self) -> str:
        # With `http2`, a cleartext port of this version speaks nothing else, and a TLS port offers it by ALPN.
        listen, settings = f"listen 127.0.0.1:{self.port}{' http2' if self.site.prior_knowledge else ''}", ""
        if pair := self.site.certificate:
            listen += " ssl http2"
            settings = f"ssl_protocols TLSv1.3; ssl_certificate {pair.chain}; ssl_certificate_key {pair.key};"
        return "\n".join(
            f"server {{ {listen}; server_name {host}; {settings}\n{self.locations(routes)} }}"
            for host, routes in self.site.by_host().items()
        )

    def forwarding(self) -> str:
        module = "grpc" if self.site.grpc else "proxy"
        fields = FIELDS | (UPGRADE if self.site.websocket else {} if self.site.grpc else {"Connection": '""'})
        lines = [f"{module}_{phase}_timeout {TIMEOUT_SECONDS}s;" for phase in ("connect", "read", "send")]
        lines += [f"{module}_set_header {name} {value};" for name, value in fields.items()]
        if not self.site.grpc:
            lines += ["proxy_http_version 1.1;", "proxy_request_buffering off;", "proxy_max_temp_file_size 0;"]
        return "\n    ".join(lines)

    def locations(self, routes: list[Route]) -> str:
        if self.site.grpc:
            return "\n".join(f"location {route.prefix} {{ grpc_pass grpc://backend; }}" for route in routes)
        return "\n".join(f"location {route.prefix} {{ proxy_pass http://backend{route.rewrite}; }}" for route in routes)
