"""HAProxy with one thread."""

from __future__ import annotations

from benchmarks.load.machine import output
from benchmarks.load.process import TIMEOUT_SECONDS, Proxy


class Haproxy(Proxy):
    name = "haproxy"

    @classmethod
    def version(cls) -> str:
        return " ".join(output("haproxy", "-v").split()[:3])

    def configure(self) -> list[str]:
        table = self.folder / "routes.map"
        table.write_text("".join(f"{route.host}{route.prefix} backend\n" for route in self.site.routes))
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
    timeout tunnel 3600s
    timeout http-request 10s
    timeout http-keep-alive 3600s
    timeout connect {TIMEOUT_SECONDS}s
    timeout server {TIMEOUT_SECONDS}s
frontend edge
    {self.bind()}
    option forwardfor
    unique-id-format %{{+X}}o\ %ci%cp%fi%fp%Ts%rt%pid
    unique-id-header X-Request-ID
    http-request set-header X-Forwarded-Proto {"https" if self.site.tls else "http"}
    use_backend %[base,map_beg({table},none)]
backend backend
    {self.rewrite()}
    server only 127.0.0.1:{self.site.backend} pool-max-conn -1{" proto h2" if self.site.grpc else ""}
backend none
    http-request return status 404
""")
        return ["haproxy", "-f", str(file)]

    def bind(self) -> str:
        words = f"bind 127.0.0.1:{self.port} backlog 4096"
        if pair := self.site.certificate:
            return f"{words} ssl crt {pair.both} ssl-min-ver TLSv1.3 prefer-client-ciphers alpn h2,http/1.1"
        return f"{words} proto h2" if self.site.prior_knowledge else words

    def rewrite(self) -> str:
        route = self.site.routes[0]
        if route.rewrite == route.prefix:
            return ""
        # All prefixes are equally long, so that a constant offset does what would otherwise take a regular expression.
        return f"http-request set-path %[path,bytes({len(route.prefix) - 1})]"
