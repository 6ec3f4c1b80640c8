"""The Module's keys about bodies, names and addresses: compression, error bodies, case of names, address rules.

Source of the rules: Emissary's ``irgzip.py``, ``irerrorresponse.py`` (until 3.x), ``v3listener.py`` and
``iripallowdeny.py`` (features.md 1.2, "Module").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from gateway import ir

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.diagnostics import Collector, Origin
    from gateway.resources import ModuleConfig
    from gateway.resources.module import Gzip
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


def ip_rules(config: ModuleConfig) -> ir.IpRules | None:
    """``ip_allow`` or ``ip_deny``; the reader has checked the ranges. An empty list is no rule, as in Emissary."""
    for action, rules in (("allow", config.ip_allow), ("deny", config.ip_deny)):
        if rules:
            entries = tuple(
                ir.IpRule("peer" if rule.peer is not None else "remote", rule.peer or rule.remote or "")
                for rule in rules
            )
            return ir.IpRules("allow" if action == "allow" else "deny", entries)
    return None
