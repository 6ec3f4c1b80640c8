"""Figures of a debug build mean nothing, so there are none: enabled benchmarks need a release build."""

from __future__ import annotations

import pytest

from gateway import _native


def pytest_collection_modifyitems(config: pytest.Config) -> None:
    enabled = config.getoption("benchmark_enable", default=False) or not config.getoption("benchmark_disable")
    profile = _native.build_info()["profile"]
    if enabled and profile != "release":
        raise pytest.UsageError(f"the compiled module is a {profile} build: run `make build` first")


def pytest_benchmark_update_machine_info(machine_info: dict[str, object]) -> None:
    machine_info["native"] = _native.build_info()
