"""Load all files and remember what they gave."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.base.hashing import content_digest
from gateway.diagnostics import Diagnostic, Origin
from gateway.sources.assembly import Assembly
from gateway.sources.filestate import MAX_FILE_BYTES, FileState, read_file_state, unreadable_state
from gateway.sources.tree import ManifestFile, Root, Signature, Tree, find_files, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from gateway.resources.reader import ReadSettings
    from gateway.sources.assembly import SourceState

_SETTLED_NS = 2_000_000_000
"""A file changed more recently than this is read again even if its signature is the same: time stamps are coarse."""
_MAX_DOUBTS = 20
"""Looks in a row that may find other files missing before the objects of those files are given up all the same."""


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
    """Reads folders again and again; keeps parsed documents and unchanged objects. One thread at a time.

    What cannot be looked at (a path that is gone, a folder that cannot be listed) keeps its last good objects. A file
    that is missing in a folder which is there loses them, but only when a second look finds the same: the first one may
    have come in the middle of the removal of the whole folder.
    """

    __slots__ = ("_assembly", "_doubts", "_files", "_findings", "_missing", "_paths", "_settings", "tree")

    def __init__(self, paths: Sequence[str], settings: ReadSettings) -> None:
        self._paths = tuple(paths)
        self._settings = settings
        self._files: dict[str, _Loaded] = {}
        self._assembly = Assembly()
        self._findings: list[Diagnostic] = []
        self._missing: AbstractSet[str] = frozenset()
        self._doubts = 0
        self.tree = Tree()

    @property
    def unsure(self) -> bool:
        """Whether the last look found files missing and waits for the next one to find the same."""
        return self._doubts > 0

    def scan(self) -> SourceState:
        """Look at all files and return the state; the same object when nothing changed or the look was unsure."""
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
        kept: AbstractSet[str] = frozenset()
        if files.keys() != self._files.keys():
            changed = True
            missing = self._files.keys() - files.keys()
            kept = {shown for shown in missing if tree.hides(shown)}
            if self._doubted(missing - kept):
                return self._assembly.state
            files = self._with_kept(files, kept)
        self._doubts = 0
        findings = [*tree.diagnostics, *_blocked(tree, kept), *_empty(tree, files)]
        changed = changed or findings != self._findings
        self._files, self._findings, self.tree = files, findings, tree
        if changed:
            self._assembly.update({shown: loaded.state for shown, loaded in files.items()}, findings)
        return self._assembly.state

    def _doubted(self, missing: AbstractSet[str]) -> bool:
        """Whether to look again before these files count as deleted."""
        if not missing or missing == self._missing or self._doubts == _MAX_DOUBTS:
            self._missing = frozenset()
            return False
        self._missing = missing
        self._doubts += 1
        return True

    def _with_kept(self, files: dict[str, _Loaded], kept: AbstractSet[str]) -> dict[str, _Loaded]:
        """Put files that cannot be seen back in their places: the order decides between declarations."""
        if not kept:
            return files
        merged: dict[str, _Loaded] = {}
        earlier = iter(self._files.items())
        for shown, loaded in files.items():
            if shown in self._files:
                for name, before in earlier:
                    if name == shown:
                        break
                    if name in kept:
                        merged[name] = before
            merged[shown] = loaded
        merged.update((name, before) for name, before in earlier if name in kept)
        return merged

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


def _blocked(tree: Tree, kept: AbstractSet[str]) -> Iterator[Diagnostic]:
    """Why something cannot be looked at, and what that means for what was there."""
    roots = {root.shown for root in tree.roots}
    for shown, found in tree.blocked.items():
        below = f"{shown.rstrip('/')}/"
        if any(name == shown or name.startswith(below) for name in kept):
            hint = "put it back; to remove its objects delete their files and leave the folder, or restart without it"
            if shown not in roots:
                hint = "mend it, or delete it to remove its objects"
            message = f"{found.message}; its last good objects stay in use"
            yield replace(found, severity="error", message=message, hint=hint)
        else:
            yield found


def _empty(tree: Tree, files: dict[str, _Loaded]) -> Iterator[Diagnostic]:
    """Paths that give no object at all, which is hardly what was meant."""
    for root in tree.roots:
        if not (root.shared or _hidden(root, tree) or any(files[shown].state.says_something for shown in root.files)):
            reason = "no object is declared here" if root.files else "there is no .yaml, .yml or .json file here"
            message = f"nothing was found: {reason}"
            hint = "name the files or folders that hold the manifests"
            yield Diagnostic("error", "nothing-found", message, Origin(path=root.shown), hint=hint)


def _hidden(root: Root, tree: Tree) -> bool:
    below = f"{root.shown.rstrip('/')}/"
    return any(shown == root.shown or shown.startswith(below) for shown in tree.blocked)
