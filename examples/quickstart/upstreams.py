"""Two small services to stand behind the gateway: each answers with its name and with what it was asked."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = {"stable": 18081, "canary": 18082}


class Echo(BaseHTTPRequestHandler):
    """Answers every request with JSON: the service's name, the path and the headers that arrived."""

    protocol_version = "HTTP/1.1"

    def __init__(self, service: str, *args: Any) -> None:
        self.service = service
        super().__init__(*args)

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        seen = {
            "service": self.service,
            "method": self.command,
            "path": self.path,
            "body": len(body),
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        payload = json.dumps(seen).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet: the gateway is what one looks at."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving() -> Iterator[None]:
    """Both services, as long as the block runs."""
    with ExitStack() as stack:
        for service, port in PORTS.items():
            server = stack.enter_context(Server(("127.0.0.1", port), partial(Echo, service)))
            threading.Thread(target=server.serve_forever, name=service, daemon=True).start()
            stack.callback(server.shutdown)
        yield


if __name__ == "__main__":
    with serving():
        print(", ".join(f"{name} on http://127.0.0.1:{port}" for name, port in PORTS.items()))
        threading.Event().wait()
