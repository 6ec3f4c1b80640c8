"""Which files tell of the memory, and what is done about what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.plane.pressure import MemoryFiles, MemoryWatch, find_memory_files
from gateway.settings import OverloadSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from gateway.plane.pressure import Level


def version2(folder: Path, limit: str, used: int = 0, inactive: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(limit + "\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\n")


def version1(folder: Path, limit: int, used: int = 0, inactive: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"inactive_file 0\ntotal_inactive_file {inactive}\n")


def found(tmp_path: Path, membership: str) -> MemoryFiles | None:
    (tmp_path / "membership").write_text(membership)
    return find_memory_files(tmp_path / "root", tmp_path / "membership")


def test_the_innermost_group_with_a_limit(tmp_path: Path) -> None:
    version2(tmp_path / "root" / "pods" / "one" / "container", "max")
    version2(tmp_path / "root" / "pods" / "one", "1000", used=900, inactive=400)
    version2(tmp_path / "root" / "pods", "4000")
    files = found(tmp_path, "0::/pods/one/container\n")
    assert files is not None
    assert files.read() == 0.5


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    version2(tmp_path / "root", "1000", used=100)
    for path in ("/", "/pods/as/the/machine/names/it", "/../outside"):
        files = found(tmp_path, f"0::{path}\n")
        assert files is not None
        assert files.read() == 0.1


def test_version_1(tmp_path: Path) -> None:
    version1(tmp_path / "root" / "memory" / "docker" / "a", 1000, used=700, inactive=200)
    files = found(tmp_path, "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n")
    assert files is not None
    assert files.read() == 0.5


def test_no_limit(tmp_path: Path) -> None:
    version2(tmp_path / "root", "max")
    version1(tmp_path / "root" / "memory", 0x7FFFFFFFFFFFF000)
    assert found(tmp_path, "4:memory:/\n0::/\n") is None
    assert found(tmp_path, "") is None
    assert find_memory_files(tmp_path / "root", tmp_path / "nothing") is None


def test_a_limit_that_is_taken_away(tmp_path: Path) -> None:
    version2(tmp_path / "root", "1000", used=990)
    files = found(tmp_path, "0::/\n")
    assert files is not None
    told: list[Level] = []
    watch = MemoryWatch(OverloadSettings(), files, told.append)
    watch.look()
    version2(tmp_path / "root", "max", used=990)
    watch.look()
    assert (told, watch.used) == ([2, 0], None)


def test_marks_have_a_margin_on_the_way_down(tmp_path: Path) -> None:
    version2(tmp_path / "root", "1000")
    files = found(tmp_path, "0::/\n")
    assert files is not None
    told: list[Level] = []
    watch = MemoryWatch(OverloadSettings(), files, told.append)
    levels = []
    for used in (919, 920, 949, 950, 931, 930, 929, 901, 900, 899, 960, 0):
        version2(tmp_path / "root", "1000", used=used)
        watch.look()
        levels.append(watch.level)
    assert levels == [0, 1, 1, 2, 2, 2, 1, 1, 1, 0, 2, 0]
    assert told == [1, 2, 1, 0, 2, 0]


def test_unreadable_files_refuse_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    version2(tmp_path / "root", "1000", used=990)
    files = found(tmp_path, "0::/\n")
    assert files is not None
    told: list[Level] = []
    watch = MemoryWatch(OverloadSettings(), files, told.append)
    watch.look()
    (tmp_path / "root" / "memory.current").write_text("not a number\n")
    watch.look()
    watch.look()
    assert told == [2, 0]
    assert caplog.text.count("cannot read how much memory") == 1
    broken = MemoryWatch(OverloadSettings(), replace(files, usage=tmp_path / "gone"), told.append)
    broken.look()
    assert (broken.level, broken.used) == (0, None)
