"""The upstream of every gateway: one nginx process on the load generator's core, which answers from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load.machine import MEBIBYTE
from benchmarks.load.process import Program, free_port

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "x" * 128
NEW = "new"

CONFIGURATION = """
worker_processes 1;
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 0;
    client_body_buffer_size 2m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    open_file_cache max=16;
    upstream self {{
        server {address}:{port};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address}:{port} backlog=4096 reuseport;
        location / {{ return 200 "{small}"; }}
        location /new {{ return 200 "{new}"; }}
        # `return` answers before the body is there, which upsets senders; a proxied request is answered after it.
        location = /upload {{
            proxy_pass http://self/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_pass_request_body off;
            proxy_method GET;
        }}
        location = /large {{ alias {folder}/large; }}
    }}
}}
"""


class Backend:
    def __init__(self, folder: Path, core: int | str, address: str = "127.0.0.1") -> None:
        folder.mkdir()
        (folder / "large").write_bytes(b"x" * MEBIBYTE)
        self.port = free_port()
        file = folder / "nginx.conf"
        file.write_text(CONFIGURATION.format(folder=folder, address=address, port=self.port, small=SMALL, new=NEW))
        self.program = Program(["nginx", "-p", str(folder), "-c", str(file)], core, folder / "log")
        self.program.wait_for(self.port, "/", "localhost", address=address)
