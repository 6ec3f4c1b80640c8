"""The 'Target and rewriting' fields of a Mapping: forward, redirect, header edits, CORS.

Source of the rules: Emissary's ``v3route.py`` and ``ircors.py`` (features.md 1.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gateway import ir
from gateway.diagnostics import Collector
from gateway.translate.ambassador.balancing import HASHING, hash_source
from gateway.translate.ambassador.policies import priority, retry_policy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Map

    from gateway.diagnostics import Origin
    from gateway.resources import MappingSpec, ModuleConfig
    from gateway.resources.module import MappingDefaults
    from gateway.resources.policy import AddedHeader, Cors
    from gateway.translate.clusters import ClusterSpec
    from gateway.translate.services import ServiceAddress

REQUEST_TIMEOUT_MS = 3_000
"""Emissary's ``cluster_request_timeout_ms``."""
NO_HEADERS = ir.HeaderEdits()
NOTHING: Map[str, AddedHeader] = {}
T = TypeVar("T")
LINKERD_HEADER = "l5d-dst-override"


def forward(
    spec: MappingSpec, cluster: ClusterSpec, module: ModuleConfig, origin: Origin, found: Collector
) -> ir.Forward:
    """The forwarding action. A ``host_rewrite`` beats ``auto_host_rewrite``; ``timeout_ms`` 0 means no time limit."""
    if spec.host_rewrite and spec.auto_host_rewrite:
        found.warning(
            "host-rewrite", "host_rewrite is used, auto_host_rewrite ignored", origin, "spec.auto_host_rewrite"
        )
    timeout = spec.timeout_ms
    if timeout is None:
        timeout = module.cluster_request_timeout_ms
    balancer = cluster.policy.balancer
    hashed = balancer is not None and balancer.policy in HASHING
    return ir.Forward(
        cluster=cluster.name,
        path_rewrite=path_rewrite(spec, origin, found),
        host_rewrite=spec.host_rewrite or None,
        auto_host_rewrite=bool(spec.auto_host_rewrite) and not spec.host_rewrite,
        timeout_ms=REQUEST_TIMEOUT_MS if timeout is None else timeout,
        idle_timeout_ms=spec.idle_timeout_ms,
        hash=hash_source(spec.load_balancer or module.load_balancer) if hashed else None,
        retry=_retry(spec, module, origin, found),
        priority=priority(spec, origin, found),
    )


def _retry(spec: MappingSpec, module: ModuleConfig, origin: Origin, found: Collector) -> ir.RetryPolicy | None:
    """The Mapping's policy, else the Module's, whose faults are reported with the Module."""
    if spec.retry_policy is not None:
        return retry_policy(spec.retry_policy, origin, found, "spec.retry_policy")
    return retry_policy(module.retry_policy, origin, Collector(), "")


def path_rewrite(spec: MappingSpec, origin: Origin, found: Collector) -> ir.PathRewrite | None:
    """``regex_rewrite`` beats ``rewrite``; an unset ``rewrite`` is ``/``; an empty one leaves the path alone.

    For exact and regex paths the match is the whole path, so Envoy's prefix rewrite replaces all of it.
    """
    if spec.regex_rewrite is not None:
        if spec.rewrite not in (None, "", "/"):
            found.notice("rewrite-ignored", "regex_rewrite is used, rewrite ignored", origin, "spec.rewrite")
        return ir.PathRewrite("regex", spec.regex_rewrite.substitution, spec.regex_rewrite.pattern)
    value = "/" if spec.rewrite is None else spec.rewrite
    if not value:
        return None
    return ir.PathRewrite("full" if spec.prefix_exact or spec.prefix_regex else "prefix", value)


def redirect(spec: MappingSpec, address: ServiceAddress, origin: Origin, found: Collector) -> ir.Redirect:
    """``host_redirect``: to the host of ``service``. Of path, prefix and regex redirect the first one counts."""
    kinds = [
        name
        for name, value in (
            ("path_redirect", spec.path_redirect),
            ("prefix_redirect", spec.prefix_redirect),
            ("regex_redirect", spec.regex_redirect),
        )
        if value
    ]
    for name in kinds[1:]:
        found.error("redirect-conflict", f"{kinds[0]} is used, {name} ignored", origin, f"spec.{name}")
    kind = kinds[0] if kinds else ""
    regex = spec.regex_redirect if kind == "regex_redirect" else None
    return ir.Redirect(
        status=spec.redirect_response_code or 301,
        scheme=address.scheme or None,
        host=f"[{address.host}]" if ":" in address.host else address.host,
        port=address.port,
        path=spec.path_redirect if kind == "path_redirect" else None,
        prefix=spec.prefix_redirect if kind == "prefix_redirect" else None,
        regex=ir.PathRewrite("regex", regex.substitution, regex.pattern) if regex is not None else None,
    )


def request_headers(spec: MappingSpec, module: ModuleConfig, destination: str) -> ir.HeaderEdits:
    """Edits towards the upstream. ``destination`` (``host:port``) is what Linkerd's header says."""
    added = spec.add_request_headers or _first_set((place.add_request_headers for place in _places(module)), NOTHING)
    removed = spec.remove_request_headers or _first_set((place.remove_request_headers for place in _places(module)), ())
    linkerd = spec.add_linkerd_headers
    if linkerd is None:
        linkerd = bool(module.add_linkerd_headers)
    extra = (ir.HeaderValue(LINKERD_HEADER, destination),) if linkerd else ()
    return _edits(added, removed, extra)


def response_headers(spec: MappingSpec, module: ModuleConfig) -> ir.HeaderEdits:
    """Edits towards the client."""
    added = spec.add_response_headers or _first_set((place.add_response_headers for place in _places(module)), NOTHING)
    removed = spec.remove_response_headers or _first_set(
        (place.remove_response_headers for place in _places(module)), ()
    )
    return _edits(added, removed, ())


def cors(policy: Cors | None) -> ir.Cors | None:
    """Cross-origin policy of a Mapping, or of the Module. Origins are compared as they are; ``*`` is every origin."""
    if policy is None:
        return None
    return ir.Cors(
        origins=tuple(ir.StringMatch("exact", origin) for origin in policy.origins),
        methods=policy.methods,
        headers=policy.headers,
        exposed_headers=policy.exposed_headers,
        credentials=bool(policy.credentials),
        max_age=policy.max_age or None,
    )


def upgrades(spec: MappingSpec) -> tuple[str, ...]:
    """``allow_upgrade``, with ``websocket`` when the deprecated ``use_websocket`` is set."""
    wanted = [name.lower() for name in spec.allow_upgrade]
    if spec.use_websocket:
        wanted.append("websocket")
    return tuple(dict.fromkeys(wanted))


def _places(module: ModuleConfig) -> tuple[MappingDefaults, ...]:
    """Where the Module keeps defaults of Mappings, the stronger place first."""
    if module.defaults is None:
        return ()
    own = module.defaults.httpmapping
    return (module.defaults,) if own is None else (own, module.defaults)


def _first_set(values: Iterable[T | None], nothing: T) -> T:
    return next((value for value in values if value is not None), nothing)


def _edits(added: Map[str, AddedHeader], removed: tuple[str, ...], extra: tuple[ir.HeaderValue, ...]) -> ir.HeaderEdits:
    if not added and not removed and not extra:
        return NO_HEADERS
    values = tuple(ir.HeaderValue(name, header.value, header.appends) for name, header in added.items())
    return ir.HeaderEdits(values + extra, removed)
