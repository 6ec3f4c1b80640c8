"""Settings of the whole test tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FOLDER_MARKERS = ("protocol", "kube", "conformance")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A folder that has a marker of its name gives it to its tests."""
    for item in items:
        for name in FOLDER_MARKERS:
            if name in item.path.parent.parts:
                item.add_marker(name)
