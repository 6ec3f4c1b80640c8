"""TLS termination of a Host: ``tlsSecret`` with ``tlsContext``, ``tls`` or the implicit context ``NAME-context``.

Source of the rules: Emissary's ``irhost.py`` and ``irtlscontext.py`` (features.md 1.2, "Host", "TLSContext"). Added to
them: a Host that says nothing about TLS takes a TLSContext whose ``hosts`` lists its hostname. Whatever part of client
authentication cannot be built switches termination off: TLS without it would let everybody in. A TCPMapping takes the
termination of a Host, or that of a TLSContext whose ``hosts`` lists its name (``v3listener.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway import ir
from gateway.resources import TLSContext
from gateway.translate.ambassador.matching import bare_host
from gateway.translate.certificates import SecretError, ca_bundle, secret_place
from gateway.translate.origins import ir_origin
from gateway.translate.tlssettings import OFFERED, alpn, find_context, report_unused_settings, versions

if TYPE_CHECKING:
    from gateway.diagnostics import Collector, Origin
    from gateway.resources import Host, ResourceSet, Secret
    from gateway.resources.hosts import TlsSettings
    from gateway.translate.certificates import CertificateStore


class TerminationError(ValueError):
    """TLS of a Host that cannot be built; ``field`` is in the Host."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class _Plan:
    """The serving Secret and the settings, with the namespace from which settings name Secrets."""

    secret: tuple[str, str]
    settings: TlsSettings | None
    namespace: str
    namespacing: bool
    field: str
    origin: Origin
    """Of the object that asks for TLS."""


def host_termination(
    host: Host, domain: str, resources: ResourceSet, store: CertificateStore, found: Collector
) -> ir.TlsTermination | None:
    """The termination, or ``None`` when the Host has no TLS or it cannot be built (which is reported)."""
    try:
        plan = _plan(host, domain, resources)
        return _build(_server_name(host, domain, found), plan, store, found) if plan is not None else None
    except (TerminationError, SecretError) as error:
        field = error.field if isinstance(error, TerminationError) else "spec.tlsSecret"
        found.error("host-tls", f"{error}; the Host is not served over TLS", host.origin, field)
        return None


def tcp_termination(
    name: str, source: Host | TLSContext, resources: ResourceSet, store: CertificateStore, found: Collector
) -> ir.TlsTermination | None:
    """The termination of ``name`` for a TCPMapping, with the TLS of a Host or a TLSContext. Any protocol may follow, so
    ALPN is what the settings say. ``None`` for a Host without TLS; raises :class:`SecretError` or
    :class:`TerminationError`."""
    if isinstance(source, TLSContext):
        namespacing = source.spec.secret_namespacing is not False
        _check(source)
        if not source.spec.secret:
            raise TerminationError("spec.secret", f"TLSContext {source.name} names no Secret")
        place = secret_place(source.spec.secret, source.namespace, namespacing=namespacing)
        plan: _Plan | None = _Plan(place, source.spec, source.namespace, namespacing, "spec", source.origin)
    else:
        if source.refused:
            raise TerminationError("spec", f"Host {source.name} cannot be read")
        plan = _plan(source, bare_host(source.spec.hostname or "*"), resources)
    if plan is None:
        return None
    wanted = plan.settings.alpn_protocols if plan.settings is not None else ""
    offered = tuple(part for item in wanted.split(",") if (part := item.strip()))
    return replace(_build(name, plan, store, found), alpn=offered)


def _plan(host: Host, domain: str, resources: ResourceSet) -> _Plan | None:
    spec = host.spec
    if spec.tls is not None and spec.tls_context is not None:
        raise TerminationError("spec.tls", "tls and tlsContext exclude each other")
    context = _context(host, domain, resources)
    if context is not None:
        _check(context)
    namespacing = context.spec.secret_namespacing is not False if context is not None else True
    own: tuple[str, str] | None = None
    if spec.tls_secret is not None and spec.tls_secret.name:
        own = (spec.tls_secret.namespace or host.namespace, spec.tls_secret.name)
    if context is not None:
        theirs = secret_place(context.spec.secret, context.namespace, namespacing=namespacing)
        if own is not None and context.spec.secret and own != theirs:
            raise TerminationError(
                "spec.tlsSecret", f"TLSContext {context.name} has another Secret ({'/'.join(theirs)})"
            )
        own = own or (theirs if context.spec.secret else None)
        if own is None:
            raise TerminationError("spec.tlsContext", f"TLSContext {context.name} and the Host name no Secret")
        return _Plan(own, context.spec, context.namespace, namespacing, "spec.tlsContext", host.origin)
    if own is None:
        if spec.tls is not None:
            raise TerminationError("spec.tls", "there is no tlsSecret")
        return None
    return _Plan(own, spec.tls, host.namespace, True, "spec.tls", host.origin)


