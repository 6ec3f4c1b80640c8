"""toxiproxy (https://github.com/Shopify/toxiproxy): a TCP proxy that behaves as badly as it is told to."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from tests.support.goprograms import built
from tests.support.ports import LOOPBACK
from tests.support.processes import ChildProcess

if TYPE_CHECKING:
    from pathlib import Path


class Toxiproxy(ChildProcess):
    """The running server; its proxies exist as long as it does."""

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        program = built("github.com/Shopify/toxiproxy/v2/cmd/server", "toxiproxy-server")
        super().__init__([str(program), "-host", LOOPBACK, "-port", str(port)], folder / "toxiproxy.log")
        self.wait_for(self._answers, "answers")

    def proxy(self, name: str, listen: str, upstream: str) -> None:
        """Listen on an address and pass everything on to another one."""
        self._call("POST", "/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})

    def toxic(self, proxy: str, kind: str, stream: str = "downstream", **attributes: int) -> None:
        """Do something bad to all connections of a proxy, on their way to the client ("downstream") or to the server.

        Times are in milliseconds, rates in KB/s, amounts in bytes.
        """
        body = {"type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}
        self._call("POST", f"/proxies/{proxy}/toxics", body)

    def enable(self, proxy: str, enabled: bool) -> None:
        """A proxy that is not enabled refuses connections, and those that it has end."""
        self._call("POST", f"/proxies/{proxy}", {"enabled": enabled})

    def heal(self) -> None:
        """All proxies are enabled and do nothing bad."""
        self._call("POST", "/reset")

    def _answers(self) -> bool:
        try:
            self._call("GET", "/version")
        except OSError:
            return False
        return True

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=10)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 300:
            raise AssertionError(f"toxiproxy: {method} {path}: {response.status} {text}")
