"""From a model to the structural schema that the API server checks and prunes by (OpenAPI 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import inspect

from gateway.resources.crds.allowances import (
    ATOMIC,
    BOUNDED,
    LIST_OR_STRING,
    NOT_ENUMERATED,
    OPEN,
    OPEN_OBJECT,
    RULES,
    WIDER,
    Schema,
)
from gateway.resources.crds.docs import field_texts, plain
from gateway.resources.legacy import SPELLINGS

if TYPE_CHECKING:
    import msgspec


def struct_schema(model: type[msgspec.Struct], place: str) -> Schema:
    """The schema of an object. ``place`` is its kind, or kind and fields, where older spellings are looked up."""
    described = inspect.type_info(model)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - a struct is described as a struct
    texts = field_texts(model)
    properties: dict[str, Schema] = {}
    for member in described.fields:
        schema = _member(model, member, place)
        if text := texts.get(member.name):
            schema = {"description": text, **schema}
        properties[member.encode_name] = schema
    for old, new in SPELLINGS.get(place, {}).items():
        properties.setdefault(old, {**properties[new], "description": f"Name of {new} in v1 and v2."})
    schema = {"type": "object", "description": plain(model.__doc__), "properties": dict(sorted(properties.items()))}
    if required := sorted(member.encode_name for member in described.fields if member.required):
        schema["required"] = required
    if model.__name__ in ATOMIC:
        schema["x-kubernetes-map-type"] = "atomic"
    if rule := RULES.get(model):
        schema["x-kubernetes-validations"] = [{"rule": rule[0], "message": rule[1]}]
    return schema


def _member(model: type[msgspec.Struct], member: inspect.Field, place: str) -> Schema:
    for cls in model.__mro__:
        if wider := WIDER.get((cls, member.encode_name)):
            return dict(wider)
    if member.encode_name in LIST_OR_STRING:
        return dict(OPEN)
    schema = _schema(member.type, f"{place}.{member.encode_name}")
    if not any((cls, member.encode_name) in BOUNDED for cls in model.__mro__):
        schema = {key: value for key, value in schema.items() if key not in ("minimum", "maximum")}
    if any((cls, member.encode_name) in NOT_ENUMERATED for cls in model.__mro__):
        schema = {key: value for key, value in schema.items() if key != "enum"}
    return schema


def _schema(kind: inspect.Type, place: str) -> Schema:
    match kind:
        case inspect.StructType():
            return struct_schema(kind.cls, place)
        case inspect.VarTupleType():
            return {"type": "array", "items": _schema(kind.item_type, place)}
        case inspect.DictType():
            if isinstance(kind.value_type, inspect.CustomType):  # ``object``
                return dict(OPEN_OBJECT)
            return {"type": "object", "additionalProperties": _schema(kind.value_type, place)}
        case inspect.UnionType():
            return _union(kind, place)
        case inspect.LiteralType():
            values = list(kind.values)
            return {"type": "integer" if isinstance(values[0], int) else "string", "enum": values}
        case inspect.IntType():
            bounds = {"minimum": kind.ge, "maximum": kind.le}
            return {"type": "integer", **{name: bound for name, bound in bounds.items() if bound is not None}}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.StrType():
            return {"type": "string"}
        case _:
            raise TypeError(f"{place}: no schema for {kind}")


def _union(kind: inspect.UnionType, place: str) -> Schema:
    members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
    if len(members) == 1:
        return _schema(members[0], place)
    if {type(member) for member in members} == {inspect.StrType, inspect.IntType}:
        return {"x-kubernetes-int-or-string": True}
    return dict(OPEN)
