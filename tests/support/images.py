"""Container images made and started without a container runtime: buildah builds in a chroot, on bases of our own.

A base is made by debootstrap and kept as a tarball between runs. Whatever a build leaves behind, layers and all, lies
in one folder that the test owns; only caches of packages outlive it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
"""What the final stages of the Dockerfile expect of their base."""
BASE_PYTHON = (3, 11)
"""Of Debian's suite; a wheel that is made here has to be for the same."""
PROGRAMS = ("buildah", "curl", "debootstrap", "git", "ip", "nsenter", "setpriv", "unshare")
CERTIFICATES = Path("/etc/ssl/certs")
PIP_SETTINGS = Path("/etc/pip.conf")
BASE_SECONDS, BUILD_SECONDS = 600, 1200


def require_programs() -> None:
    """Skip the test where images cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("images are made as root")
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    if sys.version_info[:2] != BASE_PYTHON:
        pytest.skip(f"wheels of this environment do not fit Python {BASE_PYTHON[0]}.{BASE_PYTHON[1]} of {SUITE}")


def cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice-ci" / "image"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def debian_base() -> Path:
    """A tarball of Debian with :data:`BASE_PACKAGES`; another list of packages is another tarball."""
    state = hashlib.sha256(repr((SUITE, BASE_PACKAGES)).encode()).hexdigest()[:12]
    tarball = cache_folder() / f"{SUITE}-{state}.tar.gz"
    if tarball.exists():
        return tarball
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        root, half = Path(scratch) / "root", Path(scratch) / tarball.name
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", SUITE, str(root), MIRROR]
        _run(command, BASE_SECONDS)
        shutil.rmtree(root / "var/cache/apt/archives")
        shutil.rmtree(root / "var/lib/apt/lists")
        _run(["tar", "--create", "--gzip", f"--file={half}", f"--directory={root}", "."], BASE_SECONDS)
        half.replace(tarball)
    return tarball


@dataclass(frozen=True, slots=True)
class Image:
    """A built image: its settings, as its registry would have them, and its files."""

    config: Mapping[str, Any]
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        pairs = (text.partition("=") for text in self.config["Env"])
        return {name: value for name, _, value in pairs}


class Builder:
    """A store of images in one folder."""

    def __init__(self, folder: Path) -> None:
        self._command = ["buildah", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._command += ["--storage-driver", "vfs"]

    def run(self, *arguments: str) -> str:
        return _run([*self._command, *arguments], BUILD_SECONDS)

    def import_base(self, tag: str, tarball: Path) -> None:
        """An image of one layer: what the tarball holds."""
        container = self.run("from", "scratch").strip()
        self.run("add", "--quiet", container, str(tarball), "/")
        self.run("commit", "--quiet", "--rm", container, tag)

    def build(self, context: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """Build ``context`` with the registries as this machine reaches them."""
        options = ["--isolation", "chroot", "--network", "host", "--pull-never", "--tag", tag]
        options += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        if PIP_SETTINGS.exists():
            options += ["--volume", f"{PIP_SETTINGS}:{PIP_SETTINGS}:ro"]
        for name, value in arguments.items():
            options += ["--build-arg", f"{name}={value}"]
        self.run("build", *options, str(context))

    @contextmanager
    def opened(self, tag: str) -> Iterator[Image]:
        """The image with its files mounted."""
        config = json.loads(self.run("inspect", "--type", "image", tag))["OCIv1"]["config"]
        container = self.run("from", "--pull-never", tag).strip()
        try:
            yield Image(config, Path(self.run("mount", container).strip()))
        finally:
            self.run("rm", container)


def _run(command: Sequence[str], seconds: float) -> str:
    # What outlives a build (caches of its RUN steps) goes where the machine keeps such things.
    env = {**os.environ, "TMPDIR": str(cache_folder())}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=seconds)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout
