"""TLS towards upstreams, by ``https://`` or a TLSContext without hosts.

Emissary verifies an upstream only when a CA is configured. Here verification is the default, with the system roots;
the annotation ``getambassador.io/upstream-tls-verify: "false"`` on the Mapping turns it off in the open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import ir
from gateway.diagnostics import Origin
from gateway.translate.certificates import SecretError, ca_bundle, secret_place
from gateway.translate.tlssettings import HTTP1, alpn, report_unused_settings, versions

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import Secret, TLSContext
    from gateway.translate.certificates import CertificateStore

VERIFY_ANNOTATION = "getambassador.io/upstream-tls-verify"
_NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class TlsOutcome:
    """The settings, or why the upstream must not be reached at all."""

    tls: ir.UpstreamTls | None = None
    certificate: ir.Certificate | None = None
    failure: str = ""


def upstream_tls(
    server_name: str,
    *,
    verify: bool,
    http2: bool,
    wanted: str,
    context: TLSContext | None,
    secret: Secret | None,
    ca_secret: Secret | None,
    store: CertificateStore,
    found: Collector,
) -> TlsOutcome:
    """Build the settings. ``wanted`` is the name of the TLSContext that was asked for, empty for plain ``https://``.

    HTTP/2 over TLS is agreed on by ALPN (RFC 9113, section 3.2), so nothing else is offered where it is asked for.
    """
    offered: tuple[str, ...] = ("h2",) if http2 else ()
    if not wanted:
        _tell(server_name, verify=verify, authority=None, found=found)
        return TlsOutcome(ir.UpstreamTls(server_name, verify=verify, alpn=offered))
    if context is None:
        return TlsOutcome(failure=f"there is no TLSContext {wanted!r}")
    if context.refused:
        return TlsOutcome(failure=f"TLSContext {wanted!r} cannot be read")
    spec = context.spec
    if spec.cert_chain_file or spec.private_key_file or spec.cacert_chain_file:
        return TlsOutcome(failure=f"TLSContext {wanted!r} names files; certificates are taken from Secrets only")
    if spec.crl_secret:
        return TlsOutcome(failure=f"TLSContext {wanted!r} has a crl_secret; revocation lists are not supported")
    certificate: ir.Certificate | None = None
    try:
        if spec.secret:
            if secret is None:
                raise SecretError(f"there is no Secret {_place(context, spec.secret)}")
            certificate = store.load(secret)
        if spec.ca_secret and ca_secret is None:
            raise SecretError(f"there is no Secret {_place(context, spec.ca_secret)}")
        authority = ca_bundle(ca_secret) if ca_secret is not None else None
    except SecretError as error:
        return TlsOutcome(failure=f"TLSContext {wanted!r}: {error}")
    _tell(spec.sni or server_name, verify=verify, authority=authority, found=found)
    unused = ("cipher_suites", "ecdh_curves", "redirect_cleartext_from")
    report_unused_settings(spec, unused, _NOWHERE, found, "spec.tls")
    lowest, highest = versions(spec, _NOWHERE, found, "spec.tls")
    return TlsOutcome(
        ir.UpstreamTls(
            spec.sni or server_name,
            verify=verify,
            ca=authority,
            certificate=certificate.name if certificate is not None else None,
            min_version=lowest,
            max_version=highest,
            alpn=offered or alpn(spec, _NOWHERE, found, "spec.tls", HTTP1),
        ),
        certificate,
    )


def _place(context: TLSContext, name: str) -> str:
    return "/".join(secret_place(name, context.namespace, namespacing=context.spec.secret_namespacing is not False))


def _tell(server_name: str, *, verify: bool, authority: str | None, found: Collector) -> None:
    if not verify:
        found.warning("upstream-tls-unverified", f"the certificate of {server_name} is not verified", _NOWHERE)
    elif authority is None:
        found.notice(
            "upstream-tls-verified",
            f"the certificate of {server_name} is verified with the system roots; Emissary would not verify it",
            _NOWHERE,
            hint=f'name a CA (TLSContext ca_secret) or set the annotation {VERIFY_ANNOTATION}: "false"',
        )