def _context(host: Host, domain: str, resources: ResourceSet) -> TLSContext | None:
    spec = host.spec
    if spec.tls_context is not None and spec.tls_context.name:
        wanted = spec.tls_context
        context = find_context(resources, wanted.name, wanted.namespace or host.namespace)
        if context is None:
            raise TerminationError("spec.tlsContext", f"there is no TLSContext {wanted.name!r}")
        names = {spec.hostname or "*", domain, host.name}
        if context.spec.hosts and not names & set(context.spec.hosts) and not context.refused:
            raise TerminationError("spec.tlsContext", f"TLSContext {wanted.name!r} is for other hosts")
        return context
    if spec.tls is not None:
        return None
    implicit = resources.get(TLSContext, host.namespace, f"{host.name}-context")
    if implicit is not None or spec.tls_secret is not None:
        return implicit
    listing = (item for item in resources.of(TLSContext) if domain in item.spec.hosts)
    return next((item for item in listing if item.spec.secret or item.refused), None)


def _check(context: TLSContext) -> None:
    """One that cannot be read may have asked for certificates of clients."""
    if context.refused:
        raise TerminationError("spec.tlsContext", f"TLSContext {context.name} cannot be read")


def _server_name(host: Host, domain: str, found: Collector) -> str:
    server_name = domain if domain == "*" or not domain.endswith("*") else "*"
    if server_name != domain:
        found.warning("host-sni", f"{domain!r} is no server name: the certificate is the default", host.origin)
    return server_name


def _build(server_name: str, plan: _Plan, store: CertificateStore, found: Collector) -> ir.TlsTermination:
    certificate = store.load(store.find(*plan.secret))
    settings = plan.settings
    origin = ir_origin(plan.origin)
    if settings is None:
        return ir.TlsTermination((server_name,), store.use(certificate), origin)
    if settings.cert_chain_file or settings.private_key_file or settings.cacert_chain_file:
        raise TerminationError(plan.field, "certificates are taken from Secrets, not from files")
    if settings.crl_secret:
        raise TerminationError(plan.field, "revocation lists (crl_secret) are not supported")
    authority: Secret | None = None
    if settings.ca_secret:
        place = secret_place(settings.ca_secret, plan.namespace, namespacing=plan.namespacing)
        authority = store.peek(*place)
        if authority is None:
            raise TerminationError(f"{plan.field}.ca_secret", f"there is no Secret {'/'.join(place)}")
    required = _required(settings, authority)
    if required and authority is None:
        raise TerminationError(plan.field, "cert_required needs a ca_secret")
    if settings.redirect_cleartext_from is not None:
        field = f"{plan.field}.redirect_cleartext_from"
        found.notice("redirect-cleartext-from", "requestPolicy.insecure decides about cleartext", plan.origin, field)
    report_unused_settings(settings, ("ecdh_curves", "sni"), plan.origin, found, plan.field)
    lowest, highest = versions(settings, plan.origin, found, plan.field)
    termination = ir.TlsTermination(
        server_names=(server_name,),
        certificate=certificate.name,
        origin=origin,
        alpn=alpn(settings, plan.origin, found, plan.field) or OFFERED,
        min_version=lowest,
        max_version=highest,
        cipher_suites=settings.cipher_suites,
        client_ca=ca_bundle(authority) if authority is not None else None,
        client_cert_required=required,
    )
    # Not before everything else could be built: a key that no listener uses goes to no worker.
    store.use(certificate)
    return termination


def _required(settings: TlsSettings, authority: Secret | None) -> bool:
    """``cert_required``; a CA Secret may carry it as a value of its own."""
    if authority is not None and "cert_required" in authority.data:
        return authority.data["cert_required"].strip().lower() == b"true"
    return bool(settings.cert_required)
