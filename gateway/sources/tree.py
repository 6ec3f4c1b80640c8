"""Find the manifest files below some paths, in an order that does not depend on the file system."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.diagnostics import Diagnostic, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIXES = (".yaml", ".yml", ".json")
KUBELET_LINK = "..data"
"""Kubernetes mounts ConfigMaps and Secrets as ``name -> ..data/name`` and swaps the link ``..data`` on a change."""

MAX_FILES = 100_000
MAX_FOLDERS_DEEP = 64


@dataclass(frozen=True, slots=True)
class Signature:
    """What ``stat`` says about a file; equal signatures mean equal content, once the file is old enough."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file to load. ``shown`` is the name in diagnostics, which a swap of ``..data`` does not change."""

    path: str
    shown: str
    signature: Signature


@dataclass(slots=True)
class Root:
    """One of the given paths, and the files that were taken below it (as shown)."""

    shown: str
    files: list[str] = field(default_factory=list)
    shared: bool = False
    """It leads to something that an earlier path gave already."""


@dataclass(slots=True)
class Tree:
    """The files found, the folders to watch, and what could not be looked at."""

    files: list[ManifestFile] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)
    """Folders outside the given ones that symbolic links lead to."""
    roots: list[Root] = field(default_factory=list)
    blocked: dict[str, Diagnostic] = field(default_factory=dict)
    """Paths (as shown) of which nobody can tell what is below them, and why: that is not the same as "nothing"."""
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def hides(self, shown: str) -> bool:
        """Whether a file may be there and cannot be seen."""
        return any(shown == path or shown.startswith(os.path.join(path, "")) for path in self.blocked)


def find_files(paths: Iterable[str]) -> Tree:
    """List the manifests: files as given, folders recursively in the order of their paths.

    Hidden entries are left out, except through ``..data``. Links are followed, every file and folder is taken once.
    """
    walk = _Walk(Tree(), set())
    for root in paths:
        base = os.path.abspath(root)
        walk.tree.roots.append(Root(shown_path(root)))
        for found in walk.below(root, root, 0, os.path.realpath(os.path.dirname(base))):
            walk.add(found, base)
            if len(walk.tree.files) >= MAX_FILES:
                message = f"only the first {MAX_FILES} files are loaded"
                walk.tree.diagnostics.append(
                    Diagnostic("error", "files-too-many", message, Origin(path=shown_path(root)))
                )
                return walk.tree
    return walk.tree


def shown_path(path: str) -> str:
    """A path as text that every encoder takes, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Found:
    """A path that may be a manifest, and the same without links."""

    path: str
    shown: str
    status: os.stat_result
    real: str


@dataclass(frozen=True, slots=True)
class _Walk:
    """One look at everything. Links are resolved once per folder, and for entries that are links themselves."""

    tree: Tree
    seen: set[tuple[int, int]]
    """Device and inode of what was taken."""

    def below(self, path: str, shown: str, depth: int, parent: str) -> Iterator[_Found]:
        """Candidates at or below ``path``, which stands in the folder whose real path is ``parent``."""
        try:
            status = os.stat(path)
            link = os.path.islink(path)
            if not stat.S_ISDIR(status.st_mode):
                if depth == 0 or shown.lower().endswith(SUFFIXES):
                    real = os.path.realpath(path) if link else os.path.join(parent, os.path.basename(path))
                    yield _Found(path, shown, status, real)
                return
            identity = (status.st_dev, status.st_ino)
            if identity in self.seen:
                self.tree.roots[-1].shared = True
                return
            self.seen.add(identity)
            names = sorted(os.listdir(path)) if depth < MAX_FOLDERS_DEEP else []
        except OSError as error:
            if depth == 0 or not isinstance(error, FileNotFoundError):
                self.tree.blocked[shown_path(shown)] = unreadable(shown, error)
            elif shown.lower().endswith(SUFFIXES) and os.path.islink(path):
                self.tree.blocked[shown_path(shown)] = _dangling(path, shown)
            return
        here = os.path.realpath(path) if link or depth == 0 else os.path.join(parent, os.path.basename(path))
        for name in names:
            if not name.startswith("."):
                yield from self.below(os.path.join(path, name), os.path.join(shown, name), depth + 1, here)
        if KUBELET_LINK in names:
            yield from self.below(os.path.join(path, KUBELET_LINK), shown, depth + 1, here)

    def add(self, found: _Found, base: str) -> None:
        """Take a regular file, once; note the folder that a link leads to outside ``base``."""
        shown, status = shown_path(found.shown), found.status
        if not stat.S_ISREG(status.st_mode):
            message = "is no regular file and is not loaded"
            self.tree.diagnostics.append(Diagnostic("warning", "file-irregular", message, Origin(path=shown)))
            return
        root = self.tree.roots[-1]
        if (status.st_dev, status.st_ino) in self.seen:
            root.shared = True
            return
        root.files.append(shown)
        self.seen.add((status.st_dev, status.st_ino))
        signature = Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        self.tree.files.append(ManifestFile(found.path, shown, signature))
        if os.path.abspath(found.path) != base and not found.real.startswith(os.path.join(base, "")):
            self.tree.targets.add(os.path.dirname(found.real))


def _dangling(path: str, shown: str) -> Diagnostic:
    try:
        target = shown_path(os.readlink(path))
    except OSError:
        target = "something"
    message = f"is a link to {target}, which does not exist"
    return Diagnostic("warning", "link-dangling", message, Origin(path=shown_path(shown)))


def unreadable(shown: str, error: OSError) -> Diagnostic:
    """The finding for a file or folder that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return Diagnostic("error", "path-missing", "does not exist", Origin(path=shown_path(shown)))
    reason = (error.strerror or type(error).__name__).lower()
    return Diagnostic("error", "file-unreadable", f"cannot be read: {reason}", Origin(path=shown_path(shown)))
