"""A machine that cannot run a Kubernetes says what it lacks; where CI promises everything, that is an error."""

from __future__ import annotations

import os

import pytest

from tests.support.kube import programs


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs, "tool", lambda name: f"/usr/bin/{name}")


def test_without_root_the_tests_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="need root"):
        programs.control_plane_program()


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "tool", lambda name: None if name in ("etcd", "ip") else f"/usr/bin/{name}")
    with pytest.raises(pytest.skip.Exception, match=r"need etcd, ip \(Debian: etcd-server iproute2\)"):
        programs.control_plane_program()


def test_without_go_the_tests_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "go_command", lambda: None)
    with pytest.raises(pytest.skip.Exception, match="need Go"):
        programs.control_plane_program()


def test_in_ci_nothing_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(programs, "go_command", lambda: None)
    with pytest.raises(pytest.fail.Exception, match="need Go"):
        programs.control_plane_program()
