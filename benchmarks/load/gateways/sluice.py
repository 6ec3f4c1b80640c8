"""Sluice itself, and another checkout of it: a folder of manifests and one worker."""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.load.machine import output
from benchmarks.load.process import Proxy, free_port
from benchmarks.load.site import Route

BUILD_FACTS = "import json, gateway._native as native; print(json.dumps(dict(native.build_info())))"


class Sluice(Proxy):
    name = "sluice"
    checkout: ClassVar[Path] = Path(__file__).resolve().parents[3]
    python: ClassVar[Path] = Path(sys.executable)

    @classmethod
    def version(cls) -> str:
        if importlib.util.find_spec("gateway._native") is None:
            return ""
        return f"sluice {importlib.metadata.version('sluice-gateway')}"

    @classmethod
    def commit(cls) -> str:
        git = ("git", "-C", str(cls.checkout))
        changed = "with changes" if output(*git, "status", "--porcelain", "-uno") else "unchanged"
        return f"{output(*git, 'rev-parse', '--short', 'HEAD')}, {changed}"

    @classmethod
    def build_facts(cls) -> dict[str, str]:
        """How the compiled module was built; a debug build is refused, since its figures would mean nothing."""
        words = [str(cls.python), "-c", BUILD_FACTS]
        done = subprocess.run(words, cwd=cls.checkout, capture_output=True, text=True, check=True, timeout=60)
        facts: dict[str, str] = json.loads(done.stdout)
        if facts.get("profile") != "release":
            sys.exit(f"the compiled module of {cls.name} is a {facts.get('profile')} build: run `make build` first")
        return facts

    def configure(self) -> list[str]:
        manifests = self.folder / "manifests"
        manifests.mkdir()
        write(manifests / "00-edge.yaml", [self.listener(), *self.secret()])
        for host, routes in self.site.by_host().items():
            write(manifests / f"{host}.yaml", [self.host(host), *map(self.mapping, routes)])
        words = [
            str(self.python.with_name("sluice")),
            "run",
            str(manifests),
            "--workers",
            "1",
            "--bind-address",
            "127.0.0.1",
        ]
        return [*words, "--admin-address", f"127.0.0.1:{free_port()}", "--log-level", "warning"]

    def listener(self) -> dict[str, Any]:
        spec = {
            "port": self.port,
            "protocol": "HTTPS" if self.site.tls else "HTTP",
            "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "ALL"}},
        }
        return resource("Listener", "edge", spec)

    def host(self, name: str) -> dict[str, Any]:
        spec: dict[str, Any] = {"hostname": name, "requestPolicy": {"insecure": {"action": "Route"}}}
        if self.site.tls:
            # The generator names no server, so that the certificate has to be the listener's default.
            spec |= {"hostname": "*", "tlsSecret": {"name": "edge"}}
        return resource("Host", name.replace(".", "-"), spec)

    def secret(self) -> list[dict[str, Any]]:
        if (pair := self.site.certificate) is None:
            return []
        files = {"tls.crt": pair.chain, "tls.key": pair.key}
        data = {name: base64.b64encode(file.read_bytes()).decode() for name, file in files.items()}
        metadata = {"name": "edge", "namespace": "default"}
        return [{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}]

    def mapping(self, route: Route) -> dict[str, Any]:
        name = f"{route.host}{route.prefix}".replace(".", "-").replace("/", "-").strip("-")
        spec: dict[str, Any] = {
            "hostname": route.host,
            "prefix": route.prefix,
            "rewrite": route.rewrite,
            "service": f"127.0.0.1:{self.site.backend}",
        }
        if self.site.grpc:
            spec["grpc"] = True
        if self.site.websocket:
            spec["allow_upgrade"] = ["websocket"]
        return resource("Mapping", name, spec)

    def change(self, route: Route, rewrite: str) -> None:
        """Replace the file of one host, with another rewrite for one route: atomically, as an editor or a sync does."""
        routes = [
            Route(other.host, other.prefix, rewrite) if other == route else other
            for other in self.site.by_host()[route.host]
        ]
        file = self.folder / "manifests" / f"{route.host}.yaml"
        fresh = self.folder / "fresh.yaml"
        write(fresh, [self.host(route.host), *map(self.mapping, routes)])
        fresh.replace(file)


def other_checkout(path: Path) -> type[Sluice]:
    """Another checkout, with a release build in its ``.venv``, as a gateway of its own."""

    class Previous(Sluice):
        name = "sluice-previous"
        checkout = path.resolve()
        python = path.resolve() / ".venv" / "bin" / "python"

        @classmethod
        def version(cls) -> str:
            return f"sluice of commit {cls.commit()}"

    return Previous


def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def write(file: Path, objects: list[dict[str, Any]]) -> None:
    """JSON documents are YAML documents too, one line each."""
    file.write_text("".join(f"---\n{json.dumps(value)}\n" for value in objects))
