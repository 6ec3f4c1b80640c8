"""nginx and HAProxy as plain reverse proxies on loopback, for comparison."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ChildProcess
from tests.support.rawclient import RawClient

if TYPE_CHECKING:
    from pathlib import Path

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {address}:{port};
    location / {{
      proxy_pass http://{address}:{upstream}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 5s
frontend front
  bind {address}:{port}
  default_backend back
backend back
  server upstream {address}:{upstream}
"""


def _program(name: str) -> str:
    """Path of a program; the test that needs it is skipped by name when the machine does not have it."""
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def _accepts(port: int) -> bool:
    try:
        RawClient(port).sock.close()
    except OSError:
        return False
    return True


class Rival:
    """A running reverse proxy in front of ``upstream``."""

    def __init__(self, name: str, folder: Path, upstream: int) -> None:
        self.port = free_port()
        text = NGINX if name == "nginx" else HAPROXY
        config = folder / f"{name}.conf"
        config.write_text(text.format(folder=folder, address=LOOPBACK, port=self.port, upstream=upstream))
        program = _program(name)
        arguments = (
            [program, "-e", "stderr", "-c", str(config)] if name == "nginx" else [program, "-db", "-f", str(config)]
        )
        # HAProxy answers SIGTERM with 143.
        self.process = ChildProcess(arguments, folder / f"{name}.log", expected_exit=None)
        self.process.wait_for(lambda: _accepts(self.port), "listening")

    def stop(self) -> None:
        self.process.terminate()
