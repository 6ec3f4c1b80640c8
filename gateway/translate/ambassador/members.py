"""One Mapping, translated: a member of a canary group.

A Mapping whose match cannot be built is not served; one whose security or upstream cannot be built answers 500, so that
its requests do not fall through to a wider route.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway import ir
from gateway.diagnostics import Collector
from gateway.resources import Mapping, MappingSpec
from gateway.translate.ambassador import actions
from gateway.translate.ambassador.defaults import with_defaults
from gateway.translate.ambassador.httpoptions import error_overrides
from gateway.translate.ambassador.matching import MatchError, build_matching
from gateway.translate.ambassador.ratelimits import LabelError, bind_limits, report_labels
from gateway.translate.ambassador.upstream import ResolverError, cluster_spec
from gateway.translate.differences import report_fields
from gateway.translate.origins import ir_origin
from gateway.translate.protection import NOT_APPLIED, REFUSAL
from gateway.translate.services import ServiceError, parse_service

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateway.diagnostics import Diagnostic, Origin
    from gateway.translate.ambassador.context import MappingContext
    from gateway.translate.ambassador.matching import Matching
    from gateway.translate.clusters import ClusterSpec

_MUST_AGREE = (
    "bypass_auth",
    "circuit_breakers",
    "connect_timeout_ms",
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "keepalive",
    "labels",
    "load_balancer",
    "prefix_regex",
    "prefix_exact",
)
_PLAIN = MappingSpec(prefix="", service="")
_DEFAULTS = {name: getattr(_PLAIN, name) for name in _MUST_AGREE}

Role = Literal["forward", "redirect", "shadow"]
Place = tuple[int, str, str]
"""Where a Mapping stands among all: those of manifests by namespace and name, behind them those of Ingresses."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A translated Mapping. ``cluster`` is ``None`` for redirects and refusals."""

    name: str
    """Unique name of the route that this Mapping makes: ``mapping/NAMESPACE/NAME``."""
    place: Place
    group: str
    """Equal for the members of one canary group."""
    origin: Origin
    matching: Matching
    labels: Map[str, str]
    role: Role
    weight: int | None
    choice: ir.Choice
    cluster: ClusterSpec | None
    agree: Map[str, object]
    """What all members of a group must agree on, as far as it is set."""
    explicit_rewrite: bool
    cors: ir.Cors | None
    limits: tuple[ir.RouteLimit, ...]
    upgrades: tuple[str, ...]
    bypass_auth: bool
    error_overrides: tuple[ir.ErrorOverride, ...]
    bypass_error_overrides: bool
    refused: str
    """Why requests are answered 500; empty when they are served."""


@dataclass(frozen=True, slots=True, eq=False)
class Translated:
    """The Mapping, its member (``None`` when it cannot be served) and what there is to say."""

    mapping: Mapping
    member: Member | None
    findings: tuple[Diagnostic, ...] = ()


