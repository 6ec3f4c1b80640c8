"""The objects of one file, re-read document by document."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.diagnostics import Diagnostic, Origin
from gateway.resources.reader import ReadResult, ReadSettings, read_object
from gateway.resources.yamltree import Document, ManifestError, parse_yaml
from gateway.sources.jsonstream import parse_json
from gateway.sources.yamlstream import Piece, split_documents

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateway.base.keys import ObjectKey
    from gateway.resources.model import Resource

MAX_FILE_BYTES = 64 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a piece, with the line where it starts inside the piece (0 is the first line)."""

    key: ObjectKey
    resource: Resource
    line: int
    parent: ObjectKey | None = None
    """The object whose annotation declares it."""


@dataclass(frozen=True, slots=True)
class ParsedPiece:
    """What one piece of a file gave. Lines are relative to the piece, so that the piece may move."""

    entries: tuple[Entry, ...]
    diagnostics: tuple[Diagnostic, ...]
    refused: tuple[ObjectKey, ...] = ()
    stand_ins: tuple[Entry, ...] = ()
    """See :attr:`gateway.resources.ReadResult.stand_ins`."""
    unreadable: tuple[ObjectKey, ...] = ()
    guesses: tuple[Entry, ...] = ()
    """What :class:`gateway.resources.ReadResult` says about annotations that cannot be read."""


@dataclass(frozen=True, slots=True)
class PlacedPiece:
    """A piece and its place: ``line`` counts from 1, ``document`` from 0."""

    parsed: ParsedPiece
    line: int
    document: int


@dataclass(frozen=True, slots=True)
class FileState:
    """The last good content of one file."""

    pieces: tuple[PlacedPiece, ...] = ()
    by_text: Map[bytes, ParsedPiece] = field(default_factory=dict)
    """Parsed pieces by their exact text: looking a text up is cheaper than hashing it well, and never wrong."""
    faults: tuple[Diagnostic, ...] = ()
    """Findings about the file itself: why newer content is not in use."""
    kept: tuple[Entry, ...] = ()
    """Last good versions of objects whose newer version was refused, and stand-ins of those that never were good."""

    @property
    def says_something(self) -> bool:
        """Whether there is an object in it, or an error that says why there is none."""
        pieces = (placed.parsed for placed in self.pieces)
        return bool(self.faults or self.kept) or any(
            piece.entries or any(found.severity == "error" for found in piece.diagnostics) for piece in pieces
        )


def read_file_state(content: bytes, shown: str, settings: ReadSettings, before: FileState | None) -> FileState:
    """Read new content of a file.

    A document that cannot be parsed leaves the whole file at its last good objects, because it may be half-written; a
    file that never was good gives the documents that can be parsed. An object that is refused keeps its last good
    version. Documents with unchanged text are not parsed again, and equal objects keep their identity.
    """
    if len(content) > MAX_FILE_BYTES:
        return _at_fault(before, shown, f"is larger than {MAX_FILE_BYTES} bytes", 0)
    earlier = _objects(before) if before is not None else {}
    if earlier and not content.strip():
        return _at_fault(before, shown, "is empty; delete the file to remove its objects", 0)
    by_text: dict[bytes, ParsedPiece] = {}
    placed: list[PlacedPiece] = []
    faults: list[Diagnostic] = []
    for number, piece in enumerate(_pieces(content.removeprefix(_BOM), shown)):
        parsed = before.by_text.get(piece.text) if before is not None else None
        if parsed is None:
            try:
                parsed = _parse(piece, shown, settings, earlier)
            except ManifestError as error:
                line = piece.line + max(error.line - 1, 0)
                faults.append(Diagnostic("error", "file-invalid", str(error), Origin(path=shown), line=line))
                continue
        by_text[piece.text] = parsed
        placed.append(PlacedPiece(parsed, piece.line, number))
    if faults and earlier and before is not None:
        return replace(before, faults=(*faults, _stays(shown)))
    return FileState(tuple(placed), by_text, tuple(faults), _kept(placed, earlier))


