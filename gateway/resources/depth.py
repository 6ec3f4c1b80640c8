"""How deep plain data is nested: code that calls itself is for data of a known depth only."""

from __future__ import annotations


def is_deeper(value: object, limit: int) -> bool:
    """Whether more than ``limit`` objects and lists stand inside each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def cut(value: object, limit: int) -> object:
    """A copy with ``null`` for every object and list that has ``limit`` others around it."""
    if not isinstance(value, dict | list):
        return value
    if limit <= 0:
        return None
    if isinstance(value, dict):
        return {key: cut(item, limit - 1) for key, item in value.items()}
    return [cut(item, limit - 1) for item in value]
