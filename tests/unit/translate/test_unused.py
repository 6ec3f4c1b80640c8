"""The table of what has no effect yet names things that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.resources import MappingSpec, ModuleConfig
from gateway.resources.core import ServicePort
from gateway.resources.hosts import ListenerSpec
from gateway.translate.differences import DIFFERENCES
from gateway.translate.unused import WITHOUT_EFFECT, is_unused

NAMES = [name for names in WITHOUT_EFFECT.values() for name in names]
KNOWN = {
    "Mapping": set(MappingSpec.__struct_encode_fields__),
    "Module": set(ModuleConfig.__struct_encode_fields__),
    "Listener": set(ListenerSpec.__struct_encode_fields__),
    "Service": set(ServicePort.__struct_encode_fields__),
}


@pytest.mark.parametrize("name", [*NAMES, *DIFFERENCES])
def test_names_exist(name: str) -> None:
    kind, _, field = name.partition(".")
    assert field in KNOWN[kind]


def test_names_are_in_one_line_each() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert not set(NAMES) & set(DIFFERENCES), "what is different by intention is not to come"


def test_questions() -> None:
    assert not is_unused("Mapping.prefix")
    assert is_unused("Mapping.docs")


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_migration_guide_names_each_difference(name: str) -> None:
    guide = (Path(__file__).parents[3] / "docs/migrating-from-emissary.md").read_text(encoding="utf-8")
    assert f"`{name.partition('.')[2]}`" in guide
