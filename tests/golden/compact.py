"""The reviewable form of a translation: IR objects without fields that have their default value."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass, replace
from typing import TYPE_CHECKING

import yaml

from gateway import ir
from gateway.resources import ResourceSet
from gateway.resources.reader import read_object

if TYPE_CHECKING:
    from gateway.diagnostics import Diagnostic
    from gateway.resources import Resource


def read(text: str) -> tuple[ResourceSet, list[Diagnostic]]:
    """Objects and findings of a manifest."""
    resources: list[Resource] = []
    findings: list[Diagnostic] = []
    for document in yaml.safe_load_all(text):
        if document is not None:
            result = read_object(document)
            resources.extend(result.resources)
            findings.extend(result.diagnostics)
    return ResourceSet.build(resources), findings


def compact(value: object) -> object:
    """Plain data; origins as ``Kind namespace/name``, private keys left out."""
    if isinstance(value, ir.Origin):
        return f"{value.kind} {value.namespace}/{value.name}".strip()
    if isinstance(value, ir.Certificate):
        value = replace(value, private_key="<redacted>", chain=value.chain.splitlines()[0])
    if is_dataclass(value) and not isinstance(value, type):
        result: dict[str, object] = {}
        for item in fields(value):
            content = getattr(value, item.name)
            default = item.default_factory() if item.default_factory is not MISSING else item.default
            if content != default:
                result[item.name] = compact(content)
        return result
    if isinstance(value, tuple | list):
        return [compact(item) for item in value]
    return value
