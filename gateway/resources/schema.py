"""Find every fault of a value against a model, not only the first.

``msgspec`` converts fast and stops at the first fault. This module runs only after such a failure: it walks value and
model side by side, reports each fault with its path, drops unknown fields and nulls, and returns a value that
converts when no fault was found.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from msgspec import inspect

if TYPE_CHECKING:
    import msgspec

MAX_PROBLEMS = 100
"""More findings about one object help nobody; the rest is only counted."""

_SHOWN_TEXT = 60
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of one object. ``path`` is relative to the object: ``spec.limits[0].rate``."""

    severity: Literal["error", "warning", "notice"]
    code: str
    path: str
    message: str
    hint: str = ""


@dataclass(slots=True)
class Inspection:
    """Faults found so far. With ``show_values`` off, as for Secrets, no message quotes a value."""

    problems: list[Problem] = field(default_factory=list)
    show_values: bool = True

    @property
    def failed(self) -> bool:
        """Whether an error was found."""
        return any(problem.severity == "error" for problem in self.problems)

    def expected(self, path: str, what: str, value: object, hint: str = "") -> None:
        """Report a value of the wrong type or outside its range."""
        self.problems.append(Problem("error", "field-type", path, f"expected {what}, got {self.show(value)}", hint))

    def unknown(self, path: str, name: str, known: Map[str, inspect.Field]) -> None:
        """Report a field that the model does not have; the object stays."""
        # Comparing names costs far more than anything else here, so a flood of them gets no hints.
        few = len(self.problems) < MAX_PROBLEMS and len(name) <= _SHOWN_TEXT
        close = get_close_matches(name, known, n=1, cutoff=0.7) if few else []
        hint = f"did you mean {close[0]}?" if close else ""
        self.problems.append(Problem("warning", "field-unknown", path, "is not a known field and is ignored", hint))

    def missing(self, path: str, what: str) -> None:
        """Report a required field that is not there."""
        self.problems.append(Problem("error", "field-required", path, f"is required; expected {what}"))

    def show(self, value: object) -> str:
        """Describe a value in a few words."""
        match value:
            case None:
                return "null"
            case bool():
                return "true" if value else "false"
            case int() | float():
                return f"the number {value}"[:_SHOWN_TEXT] if self.show_values else "a number"
            case str():
                return (
                    repr(value if len(value) <= _SHOWN_TEXT else value[:_SHOWN_TEXT] + "…")
                    if self.show_values
                    else "a string"
                )
            case list() | tuple():
                return "a list"
            case Map():
                return "an object"
            case _:
                return f"a {type(value).__name__}"


def inspect_value(value: object, model: type[msgspec.Struct], path: str, found: Inspection) -> object:
    """Check ``value`` against ``model`` and return it without unknown fields and without nulls."""
    return _check(value, _struct(model), path, found)


def join(path: str, key: object) -> str:
    """Append a field or a map key to a path; unusual keys are put in brackets."""
    text = str(key)
    if not _PLAIN_KEY.fullmatch(text):
        return f"{path}[{text[:_SHOWN_TEXT]!r}]"
    return f"{path}.{text}" if path else text


@lru_cache(maxsize=256)
def _struct(model: type[msgspec.Struct]) -> inspect.StructType:
    described = inspect.type_info(model)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - a struct is described as a struct
    return described


