"""The meaning of plain YAML scalars, as ``kubectl`` reads them.

``kubectl`` parses with ``sigs.k8s.io/yaml``, a fork of go-yaml 2.4, which keeps most of YAML 1.1: ``yes``, ``on`` and
``y`` are booleans, ``0777`` is octal, ``1_000`` is a number. It does not know base-60 numbers, and dates stay text.
The rules below are those of its ``goyaml.v2/resolve.go``.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FIRST = frozenset("yYnNtTfFoO~.+-0123456789")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INTEGERS = (
    (re.compile(r"[-+]?0[xX][0-9a-fA-F]+"), 16),
    (re.compile(r"[-+]?0[bB][01]+"), 2),
    (re.compile(r"[-+]?0[oO][0-7]+"), 8),
    (re.compile(r"[-+]?0[0-7]+"), 8),
    (re.compile(r"[-+]?(?:0|[1-9][0-9]*)"), 10),
)
_MAX_DIGITS = 400
"""Longer digit strings are text: no field takes them, and converting them costs quadratic time."""


def resolve(text: str) -> Scalar:
    """Return the value of an untagged plain scalar."""
    if text and text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in ".+-0123456789":
        return _number(text)
    return text


def resolve_tagged(tag: str, text: str) -> Scalar:
    """Return the value of a scalar with an explicit tag; :class:`ValueError` when the text does not fit the tag."""
    name = tag.removeprefix("tag:yaml.org,2002:")
    if name in ("str", "binary", "timestamp"):
        return text
    value = resolve(text)
    if name == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = {"bool": bool, "int": int, "float": float, "null": type(None)}.get(name)
    if fits is None:
        raise ValueError(f"the tag {tag[:80]!r} is not supported")
    if type(value) is not fits:
        raise ValueError(f"{text[:80]!r} is not a value for the tag !!{name}")
    return value


def key_text(value: Scalar) -> str:
    """Return the JSON key of a mapping key that is no string, as ``sigs.k8s.io/yaml`` writes it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int():
            return str(value)
        case float():
            return f"{value:g}"


def _number(text: str) -> Scalar:
    if _DATE.fullmatch(text) or len(text) > _MAX_DIGITS:
        return text
    plain = text.replace("_", "")
    for pattern, base in _INTEGERS:
        if pattern.fullmatch(plain):
            digits = re.sub("[xXbBoO]", "", plain) if base != 16 else plain
            return int(digits, base)
    return float(plain) if _FLOAT.fullmatch(plain) else text
