"""The copy on disk is whole, private, and of this cluster, or it is not used."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.sources.kubernetes.diskcopy import MAX_AGE_S, DiskCopy, Scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCOPE = Scope("https://10.0.0.1:443", ("a", "b"), "", "", "default", "gateways")
TEXTS = [b'{"kind":"Service"}', b'{"kind":"Secret"}']


@pytest.fixture
def file(tmp_path: Path) -> Path:
    DiskCopy(str(tmp_path / "state"), SCOPE).write(TEXTS)
    return tmp_path / "state" / "kubernetes.json"


def test_what_is_written_is_read(file: Path) -> None:
    found = DiskCopy(str(file.parent), SCOPE).read()
    assert found is not None
    assert found.objects == [{"kind": "Service"}, {"kind": "Secret"}]
    assert found.age < 60
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(file.parent) == ["kubernetes.json"]


def test_there_may_be_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert DiskCopy(str(tmp_path), SCOPE).read() is None
    assert not caplog.text


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(b"\xff\n[]"), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"Secret", b"Sacred")), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":9')), "another version"),
        (lambda path: path.chmod(0o666), "somebody else"),
        (lambda path: os.utime(path, (0, time.time() - MAX_AGE_S - 60)), "older than 7 days"),
    ],
)
def test_a_copy_that_cannot_be_trusted_is_not_used(
    file: Path, spoil: Callable[[Path], object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(file)
    assert DiskCopy(str(file.parent), SCOPE).read() is None
    assert reason in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        replace(SCOPE, server="https://10.0.0.2:443"),
        replace(SCOPE, namespaces=()),
        replace(SCOPE, label_selector="a=b"),
        replace(SCOPE, ambassador_id="edge"),
    ],
)
def test_a_copy_of_another_scope_is_not_used(file: Path, other: Scope, caplog: pytest.LogCaptureFixture) -> None:
    assert DiskCopy(str(file.parent), other).read() is None
    assert "another cluster" in caplog.text


def test_a_copy_is_confirmed(file: Path) -> None:
    os.utime(file, (0, 0))
    DiskCopy(str(file.parent), SCOPE).confirm()
    assert time.time() - file.stat().st_mtime < 60


def test_a_copy_that_cannot_be_written_is_reported_and_leaves_the_old_one(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    copy = DiskCopy(str(file.parent), SCOPE)
    assert not copy.write([])
    assert "No space left" in caplog.text
    found = copy.read()
    assert found is not None
    assert len(found.objects) == 2
    assert os.listdir(file.parent) == ["kubernetes.json"]


def test_the_age_at_writing_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = DiskCopy(str(tmp_path), SCOPE)
    assert copy.write(TEXTS, 3600.0)
    os.utime(tmp_path / "kubernetes.json", (0, time.time() - 60))
    found = copy.read()
    assert found is not None
    assert 3660 <= found.age < 3700
    assert copy.write(TEXTS, MAX_AGE_S)
    os.utime(tmp_path / "kubernetes.json", (0, time.time() - 60))
    assert copy.read() is None
    assert "older than 7 days" in caplog.text
