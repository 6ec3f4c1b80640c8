"""Make the root file system of the image: what one virtual environment needs to run, and nothing else.

    python3 root.py /opt/sluice /root-of-image

Copied are the environment, the interpreter behind it, its standard library without the parts that only people use,
every shared library that one of these names (the dynamic loader itself says which), certificates and the handful of
files that glibc looks for in /etc. There is no shell and no package manager. All modules are compiled, because nobody
can write there.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

USER = 65532
UNUSED = (
    "__pycache__",
    "config-*",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
)
"""Parts of the standard library for which a gateway has no use."""
NOT_LINKED = ("libgcc_s.so.1",)
"""Opened by name when a thread is cancelled or a panic unwinds; no file has to name it."""
FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/sbin/nologin\nsluice:x:{USER}:{USER}:sluice:/:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nsluice:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = ("dev", "etc/sluice", "proc", "run", "sys", "var/lib/sluice")
"""Mount points: of the kernel, of a folder of manifests, of the copy of the last good objects."""
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt",)
LINKS = ("/lib", "/lib64", "/usr/lib/ssl/certs", "/usr/lib/ssl/cert.pem")
"""Links of the base that paths of the rest go through."""


def main(environment: Path, root: Path) -> None:
    root.mkdir()
    for link in map(Path, LINKS):
        if link.is_symlink():
            within(root, link).parent.mkdir(parents=True, exist_ok=True)
            within(root, link).symlink_to(os.readlink(link))
            if link.is_dir():
                within(root, link.resolve()).mkdir(parents=True, exist_ok=True)
    shutil.copytree(environment, within(root, environment), symlinks=True, ignore=shutil.ignore_patterns("activate*"))
    unused = shutil.ignore_patterns(*UNUSED)
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        shutil.copytree(folder, within(root, Path(folder)), symlinks=True, ignore=unused, dirs_exist_ok=True)
    copy_chain(root, environment / "bin" / "python3")
    copy_libraries(root)
    for name in CERTIFICATES:
        if os.path.exists(name):
            copy_chain(root, Path(name))
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    compile_modules(root)


def within(root: Path, path: Path) -> Path:
    """Where ``path`` of the build stage lies in the image."""
    return root / path.relative_to("/")


def copy_chain(root: Path, path: Path) -> None:
    """Copy a file, and the links by which it is reached."""
    while True:
        target = within(root, path)
        # The links of the base (/lib to /usr/lib) make two names of one place.
        target.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_symlink():
            if not target.exists():
                shutil.copy2(path, target)
            return
        if not target.is_symlink() and not target.exists():
            target.symlink_to(os.readlink(path))
        path = Path(os.path.normpath(path.parent / os.readlink(path)))


def copy_libraries(root: Path) -> None:
    """Copy every shared library that a program or library in ``root`` asks for, and the loader."""
    needed = {library for file in root.rglob("*") if is_elf(file) for library in libraries(file, root)}
    for name in NOT_LINKED:
        needed |= {path for path in loader_cache() if path.name == name}
    for library in sorted(needed):
        copy_chain(root, library)
    # Libraries outside of /usr/lib (an interpreter in /usr/local) are found by the cache alone.
    for name in ("/etc/ld.so.conf", *map(str, Path("/etc/ld.so.conf.d").glob("*.conf"))):
        copy_chain(root, Path(name))
    subprocess.run(["ldconfig", "-r", str(root)], check=True)  # noqa: S603, S607 - the tool of the base


def is_elf(file: Path) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def libraries(file: Path, root: Path) -> set[Path]:
    """What the loader would load for ``file``; those that a wheel brings along lie in ``root`` already."""
    done = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    found = set()
    for line in done.stdout.splitlines():
        name, _, rest = line.strip().partition(" => ")
        path = (rest or name).rpartition(" (")[0]
        if rest == "not found":
            raise SystemExit(f"{file} needs {name}, which is not there")
        if path.startswith("/") and not path.startswith(str(root)):
            found.add(Path(path))
    return found


def loader_cache() -> list[Path]:
    """All libraries that the loader of the base knows."""
    done = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True)  # noqa: S607
    return [Path(line.rpartition(" => ")[2]) for line in done.stdout.splitlines() if " => " in line]


def compile_modules(root: Path) -> None:
    """Compiled files are taken as they are, whatever times an image gives to files."""
    for folder in root.rglob("python3*"):
        if folder.is_dir():
            compileall.compile_dir(
                folder,
                quiet=1,
                maxlevels=20,
                stripdir=str(root),
                prependdir="/",
                force=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
