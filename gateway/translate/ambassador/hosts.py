"""Host objects: domain, cleartext policy, TLS.

Source of the rules: Emissary's ``irhost.py`` (features.md 1.2, "Host").
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from gateway.diagnostics import Collector, Origin
from gateway.resources import Host
from gateway.resources.hosts import HostSpec, InsecurePolicy, NameReference, RequestPolicy
from gateway.resources.model import Metadata
from gateway.translate.ambassador.matching import bare_host
from gateway.translate.ambassador.termination import host_termination

if TYPE_CHECKING:
    from gateway import ir
    from gateway.diagnostics import Diagnostic
    from gateway.resources import ResourceSet
    from gateway.translate.certificates import CertificateStore
    from gateway.translate.virtualhosts import InsecureAction

FALLBACK_SECRET = "fallback-self-signed-cert"  # noqa: S105 - the name of a Secret
DEFAULT_HOST = "default-host"
_ACTIONS: dict[str, InsecureAction] = {"Redirect": "redirect", "Reject": "reject", "Route": "route"}


@dataclass(frozen=True, slots=True, eq=False)
class HostPart:
    """A translated Host without its routes."""

    host: Host
    domain: str
    insecure_action: InsecureAction
    additional_port: int | None
    termination: ir.TlsTermination | None
    tls_failed: bool
    findings: tuple[Diagnostic, ...]
    closed: bool = False
    """Whether the Host cannot be followed: it has no routes but one that refuses."""

    def says_the_same(self, other: HostPart) -> bool:
        """Whether both are of one Host and nothing differs."""
        return self.host is other.host and _said(self) == _said(other)


def _said(part: HostPart) -> tuple[object, ...]:
    return tuple(getattr(part, item.name) for item in fields(part) if item.name != "host")


def default_host(namespace: str, store: CertificateStore) -> Host:
    """The Host that exists when there is none: ``*``, cleartext; with the fallback certificate TLS and redirect."""
    fallback = store.peek(namespace, FALLBACK_SECRET) is not None
    return Host(
        metadata=Metadata(name=DEFAULT_HOST, namespace=namespace),
        origin=Origin("Host", namespace, DEFAULT_HOST),
        spec=HostSpec(
            hostname="*",
            tls_secret=NameReference(name=FALLBACK_SECRET) if fallback else None,
            request_policy=None if fallback else RequestPolicy(insecure=InsecurePolicy(action="Route")),
        ),
    )


def translate_host(host: Host, resources: ResourceSet, store: CertificateStore) -> HostPart:
    """Translate one Host. A Host without its certificate keeps serving cleartext as its policy says."""
    if host.refused:
        return closed_host(host)
    found = Collector()
    spec, origin = host.spec, host.origin
    hostname = spec.hostname or "*"
    domain = bare_host(hostname)
    if domain != hostname.lower():
        found.notice("host-port", "the port is left out: the domain is served on every port", origin, "spec.hostname")
    policy = spec.request_policy.insecure if spec.request_policy is not None else InsecurePolicy()
    action = _ACTIONS[policy.action or "Redirect"]
    termination = host_termination(host, domain, resources, store, found)
    tls_failed = termination is None and found.has_errors
    if termination is None and not tls_failed and action == "redirect":
        found.notice(
            "redirect-without-tls",
            "cleartext is redirected to https, but the Host has no certificate",
            origin,
            "spec.requestPolicy.insecure.action",
            hint="set tlsSecret, or the action Route",
        )
    if spec.acme_provider is not None and spec.acme_provider.authority != "none":
        found.notice("acme-ignored", "certificates are not requested by the gateway", origin, "spec.acmeProvider")
    if spec.preview_url is not None and spec.preview_url.enabled:
        found.notice("preview-url-ignored", "preview URLs are not supported", origin, "spec.previewUrl")
    return HostPart(host, domain, action, policy.additional_port, termination, tls_failed, found.sorted())


def closed_host(host: Host) -> HostPart:
    """A Host that cannot be followed: its domain is refused, under its own and under a wider name."""
    return HostPart(host, bare_host(host.spec.hostname or "*"), "reject", None, None, True, (), closed=True)
