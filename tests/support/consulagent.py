"""A real Consul in development mode: one server, in memory, on loopback. Nothing of it survives its end.

It is v1.14, the last one whose source, with all that it needs, is open and known to Go's checksum database; the
endpoints that resolvers use have not changed since.
"""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.support.goprograms import PEERS, built
from tests.support.ports import LOOPBACK, free_ports
from tests.support.processes import ChildProcess

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

BUILD_SECONDS = 1500
"""It is large: four to eight minutes on two busy cores, once per machine."""
_FLAGS = ("-p=2", "-ldflags=-s -w")


def consul_program() -> Path:
    return built(
        "github.com/hashicorp/consul", "consul", PEERS / "consul", sources=None, flags=_FLAGS, seconds=BUILD_SECONDS
    )


class ConsulAgent(ChildProcess):
    """Answers when the constructor returns. ``port`` may be that of an agent that has ended."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        token: str = "",
        config: dict[str, Any] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``token``: what may do everything; without it nobody needs one. ``tls``: how to reach an agent whose
        ``config`` gives it certificates."""
        folder.mkdir()
        chosen, *others = free_ports(4)
        self.port = port or chosen
        self._tls, self._token = tls, token
        names = ("server", "serf_lan", "serf_wan")
        ports: dict[str, int] = {"dns": -1, "grpc": -1, "grpc_tls": -1, **dict(zip(names, others, strict=True))}
        ports.update({"https": self.port, "http": -1} if tls else {"http": self.port})
        settings: dict[str, Any] = {"ports": ports, "bind_addr": LOOPBACK, "client_addr": LOOPBACK, **(config or {})}
        if token:
            acl = {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": token, "agent": token}}
            settings["acl"] = acl
        (folder / "consul.json").write_text(json.dumps(settings), encoding="ascii")
        program = consul_program()
        super().__init__(
            [str(program), "agent", "-dev", "-config-file", str(folder / "consul.json")], folder / "consul.log", None
        )
        self.wait_for(self._has_leader, "has a leader")

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def register(self, service: str, port: int, *, instance: str = "", passing: bool = True, address: str = "") -> None:
        """An instance of a service on loopback, or somewhere else, with one check."""
        self.ask(
            "PUT",
            "/v1/agent/service/register",
            {
                "Name": service,
                "ID": instance or service,
                "Address": address or LOOPBACK,
                "Port": port,
                "Check": {
                    "CheckID": f"check-{instance or service}",
                    "TTL": "1h",
                    "Status": "passing" if passing else "critical",
                },
            },
        )

    def deregister(self, instance: str) -> None:
        self.ask("PUT", f"/v1/agent/service/deregister/{instance}")

    def check(self, instance: str, *, passing: bool) -> None:
        self.ask("PUT", f"/v1/agent/check/{'pass' if passing else 'fail'}/check-{instance}")

    def create_policy(self, name: str, rules: str) -> str:
        """A token with a policy of its own."""
        self.ask("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
        return str(self.ask("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})["SecretID"])

    def ask(self, method: str, path: str, body: object = None) -> Any:
        scheme = "https" if self._tls else "http"
        request = urllib.request.Request(
            f"{scheme}://{self.address}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Consul-Token": self._token} if self._token else {},
        )
        with urllib.request.urlopen(request, timeout=10, context=self._tls) as answer:
            content = answer.read()
        return json.loads(content) if content.strip() else None

    def _has_leader(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if not self.ask("GET", "/v1/status/leader"):
                return False
            # The node itself is in the catalogue a moment later.
            return bool(self.ask("GET", "/v1/catalog/nodes"))
        return False
