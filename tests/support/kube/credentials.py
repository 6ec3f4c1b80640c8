"""Who may talk to the API server: its certificate, tokens of the cluster's own parts, kubeconfigs for everyone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.certs import Authority
from tests.support.kube.network import NODE_ADDRESS
from tests.support.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SERVICE_ADDRESS = "10.96.0.1"
"""The first address of the Service range belongs to the API server itself."""
_NAMES = (LOOPBACK, NODE_ADDRESS, SERVICE_ADDRESS, "localhost", "kubernetes.default.svc", "kubernetes.default")
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """A kubeconfig file and the identity in it."""

    path: Path
    server: str
    token: str
    authority: Path


class Credentials:
    """Files of one control plane in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = folder / "ca.crt"
        self.certificate = folder / "server.crt"
        self.key = folder / "server.key"
        self.signer = folder / "serviceaccounts.key"
        self.tokens = folder / "tokens.csv"

    def write(self, users: Sequence[tuple[str, Sequence[str]]]) -> dict[str, str]:
        """Everything that the API server wants to know at its start; the token of each (user, groups)."""
        self._folder.mkdir()
        authority = Authority("kubernetes")
        leaf = authority.issue(*_NAMES)
        self.authority.write_text(authority.pem, encoding="ascii")
        self.certificate.write_text(leaf.chain, encoding="ascii")
        _private(self.key, leaf.key)
        signer = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        _private(self.signer, signer.decode())
        tokens = {user: secrets.token_urlsafe(24) for user, _ in users}
        lines = [f'{tokens[user]},{user},{user},"{",".join(groups)}"\n' for user, groups in users]
        _private(self.tokens, "".join(lines))
        return tokens

    def kubeconfig(self, name: str, server: str, token: str, namespace: str = "default") -> Kubeconfig:
        """For ``server`` (an URL) with a bearer token."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(self.authority)}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": "test", "user": name, "namespace": namespace}}],
            "current-context": name,
        }
        path = self._folder / f"{name}.kubeconfig"
        _private(path, yaml.safe_dump(document))
        return Kubeconfig(path, server, token, self.authority)


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")
