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
class Tree:
    """The files found, the folders to watch, and what could not be looked at."""

    files: list[ManifestFile] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)
    """Folders outside the given ones that symbolic links lead to."""
    diagnostics: list[Diagnostic] = field(default_factory=list)


def find_files(paths: Iterable[str]) -> Tree:
    """List the manifests: files as given, folders recursively in the order of their paths.

    Hidden entries are left out, except through ``..data``. Links are followed, every file and folder is taken once.
    """
    tree = Tree()
    seen: set[tuple[int, int]] = set()
    for root in paths:
        for path, shown in _walk(root, root, tree, seen, 0):
            _add(path, shown, root, tree, seen)
            if len(tree.files) >= MAX_FILES:
                message = f"only the first {MAX_FILES} files are loaded"
                tree.diagnostics.append(Diagnostic("error", "files-too-many", message, Origin(path=shown_path(root))))
                return tree
    return tree


def shown_path(path: str) -> str:
    """A path as text that every encoder takes, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "replace")


def _walk(path: str, shown: str, tree: Tree, seen: set[tuple[int, int]], depth: int) -> Iterator[tuple[str, str]]:
    try:
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            if depth == 0 or shown.lower().endswith(SUFFIXES):
                yield path, shown
            return
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            return
        seen.add(identity)
        names = sorted(os.listdir(path)) if depth < MAX_FOLDERS_DEEP else []
    except OSError as error:
        if depth == 0 or not isinstance(error, FileNotFoundError):
            tree.diagnostics.append(unreadable(shown, error))
        return
    for name in names:
        if not name.startswith("."):
            yield from _walk(os.path.join(path, name), os.path.join(shown, name), tree, seen, depth + 1)
    if KUBELET_LINK in names:
        yield from _walk(os.path.join(path, KUBELET_LINK), shown, tree, seen, depth + 1)


def _add(path: str, shown: str, root: str, tree: Tree, seen: set[tuple[int, int]]) -> None:
    try:
        status = os.stat(path)
    except OSError as error:
        tree.diagnostics.append(unreadable(shown, error))
        return
    if not stat.S_ISREG(status.st_mode):
        message = "is no regular file and is not loaded"
        tree.diagnostics.append(Diagnostic("warning", "file-irregular", message, Origin(path=shown_path(shown))))
        return
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    signature = Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    tree.files.append(ManifestFile(path, shown_path(shown), signature))
    real = os.path.realpath(path)
    base = os.path.abspath(root)
    if real != base and not real.startswith(os.path.join(base, "")):
        tree.targets.add(os.path.dirname(real))


def unreadable(shown: str, error: OSError) -> Diagnostic:
    """The finding for a file or folder that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return Diagnostic("error", "path-missing", "does not exist", Origin(path=shown_path(shown)))
    reason = (error.strerror or type(error).__name__).lower()
    return Diagnostic("error", "file-unreadable", f"cannot be read: {reason}", Origin(path=shown_path(shown)))
