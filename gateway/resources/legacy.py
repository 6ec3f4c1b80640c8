"""Older spellings, rewritten to the shape of getambassador.io/v3alpha1 before they are typed.

The rules are those of Emissary's conversion webhook (``pkg/api/getambassador.io/v2/handwritten.conversion.go``). Values
that have an unexpected type are left as they are, so that the model reports them. Inputs are never changed.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

Raw = dict[str, object]

_ID_PREFIX = "--apiVersion-v3alpha1-only--"
_NO_HOST = "_skip_mapping_with_empty_host_"
_TLS_OF = {"AuthService": "auth_service", "Mapping": "service", "RateLimitService": "service", "TCPMapping": "service"}
"""Kinds whose ``tls`` may be a boolean in v1 and v2, and the field with the service."""
SPELLINGS: Final[Map[str, Map[str, str]]] = {
    "AuthService": {"v3CircuitBreakers": "circuit_breakers", "v3StatsName": "stats_name"},
    "Host": {"ambassadorId": "ambassador_id"},
    "Host.tls": {"v3CRLSecret": "crl_secret"},
    "LogService": {"v3ProtocolVersion": "protocol_version", "v3StatsName": "stats_name"},
    "Mapping": {"v3health_checks": "health_checks", "v3StatsName": "stats_name"},
    "RateLimitService": {"v3GRPC": "grpc", "v3StatsName": "stats_name"},
    "TCPMapping": {"v3StatsName": "stats_name"},
    "TLSContext": {"v3CRLSecret": "crl_secret"},
    "TracingService": {"v3CustomTags": "custom_tags", "v3StatsName": "stats_name"},
    "TracingService.config": {"v3PropagationModes": "propagation_modes"},
}
"""Names that fields have in v1 and v2, and those they have in v3alpha1; by kind, or by kind and field of an object."""


def upgrade(kind: str, version: str, spec: Raw) -> Raw:
    """Rewrite the ``spec`` of a getambassador.io object of any version; v3alpha1 is returned as it is."""
    if version == "v3alpha1" and spec.get("host") != _NO_HOST:
        return spec
    result = _respelled(kind, spec)
    if kind == "Mapping":
        _host(result)
    elif kind == "Module":
        _replace(result, "config", lambda config: _module_labels(config) if isinstance(config, Map) else config)
    return result


def relax(kind: str, spec: Raw) -> Raw:
    """Rewrite forms that have one meaning only; they are accepted in every version.

    Those of v1 and v2, because a cluster may hand out what was written in v2 under the name of v3alpha1; one string for
    a list of ids or header names, ``name: value`` for an added header, comma lists in CORS.
    """
    result = _respelled(kind, spec)
    _replace(result, "ambassador_id", _one_or_many)
    if kind == "Mapping":
        _headers_and_cors(result)
    elif kind == "Module" and isinstance(config := result.get("config"), Map):
        relaxed = dict(config)
        _headers_and_cors(relaxed)
        if isinstance(defaults := relaxed.get("defaults"), Map):
            relaxed["defaults"] = _defaults(defaults)
        result["config"] = relaxed
    elif kind == "RateLimit" and isinstance(limits := result.get("limits"), list):
        result["limits"] = [_limit(limit) if isinstance(limit, Map) else limit for limit in limits]
    return result


def _respelled(kind: str, spec: Raw) -> Raw:
    """Names and types of v1 and v2 as in v3alpha1. What is in the form of v3alpha1 stays as it is."""
    result = _renamed(spec, SPELLINGS.get(kind, {}))
    if "ambassador_id" in spec or "ambassadorId" in spec:
        result["ambassador_id"] = _legacy_ids(spec)
        result.pop("ambassadorId", None)
    for field in ("tls", "config"):
        if isinstance(part := result.get(field), Map) and (names := SPELLINGS.get(f"{kind}.{field}")):
            result[field] = _renamed(part, names)
    if kind in _TLS_OF:
        _tls(result, _TLS_OF[kind])
    if kind == "Mapping":
        _mapping(result)
    return result


def _mapping(spec: Raw) -> None:
    for field, regexes, names in (
        ("headers", "regex_headers", "v2BoolHeaders"),
        ("query_parameters", "regex_query_parameters", "v2BoolQueryParameters"),
    ):
        if isinstance(values := spec.get(field), Map):
            _present(spec, field, values, regexes, names)
    if isinstance(labels := spec.get("labels"), Map):
        spec["labels"] = {domain: _label_groups(groups) for domain, groups in labels.items()}


def _present(spec: Raw, field: str, values: Map[str, object], regexes: str, names: str) -> None:
    """``name: true`` asks for presence, ``name: false`` for nothing."""
    if not any(isinstance(value, bool) for value in values.values()):
        return
    present = [name for name, value in values.items() if value is True]
    spec[field] = {name: value for name, value in values.items() if not isinstance(value, bool)}
    existing = spec.get(regexes)
    if present and (existing is None or isinstance(existing, Map)):
        spec[regexes] = {**dict.fromkeys(present, ".*"), **(existing or {})}
        spec[names] = present


def _host(spec: Raw) -> None:
    """v2 has only ``host``; without it the Mapping serves every host."""
    host = spec.get("host")
    if spec.get("host_regex") is True or "hostname" in spec or not (host is None or isinstance(host, str)):
        return
    spec.pop("host", None)
    spec["hostname"] = "" if host == _NO_HOST else host or "*"


def _tls(spec: Raw, field: str) -> None:
    """``tls: true`` means an https upstream; ``false`` and null mean what the scheme of the service says."""
    tls, service = spec.get("tls"), spec.get(field)
    if isinstance(tls, bool):
        del spec["tls"]
        if tls and isinstance(service, str):
            scheme, separator, rest = service.partition("://")
            spec[field] = f"https://{rest if separator and scheme.lower() in ('http', 'https') else service}"


def _label_groups(groups: object) -> object:
    if not isinstance(groups, list):
        return groups
    return [
        {name: _specifiers(specifiers) for name, specifiers in group.items()} if isinstance(group, Map) else group
        for group in groups
    ]


def _specifiers(specifiers: object) -> object:
    return [_specifier(item) for item in specifiers] if isinstance(specifiers, list) else specifiers


def _specifier(item: object) -> object:
    match item:
        case "source_cluster" | "destination_cluster" | "remote_address":
            return {item: {"key": item}}
        case str():
            return {"generic_key": {"value": item, "v2Shorthand": True}}
        case {"generic_key": str(value), **rest}:
            generic: Raw = {"value": value}
            if "v3Key" in rest:
                generic["key"] = rest["v3Key"]
            return {"generic_key": generic}
        case Map() if len(item) == 1:
            key, header = next(iter(item.items()))
            if isinstance(header, Map) and "header" in header:
                return {"request_headers": {"key": key, **_renamed(header, {"header": "header_name"})}}
    return item


def _module_labels(config: Map[str, object]) -> Raw:
    result = dict(config)
    if isinstance(domains := result.get("default_labels"), Map):
        result["default_labels"] = {
            domain: {**value, "defaults": _specifiers(value["defaults"])}
            if isinstance(value, Map) and "defaults" in value
            else value
            for domain, value in domains.items()
        }
    return result


def _defaults(defaults: Map[str, object]) -> Raw:
    result = dict(defaults)
    _headers_and_cors(result)
    if isinstance(inner := result.get("httpmapping"), Map):
        mapping_defaults = dict(inner)
        _headers_and_cors(mapping_defaults)
        result["httpmapping"] = mapping_defaults
    return result


def _headers_and_cors(spec: Raw) -> None:
    for field in ("add_request_headers", "add_response_headers"):
        if isinstance(headers := spec.get(field), Map):
            spec[field] = {name: _added_header(value) for name, value in headers.items()}
    for field in ("remove_request_headers", "remove_response_headers"):
        _replace(spec, field, _one_or_many)
    if isinstance(cors := spec.get("cors"), Map):
        lists = dict(cors)
        for field in ("origins", "methods", "headers", "exposed_headers"):
            _replace(lists, field, _comma_list)
        spec["cors"] = lists


def _added_header(value: object) -> object:
    if isinstance(value, str):
        return {"value": value, "v2Representation": "string"}
    return {"v2Representation": "null"} if value is None else value


def _limit(limit: Map[str, object]) -> Raw:
    """``unit`` and ``action`` are compared without case."""
    result = dict(limit)
    _replace(result, "unit", lambda unit: unit.lower() if isinstance(unit, str) else unit)
    actions = {"enforce": "Enforce", "logonly": "LogOnly"}
    _replace(
        result, "action", lambda action: actions.get(action.lower(), action) if isinstance(action, str) else action
    )
    return result


def _legacy_ids(spec: Raw) -> object:
    ids: list[object] = []
    for field in ("ambassador_id", "ambassadorId"):
        value = _one_or_many(spec.get(field, []))
        if not isinstance(value, list):
            return value
        ids += [item.removeprefix(_ID_PREFIX) if isinstance(item, str) else item for item in value]
    return ids


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _comma_list(value: object) -> object:
    return [item for part in value.split(",") if (item := part.strip())] if isinstance(value, str) else value


def _renamed(spec: Map[str, object], names: Map[str, str]) -> Raw:
    return {names.get(key, key): value for key, value in spec.items()}


def _replace(spec: Raw, field: str, change: Callable[[object], object]) -> None:
    if field in spec:
        spec[field] = change(spec[field])