class Refusal(Exception):
    """The Mapping must answer 500."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


def translate_mapping(name: str, place: Place, mapping: Mapping, context: MappingContext) -> Translated:
    """Translate one Mapping under a unique route name."""
    found = Collector()
    declared = mapping
    try:
        matching = build_matching(mapping.spec, mapping.metadata.labels, context.selectors)
    except MatchError as error:
        found.error("mapping-match", f"{error}; the Mapping is not served", mapping.origin, error.field)
        return Translated(declared, None, found.sorted())
    _report_unused(mapping, found)
    mapping = with_defaults(mapping, context.module.defaults)
    try:
        member = _member(name, place, mapping, matching, context, found)
    except Refusal as refusal:
        member = _refused(name, place, mapping, matching, refusal, found)
    return Translated(declared, member, found.sorted())


def _member(
    name: str, place: Place, mapping: Mapping, matching: Matching, context: MappingContext, found: Collector
) -> Member:
    spec, module, origin = mapping.spec, context.module, mapping.origin
    role = _role(spec, origin, found)
    if role != "shadow":
        exempt = spec.bypass_auth or role == "redirect"
        reason = context.protection.refuses(
            matching.hostname or "*", _fixed_path(spec), exempt=exempt, domains={*spec.labels, *module.default_labels}
        )
        if reason:
            raise Refusal(NOT_APPLIED, "", reason)
    try:
        address = parse_service(spec.service)
    except ServiceError as error:
        raise Refusal("service-syntax", "spec.service", str(error)) from error
    if address.remark:
        found.warning("service-syntax", address.remark, origin, "spec.service")
    declared = ir_origin(origin)
    edits = actions.response_headers(spec, module)
    cluster: ClusterSpec | None = None
    limits: tuple[ir.RouteLimit, ...] = ()
    if role == "redirect":
        choice = ir.Choice(
            100.0, declared, redirect=actions.redirect(spec, address, origin, found), response_headers=edits
        )
    else:
        try:
            cluster = cluster_spec(mapping, address, module, context.resolvers, context.settings, found, context.consul)
        except ResolverError as error:
            raise Refusal("resolver-unknown", "spec.resolver", str(error)) from error
        choice = ir.Choice(
            100.0,
            declared,
            forward=actions.forward(spec, cluster, module, origin, found),
            request_headers=actions.request_headers(spec, module, f"{cluster.host}:{cluster.port}"),
            response_headers=edits,
        )
    if role != "shadow":
        instance = f"{context.settings.ambassador_id}-{context.settings.namespace}"
        destination = cluster.name if cluster is not None else ""
        try:
            limits = bind_limits(spec.labels, module, context.limits, cluster=destination, instance=instance)
        except LabelError as error:
            raise Refusal("labels", "spec.labels", str(error)) from error
    return Member(
        name=name,
        place=place,
        group=matching.group,
        origin=origin,
        matching=matching,
        labels=mapping.metadata.labels,
        role=role,
        weight=spec.weight,
        choice=choice,
        cluster=cluster,
        agree=_agree(spec),
        explicit_rewrite=spec.rewrite is not None or spec.regex_rewrite is not None,
        cors=actions.cors(spec.cors if spec.cors is not None else module.cors),
        limits=limits,
        upgrades=actions.upgrades(spec),
        bypass_auth=spec.bypass_auth or role == "redirect",
        error_overrides=error_overrides(spec.error_response_overrides, origin, found, "spec.error_response_overrides"),
        bypass_error_overrides=bool(spec.bypass_error_response_overrides),
        refused="",
    )


def _refused(
    name: str, place: Place, mapping: Mapping, matching: Matching, refusal: Refusal, found: Collector
) -> Member:
    # A missing protection is one mistake however many routes it has: the error is at the object that protects.
    report = found.warning if refusal.code == NOT_APPLIED else found.error
    report(refusal.code, f"{refusal}; requests are answered 500", mapping.origin, refusal.field)
    return Member(
        name=name,
        place=place,
        group=matching.group,
        origin=mapping.origin,
        matching=matching,
        labels=mapping.metadata.labels,
        role="shadow" if mapping.spec.shadow else "forward",
        weight=mapping.spec.weight,
        choice=ir.Choice(100.0, ir_origin(mapping.origin), direct=REFUSAL),
        cluster=None,
        agree=_agree(mapping.spec),
        explicit_rewrite=False,
        cors=None,
        limits=(),
        upgrades=(),
        bypass_auth=False,
        error_overrides=(),
        bypass_error_overrides=False,
        refused=str(refusal),
    )


def _role(spec: MappingSpec, origin: Origin, found: Collector) -> Role:
    if spec.shadow and spec.host_redirect:
        found.error(
            "shadow-redirect", "only one of shadow and host_redirect counts: shadow does", origin, "spec.host_redirect"
        )
    if spec.shadow:
        return "shadow"
    return "redirect" if spec.host_redirect else "forward"


def _fixed_path(spec: MappingSpec) -> str:
    """A beginning that all matched paths share; empty for a regex."""
    return "" if spec.prefix_regex or spec.case_sensitive is False else spec.prefix


def _agree(spec: MappingSpec) -> dict[str, object]:
    return {name: value for name in _MUST_AGREE if (value := getattr(spec, name)) != _DEFAULTS[name]}


def _report_unused(mapping: Mapping, found: Collector) -> None:
    spec = mapping.spec
    report_fields(Mapping.KIND, spec, _PLAIN, mapping.origin, "spec", found)
    report_labels(spec.labels, mapping.origin, found)
    if spec.host and spec.hostname:
        found.notice("host-ignored", "hostname is used, host ignored", mapping.origin, "spec.host")