def unreadable_state(before: FileState | None, fault: Diagnostic) -> FileState:
    """The state of a file that cannot be read now: its last good objects and the fault."""
    if before is None:
        return FileState(faults=(fault,))
    return replace(before, faults=(fault, _stays(fault.origin.path)) if _objects(before) else (fault,))


def _pieces(content: bytes, shown: str) -> list[Piece]:
    return [Piece(content, 1)] if shown.lower().endswith(".json") else list(split_documents(content))


def _parse(piece: Piece, shown: str, settings: ReadSettings, earlier: Map[ObjectKey, Entry]) -> ParsedPiece:
    try:
        text = piece.text.decode()
    except UnicodeDecodeError as error:
        raise ManifestError("is not UTF-8 text", piece.text.count(b"\n", 0, error.start) + 1) from error
    documents = parse_json(text) if shown.lower().endswith(".json") else parse_yaml(text)
    entries: list[Entry] = []
    diagnostics: list[Diagnostic] = []
    refused: list[ObjectKey] = []
    stand_ins: list[Entry] = []
    unreadable: list[ObjectKey] = []
    guesses: list[Entry] = []
    for document in documents:
        result = read_object(document.value, shown, settings)
        _collect(document, result, earlier, entries)
        diagnostics += [diagnostic.at_line(document.line) for diagnostic in result.diagnostics]
        refused += result.refused
        stand_ins += [_entry(item, document, result) for item in result.stand_ins]
        unreadable += result.unreadable
        guesses += [_entry(item, document, result) for item in result.guesses]
    return ParsedPiece(
        tuple(entries), tuple(diagnostics), tuple(refused), tuple(stand_ins), tuple(unreadable), tuple(guesses)
    )


def _collect(document: Document, result: ReadResult, earlier: Map[ObjectKey, Entry], entries: list[Entry]) -> None:
    for resource in result.resources:
        key = resource.key
        old = earlier.get(key)
        same = old.resource if old is not None and old.resource == resource else resource
        entries.append(_entry(same, document, result))


def _entry(resource: Resource, document: Document, result: ReadResult) -> Entry:
    key = resource.key
    return Entry(key, resource, document.line - 1, result.parents.get(key))


def _objects(state: FileState) -> dict[ObjectKey, Entry]:
    found = {entry.key: entry for entry in state.kept}
    for placed in state.pieces:
        for entry in placed.parsed.entries:
            found.setdefault(entry.key, entry)
    return found


def _kept(placed: list[PlacedPiece], earlier: Map[ObjectKey, Entry]) -> tuple[Entry, ...]:
    if not earlier and not any(piece.parsed.stand_ins or piece.parsed.guesses for piece in placed):
        return ()
    valid = {entry.key for piece in placed for entry in piece.parsed.entries}
    kept: dict[ObjectKey, Entry] = {}
    for piece in placed:
        for key in piece.parsed.refused:
            old = earlier.get(key)
            if old is not None and key not in valid:
                kept[key] = replace(old, line=piece.line)
        for entry in piece.parsed.stand_ins:
            if entry.key not in valid:
                kept.setdefault(entry.key, replace(entry, line=piece.line))
        for parent in piece.parsed.unreadable:
            known = {key: old for key, old in earlier.items() if old.parent == parent}
            kinds = {key.kind_group for key in known}
            fresh = {
                entry.key: entry
                for entry in piece.parsed.guesses
                if entry.parent == parent and entry.key.kind_group not in kinds
            }
            for key, entry in {**known, **fresh}.items():
                if key not in valid:
                    kept.setdefault(key, replace(entry, line=piece.line))
    return tuple(kept.values())


def _at_fault(before: FileState | None, shown: str, message: str, line: int) -> FileState:
    return unreadable_state(before, Diagnostic("error", "file-invalid", message, Origin(path=shown), line=line))


def _stays(shown: str) -> Diagnostic:
    return Diagnostic("warning", "last-good-kept", "its last good objects stay in use", Origin(path=shown))