@lru_cache(maxsize=256)
def _fields(model: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    return {member.encode_name: member for member in _struct(model).fields}


def _check(value: object, kind: inspect.Type, path: str, found: Inspection) -> object:
    match kind:
        case inspect.StructType():
            return _check_struct(value, kind, path, found)
        case inspect.VarTupleType() | inspect.ListType():
            return _check_list(value, kind.item_type, path, found)
        case inspect.DictType():
            return _check_map(value, kind, path, found)
        case inspect.UnionType():
            return _check_union(value, kind, path, found)
        case inspect.AnyType():
            return value
        case _:
            if not _is_scalar(value, kind):
                found.expected(path, describe(kind), value, _scalar_hint(value, kind))
            return int(value) if isinstance(kind, inspect.IntType) and isinstance(value, float) else value


def _check_struct(value: object, kind: inspect.StructType, path: str, found: Inspection) -> object:
    if not isinstance(value, Map):
        found.expected(path, "an object", value)
        return value
    known = _fields(kind.cls)
    clean: dict[object, object] = {}
    for key, item in value.items():
        member = known.get(key) if isinstance(key, str) else None
        if member is None:
            if kind.forbid_unknown_fields:
                found.unknown(join(path, key), str(key), known)
        elif item is not None or _allows_null(member.type):
            clean[key] = _check(item, member.type, join(path, key), found)
    for name, member in known.items():
        if member.required and name not in clean:
            found.missing(join(path, name), describe(member.type))
    return clean


def _check_list(value: object, item: inspect.Type, path: str, found: Inspection) -> object:
    if not isinstance(value, (list, tuple)):
        hint = "write it as a list" if _is_scalar(value, item) else ""
        found.expected(path, f"a list of {describe_many(item)}", value, hint)
        return value
    return [_check(member, item, f"{path}[{index}]", found) for index, member in enumerate(value)]


def _check_map(value: object, kind: inspect.DictType, path: str, found: Inspection) -> object:
    if not isinstance(value, Map):
        found.expected(path, f"an object with {describe_many(kind.value_type)} as values", value)
        return value
    clean: dict[object, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            found.expected(join(path, key), "a string as key", key)
        clean[key] = _check(item, kind.value_type, join(path, key), found)
    return clean


def _check_union(value: object, kind: inspect.UnionType, path: str, found: Inspection) -> object:
    if value is None and _allows_null(kind):
        return None
    members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
    if len(members) == 1:
        return _check(value, members[0], path, found)
    for member in members:
        attempt = Inspection(show_values=found.show_values)
        clean = _check(value, member, path, attempt)
        if not attempt.failed:
            found.problems.extend(attempt.problems)
            return clean
    found.expected(path, describe(kind), value)
    return value


def _is_scalar(value: object, kind: inspect.Type) -> bool:
    match kind:
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return whole and not isinstance(value, bool) and _in_range(value, kind)
        case inspect.FloatType():
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case inspect.LiteralType():
            return not isinstance(value, bool) and isinstance(value, (str, int)) and value in kind.values
        case inspect.BytesType():
            return isinstance(value, str) and _is_base64(value)
        case _:
            return False


def _in_range(value: object, kind: inspect.IntType) -> bool:
    if not isinstance(value, (int, float)):
        return False
    return (kind.ge is None or value >= kind.ge) and (kind.le is None or value <= kind.le)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _allows_null(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.UnionType):
        return kind.includes_none
    return isinstance(kind, (inspect.AnyType, inspect.NoneType))


def _scalar_hint(value: object, kind: inspect.Type) -> str:
    if isinstance(kind, inspect.StrType) and isinstance(value, (bool, int, float)):
        return "put it in quotes"
    if isinstance(kind, (inspect.IntType, inspect.BoolType)) and isinstance(value, str):
        return "remove the quotes"
    if isinstance(kind, inspect.LiteralType) and isinstance(value, str):
        same = [choice for choice in kind.values if isinstance(choice, str) and choice.lower() == value.lower()]
        close = same or get_close_matches(value, [str(choice) for choice in kind.values], n=1, cutoff=0.6)
        return f"did you mean {close[0]}?" if close else ""
    return ""


def describe(kind: inspect.Type) -> str:
    """Say what a field takes: "an integer from 1 to 65535", "one of SELF, ALL, SELECTOR"."""
    match kind:
        case inspect.IntType():
            return _describe_integer(kind)
        case inspect.StrType():
            return "a string"
        case inspect.BoolType():
            return "true or false"
        case inspect.FloatType():
            return "a number"
        case inspect.BytesType():
            return "base64 text"
        case inspect.LiteralType():
            return "one of " + ", ".join(str(choice) for choice in kind.values)
        case inspect.VarTupleType() | inspect.ListType():
            return f"a list of {describe_many(kind.item_type)}"
        case inspect.UnionType():
            members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
            return " or ".join(describe(member) for member in members)
        case _:
            return "an object"


def describe_many(kind: inspect.Type) -> str:
    """The same in the plural, as far as it goes."""
    match kind:
        case inspect.StrType():
            return "strings"
        case inspect.BytesType():
            return "base64 texts"
        case inspect.StructType() | inspect.DictType():
            return "objects"
        case _:
            return f"values, each {describe(kind)}"


def _describe_integer(kind: inspect.IntType) -> str:
    if kind.ge is not None and kind.le is not None:
        if kind.le >= 2**31 - 1:
            return "an integer, 0 or more" if kind.ge == 0 else "an integer"
        return f"an integer from {kind.ge} to {kind.le}"
    return "an integer" if kind.ge is None else f"an integer, {kind.ge} or more"
