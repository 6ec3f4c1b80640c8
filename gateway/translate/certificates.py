"""Secrets become certificates and CA bundles.

Source of the rules: Emissary's TLSContext and Host documentation (features.md 1.2, "TLSContext", "Host").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway import ir
from gateway.resources import Secret
from gateway.translate.origins import ir_origin

if TYPE_CHECKING:
    from gateway.resources import ResourceSet

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


_NAMED: Final = re.compile(r"Secret \(?([^\s/]+)/")


class SecretError(ValueError):
    """A Secret that is missing or does not hold what is needed; the message never quotes its content, and says
    ``Secret NAMESPACE/NAME``, as every message about one has to (:func:`names_foreign_secret`)."""


def names_foreign_secret(text: str, namespace: str) -> bool:
    """Whether a message speaks of a Secret outside of ``namespace``. Whoever may read an object there need not know
    what Secrets of others hold, or that there are any."""
    return any(place != namespace for place in _NAMED.findall(text))


def secret_place(name: str, namespace: str, *, namespacing: bool = True) -> tuple[str, str]:
    """(namespace, name) that a TLSContext or Host means: with ``secret_namespacing`` the form ``name.namespace``."""
    if namespacing and "." in name:
        name, _, namespace = name.rpartition(".")
    return namespace, name


class CertificateStore:
    """Loads Secrets of one resource set once and remembers which certificates are used.

    ``known`` is that of the last pass: a Secret that is the same object gives the same certificate object.
    """

    __slots__ = ("_resources", "asked", "known", "used")

    def __init__(self, resources: ResourceSet, known: dict[str, tuple[Secret, ir.Certificate]]) -> None:
        self._resources = resources
        self.known = known
        self.used: dict[str, ir.Certificate] = {}
        self.asked: dict[tuple[str, str], Secret | None] = {}
        """Secrets that were looked for since somebody emptied it: what was made meanwhile depends on no others."""

    def find(self, namespace: str, name: str) -> Secret:
        """The Secret, or :class:`SecretError`."""
        secret = self.peek(namespace, name)
        if secret is None:
            raise SecretError(f"there is no Secret {namespace}/{name}")
        return secret

    def peek(self, namespace: str, name: str) -> Secret | None:
        """The Secret, if there is one."""
        secret = self.asked[namespace, name] = self._resources.get(Secret, namespace, name)
        return secret

    def load(self, secret: Secret) -> ir.Certificate:
        """The certificate and key of a Secret (``tls.crt``, ``tls.key``). It is not marked as used."""
        name = f"{secret.namespace}/{secret.name}"
        earlier = self.known.get(name)
        if earlier is not None and earlier[0] is secret:
            return earlier[1]
        certificate = ir.Certificate(name, ir_origin(secret.origin), chain=_chain(secret), private_key=_key(secret))
        self.known[name] = (secret, certificate)
        return certificate

    def use(self, certificate: ir.Certificate) -> str:
        """Mark a certificate as part of the gateway and return its name."""
        self.used[certificate.name] = certificate
        return certificate.name


def ca_bundle(secret: Secret) -> str:
    """The CA bundle of a Secret: ``ca.crt`` or, as in Emissary's ``ca_secret``, ``tls.crt``."""
    bundle = secret.ca_bundle
    if bundle is None or _CERTIFICATE not in bundle:
        raise SecretError(f"Secret {secret.namespace}/{secret.name} has no PEM certificate under ca.crt or tls.crt")
    return _text(bundle, secret)


def _chain(secret: Secret) -> str:
    """The text under ``tls.crt``, PEM or not: the data plane judges it and keeps the last good certificate."""
    if secret.certificate_chain is None:
        raise SecretError(f"Secret {secret.namespace}/{secret.name} has no certificate under tls.crt")
    return secret.certificate_chain.decode("ascii", "replace")


def _key(secret: Secret) -> str:
    """The text under ``tls.key``; see :func:`_chain`."""
    if secret.private_key is None:
        raise SecretError(f"Secret {secret.namespace}/{secret.name} has no private key under tls.key")
    return secret.private_key.decode("ascii", "replace")


def _text(pem: bytes, secret: Secret) -> str:
    try:
        return pem.decode("ascii")
    except UnicodeDecodeError:
        raise SecretError(f"Secret {secret.namespace}/{secret.name} holds PEM with characters beyond ASCII") from None
