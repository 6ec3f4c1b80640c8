"""The Module's keys about bodies, names and addresses: compression, error bodies, case of names, address rules.

Source of the rules: Emissary's ``irgzip.py``, ``irerrorresponse.py`` (until 3.x), ``v3listener.py`` and
``iripallowdeny.py`` (features.md 1.2, "Module").
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING

import orjson

from gateway import ir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.diagnostics import Collector, Origin
    from gateway.resources import ModuleConfig
    from gateway.resources.module import AddressRule, Gzip
    from gateway.resources.policy import ErrorResponseOverride

_LEVELS = {
    "": 6,
    "DEFAULT": 6,
    "DEFAULT_COMPRESSION": 6,
    "BEST": 9,
    "BEST_COMPRESSION": 9,
    "SPEED": 1,
    "BEST_SPEED": 1,
    **{f"COMPRESSION_LEVEL_{level}": level for level in range(1, 10)},
}
"""Envoy's names, those of its API v2 included."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def compression(gzip: Gzip | None, origin: Origin, found: Collector) -> ir.Compression | None:
    """``gzip``; a value that cannot be used is reported and replaced by Envoy's default."""
    if gzip is None:
        return None
    field = "spec.config.gzip"
    default = ir.Compression()

    def number(name: str, value: int | None, lowest: int, highest: int, standard: int) -> int:
        if value is None or lowest <= value <= highest:
            return standard if value is None else value
        found.error(
            "gzip", f"expected {lowest} to {highest}, got {value}: {standard} is used", origin, f"{field}.{name}"
        )
        return standard

    level = _LEVELS.get(gzip.compression_level.upper())
    if level is None:
        found.error(
            "gzip",
            f"unknown level {gzip.compression_level[:80]!r}: {default.level} is used",
            origin,
            f"{field}.compression_level",
            hint="DEFAULT_COMPRESSION, BEST_SPEED, BEST_COMPRESSION, or COMPRESSION_LEVEL_1 to 9",
        )
        level = default.level
    if gzip.compression_strategy.upper() not in {"", "DEFAULT", "DEFAULT_STRATEGY"}:
        found.notice("gzip", "only the default strategy is there", origin, f"{field}.compression_strategy")
    return ir.Compression(
        min_content_length=number(
            "min_content_length", gzip.min_content_length, 0, 2**31 - 1, default.min_content_length
        ),
        level=level,
        window_bits=number("window_bits", gzip.window_bits, 9, 15, default.window_bits),
        memory_level=number("memory_level", gzip.memory_level, 1, 9, default.memory_level),
        content_types=gzip.content_type or default.content_types,
        disable_on_etag_header=bool(gzip.disable_on_etag_header),
        remove_accept_encoding_header=bool(gzip.remove_accept_encoding_header),
    )


def error_overrides(
    overrides: Iterable[ErrorResponseOverride], origin: Origin, found: Collector, field: str
) -> tuple[ir.ErrorOverride, ...]:
    """Of several overrides for one status the first counts, as in Envoy's response map. Files are not read."""
    chosen: dict[int, ir.ErrorOverride] = {}
    for index, item in enumerate(overrides):
        place, body = f"{field}[{index}]", item.body
        if body.text_format_source is not None:
            found.error(
                "error-override",
                "text is not taken from files; the override is ignored",
                origin,
                f"{place}.body.text_format_source",
                hint="put the text under text_format",
            )
        elif item.on_status_code in chosen:
            found.warning("error-override", "the status is overridden before", origin, f"{place}.on_status_code")
        elif body.json_format is not None:
            text = orjson.dumps(dict(body.json_format)).decode()
            chosen[item.on_status_code] = ir.ErrorOverride(item.on_status_code, "json", text, body.content_type)
        else:
            text = body.text_format or ""
            chosen[item.on_status_code] = ir.ErrorOverride(item.on_status_code, "text", text, body.content_type)
    return tuple(chosen.values())


def header_case(config: ModuleConfig, origin: Origin, found: Collector) -> dict[str, object]:
    """``proper_case`` beats ``header_case_overrides``."""
    if config.proper_case:
        if config.header_case_overrides:
            found.error(
                "header-case",
                "proper_case is used, header_case_overrides ignored",
                origin,
                "spec.config.header_case_overrides",
            )
        return {"proper_case": True}
    names: dict[str, str] = {}
    for index, name in enumerate(config.header_case_overrides):
        if _TOKEN.fullmatch(name):
            names.setdefault(name.lower(), name)
        else:
            found.error(
                "header-case",
                f"{name[:80]!r} is no header name",
                origin,
                f"spec.config.header_case_overrides[{index}]",
            )
    return {"header_case_overrides": tuple(names.values())}


NOBODY = ir.IpRules("allow", ())
"""No address is served."""


def ip_rules(config: ModuleConfig, origin: Origin, found: Collector) -> ir.IpRules | None:
    """``ip_allow`` or ``ip_deny``. An empty list is no rule, as in Emissary.

    An entry that cannot be read is reported and fails closed: of ``ip_allow`` it is left out, with one in ``ip_deny``
    nobody is served, because it may have meant anybody.
    """
    if config.ip_allow is not None and config.ip_deny is not None:
        found.error(
            "ip-rules",
            "which addresses are served cannot be told: all requests are answered 403",
            origin,
            "spec.config.ip_deny",
            hint="set one of ip_allow and ip_deny, in a Module without errors",
        )
        return NOBODY
    if config.ip_allow:
        return ir.IpRules("allow", tuple(_ip_entries(config.ip_allow, origin, found, "spec.config.ip_allow")))
    if config.ip_deny:
        entries = tuple(_ip_entries(config.ip_deny, origin, found, "spec.config.ip_deny"))
        return ir.IpRules("deny", entries) if len(entries) == len(config.ip_deny) else NOBODY
    return None


def _ip_entries(rules: Iterable[AddressRule], origin: Origin, found: Collector, field: str) -> Iterator[ir.IpRule]:
    """The entries that can be read."""
    lost = "it admits nobody" if field.endswith("ip_allow") else "all requests are answered 403"
    for index, rule in enumerate(rules):
        place = f"{field}[{index}]"
        if rule.peer is not None and rule.remote is None:
            source, text = "peer", rule.peer
        elif rule.remote is not None and rule.peer is None:
            source, text = "remote", rule.remote
        else:
            found.error("ip-rules", f"expected exactly one of peer and remote; {lost}", origin, place)
            continue
        try:
            ip_network(text, strict=False)
        except ValueError:
            message = f"expected an address or a range such as 10.0.0.0/8, got {text[:80]!r}; {lost}"
            found.error("ip-rules", message, origin, f"{place}.{source}")
            continue
        yield ir.IpRule("peer" if source == "peer" else "remote", text)
