"""YAML text to plain values, with limits, on top of libyaml's events.

Refused: duplicate keys, unknown tags, keys that are no scalars, deep nesting, and alias bombs (every node that an
alias stands for is counted again). Tags of Python are never looked at, so no text can run code.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import yaml
from yaml._yaml import CParser

from gateway.resources.scalars import key_text, resolve, resolve_tagged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ALIASED_NODES = 100_000
"""Values that the aliases of one document may stand for; what is written out is bounded by the size of the text."""

MAX_DEPTH = 100
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""An object in a cluster is at most 1.5 MiB (etcd); a ``List`` of objects may be larger."""

Value = object
_STR_TAG = "tag:yaml.org,2002:str"
_MERGE = "<<"


class ManifestError(ValueError):
    """A text that is not a usable manifest. ``line`` counts from 1 inside the text."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value and the line where it starts, counted from 1."""

    value: Value
    line: int


def parse_yaml(text: str) -> list[Document]:
    """Parse every document of ``text``; empty documents are left out. Raises :class:`ManifestError`."""
    if len(text) > MAX_DOCUMENT_BYTES:
        raise ManifestError(f"the document is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        return list(_Builder(CParser(text)).documents())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise ManifestError(f"is not YAML: {what}", mark.line + 1 if mark is not None else 0) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise ManifestError(f"is not YAML: {error}") from error


class _Mark(Protocol):
    """A place in the text; ``line`` counts from 0."""

    line: int


class _Event(Protocol):
    """An event of libyaml; fields that its kind does not have are never asked for."""

    start_mark: _Mark
    anchor: str
    tag: str | None
    implicit: tuple[bool, bool]
    value: str


class _Builder:
    """Builds values from the events of one stream."""

    __slots__ = ("_aliased", "_anchors", "_next", "_nodes")

    def __init__(self, parser: CParser) -> None:
        self._next = cast("Callable[[], _Event]", parser.get_event)
        self._anchors: dict[str, tuple[Value, int, int]] = {}
        self._nodes = 0
        self._aliased = 0

    def documents(self) -> Iterator[Document]:
        """Yield the documents of the stream."""
        self._next()
        while isinstance(event := self._next(), yaml.DocumentStartEvent):
            self._anchors = {}
            self._nodes = self._aliased = 0
            first = self._next()
            line = first.start_mark.line + 1
            value, _ = self._node(first, 0)
            self._next()
            if value is not None:
                yield Document(value, line)
        assert isinstance(event, yaml.StreamEndEvent)  # noqa: S101 - libyaml's grammar

    def _node(self, event: _Event, depth: int) -> tuple[Value, int]:
        """Build the node that starts with ``event``; also return the depth of its subtree."""
        kind: type[object] = type(event)
        if kind is yaml.ScalarEvent:
            self._nodes += 1
            value = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1, 0)
            return value, 0
        if kind is yaml.AliasEvent:
            return self._alias(event, depth)
        if depth >= MAX_DEPTH:
            raise ManifestError(f"is nested deeper than {MAX_DEPTH} levels", event.start_mark.line + 1)
        before = self._nodes
        self._nodes += 1
        value, height = self._mapping(event, depth) if kind is yaml.MappingStartEvent else self._sequence(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._nodes - before, height)
        return value, height

    def _alias(self, event: _Event, depth: int) -> tuple[Value, int]:
        target = self._anchors.get(event.anchor)
        if target is None:
            raise ManifestError(
                f"uses the alias *{event.anchor} before its anchor is complete", event.start_mark.line + 1
            )
        value, nodes, height = target
        self._nodes += nodes
        self._aliased += nodes
        if self._aliased > MAX_ALIASED_NODES:
            raise ManifestError(f"has aliases for more than {MAX_ALIASED_NODES} values", event.start_mark.line + 1)
        if depth + height > MAX_DEPTH:
            raise ManifestError(f"is nested deeper than {MAX_DEPTH} levels", event.start_mark.line + 1)
        return value, height

    def _sequence(self, event: _Event, depth: int) -> tuple[Value, int]:
        if event.tag is not None and event.tag != "tag:yaml.org,2002:seq":
            self._refuse_tag(event)
        items: list[Value] = []
        height = 0
        while not isinstance(child := self._next(), yaml.SequenceEndEvent):
            item, below = self._node(child, depth + 1)
            items.append(item)
            height = max(height, below)
        return items, height + 1

    def _mapping(self, event: _Event, depth: int) -> tuple[Value, int]:
        if event.tag is not None and event.tag != "tag:yaml.org,2002:map":
            self._refuse_tag(event)
        values: dict[str, Value] = {}
        merged: list[Value] = []
        height = 0
        while not isinstance(child := self._next(), yaml.MappingEndEvent):
            key, line = self._key(child, depth), child.start_mark.line + 1
            value, below = self._node(self._next(), depth + 1)
            height = max(height, below)
            if key is None:
                merged.append(value)
                continue
            if key in values:
                raise ManifestError(f"has the key {key[:80]!r} twice", line)
            values[key] = value
        return (self._merge(values, merged, event) if merged else values), height + 1

    def _key(self, event: _Event, depth: int) -> str | None:
        """Return the text of a key, ``None`` for the merge key ``<<``."""
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and not event.anchor:
            text = event.value
            self._nodes += 1
            return None if text == _MERGE else key_text(resolve(text))
        value, _ = self._node(event, depth + 1)
        if isinstance(value, (list, dict)):
            raise ManifestError("has a key that is no scalar", event.start_mark.line + 1)
        return key_text(value)  # type: ignore[arg-type]

    def _merge(self, values: dict[str, Value], merged: list[Value], event: _Event) -> dict[str, Value]:
        """Apply merge keys: the mapping's own keys win, then earlier sources before later ones."""
        sources = [item for value in merged for item in (value if isinstance(value, list) else [value])]
        for source in sources:
            if not isinstance(source, Map):
                raise ManifestError("has a merge key (<<) that names no mapping", event.start_mark.line + 1)
            for key, value in source.items():
                values.setdefault(key, value)
        return values

    def _scalar(self, event: _Event) -> Value:
        text = event.value
        if event.implicit[0]:
            return resolve(text)
        if event.tag is None or event.tag in ("!", _STR_TAG):
            return text
        try:
            return resolve_tagged(event.tag, text)
        except ValueError as error:
            raise ManifestError(str(error), event.start_mark.line + 1) from error

    def _refuse_tag(self, event: _Event) -> None:
        raise ManifestError(f"has the tag {str(event.tag)[:80]!r}, which is not supported", event.start_mark.line + 1)
