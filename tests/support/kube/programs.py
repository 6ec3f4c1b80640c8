"""The programs that a cluster is made of, and what to say when a machine cannot run them.

``python -m tests.support.kube.programs`` builds them ahead of the tests: the control plane takes minutes to compile.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.goprograms import built, go_command

MODULE = Path(__file__).resolve().parents[2] / "kube" / "cluster"
VERSION = "v1.36.3"
"""Of Kubernetes, as go.mod pins it. Programs that are built as a library do not know it by themselves."""
BUILD_SECONDS = 2400
_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = VERSION[1:].split(".")
_VALUES = {"gitVersion": VERSION, "gitMajor": _MAJOR, "gitMinor": _MINOR}
_FLAGS = ("-p=2", "-ldflags=-s -w " + " ".join(f"-X {_VERSION}.{name}={value}" for name, value in _VALUES.items()))
TOOLS = {"etcd": "etcd-server", "ip": "iproute2", "nft": "nftables", "setpriv": "util-linux", "unshare": "util-linux"}
"""What is run beside our own programs, and the Debian packages that have it."""


@dataclass(frozen=True, slots=True)
class NodePrograms:
    """What a node runs."""

    kubelet: Path
    echo: Path
    """The echo server of the Gateway API's conformance suite."""


def control_plane_program() -> Path:
    """API server and controllers in one. A machine that cannot run them skips the test; in CI that is an error."""
    if os.geteuid() != 0:
        lacking("root, for network namespaces")
    absent = [name for name in TOOLS if tool(name) is None]
    if absent:
        lacking(f"{', '.join(absent)} (Debian: {' '.join(sorted({TOOLS[name] for name in absent}))})")
    if go_command() is None:
        lacking("Go 1.26 or newer")
    return _program("controlplane")


def node_programs() -> NodePrograms:
    echo = "sigs.k8s.io/gateway-api/conformance/echo-basic"
    return NodePrograms(
        kubelet=_program("kubelet"),
        echo=built(echo, "kube-echo", MODULE, sources=None, flags=_FLAGS, seconds=BUILD_SECONDS),
    )


def tool(name: str) -> str | None:
    """Debian keeps some outside the PATH of some users."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def lacking(what: str) -> NoReturn:
    """Ends the test: skipped, but failed where CI promises that nothing is missing."""
    message = f"the tests on a real Kubernetes need {what}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def _program(name: str) -> Path:
    return built(f"./{name}", f"kube-{name}", MODULE, sources=f"{name}/*.go", flags=_FLAGS, seconds=BUILD_SECONDS)


def main() -> None:
    began = time.monotonic()
    try:
        control_plane_program()
        node_programs()
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        print(error.msg, file=sys.stderr)
        sys.exit(isinstance(error, pytest.fail.Exception))
    print(f"the programs of the cluster are there after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
