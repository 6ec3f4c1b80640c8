"""Load all files and remember what they gave."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.base.hashing import content_digest
from gateway.sources.assembly import Assembly
from gateway.sources.filestate import MAX_FILE_BYTES, FileState, read_file_state, unreadable_state
from gateway.sources.tree import ManifestFile, Signature, Tree, find_files, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.resources.reader import ReadSettings
    from gateway.sources.assembly import SourceState

_SETTLED_NS = 2_000_000_000
"""A file changed more recently than this is read again even if its signature is the same: time stamps are coarse."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    state: FileState
    signature: Signature
    digest: bytes = b""
    """Of the content, empty when it could not be read."""
    read_at_ns: int = 0

    def is_current(self, signature: Signature) -> bool:
        """Whether the file needs no reading: same signature, and it was old when it was read."""
        return (
            signature == self.signature and max(signature.mtime_ns, signature.ctime_ns) + _SETTLED_NS < self.read_at_ns
        )


class Loader:
    """Reads folders again and again; keeps parsed documents and unchanged objects. One thread at a time."""

    __slots__ = ("_assembly", "_files", "_paths", "_settings", "tree")

    def __init__(self, paths: Sequence[str], settings: ReadSettings) -> None:
        self._paths = tuple(paths)
        self._settings = settings
        self._files: dict[str, _Loaded] = {}
        self._assembly = Assembly()
        self.tree = Tree()

    def scan(self) -> SourceState:
        """Look at all files and return the state; the same object when nothing changed."""
        tree = find_files(self._paths)
        files: dict[str, _Loaded] = {}
        changed = False
        for file in tree.files:
            before = self._files.get(file.shown)
            if before is not None and before.is_current(file.signature):
                files[file.shown] = before
                continue
            loaded = self._load(file, before)
            changed = changed or before is None or loaded.state is not before.state
            files[file.shown] = loaded
        # A folder that cannot be listed must not look like a folder without files.
        blocked = [found.origin.path for found in tree.diagnostics if found.code == "file-unreadable"]
        for shown, before in self._files.items():
            if shown not in files and any(shown == path or shown.startswith(f"{path}/") for path in blocked):
                files[shown] = before
        changed = changed or files.keys() != self._files.keys() or tree.diagnostics != self.tree.diagnostics
        self._files, self.tree = files, tree
        if changed:
            self._assembly.update({shown: loaded.state for shown, loaded in files.items()}, tree.diagnostics)
        return self._assembly.state

    def _load(self, file: ManifestFile, before: _Loaded | None) -> _Loaded:
        known = before.state if before is not None else None
        now = time.time_ns()
        try:
            with open(file.path, "rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            state = unreadable_state(known, unreadable(file.shown, error))
            unchanged = known is not None and known.faults == state.faults
            return _Loaded(known if known is not None and unchanged else state, file.signature)
        digest = content_digest(content)
        if before is not None and before.digest == digest:
            return _Loaded(before.state, file.signature, digest, now)
        return _Loaded(read_file_state(content, file.shown, self._settings, known), file.signature, digest, now)
