"""A node: the kubelet of the tests, and the images that its pods may name."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.kube.controlplane import SERVICE_RANGE
from tests.support.kube.network import BRIDGE, NODE_ADDRESS, PREFIX_LENGTH
from tests.support.kube.programs import tool

if TYPE_CHECKING:
    from tests.support.kube.controlplane import ControlPlane
    from tests.support.kube.programs import NodePrograms

NAME = "node-1"
ECHO_IMAGE = "registry.k8s.io/gateway-api/conformance/echo-basic"
"""The echo server of the Gateway API's conformance suite: HTTP on 3000, answers JSON that names its pod."""
PYTHON_IMAGE = "python"
SLUICE_IMAGE = "sluice"
ROOT = Path(__file__).resolve().parents[3]
_SLUICE_USER = 65532


@dataclass(frozen=True, slots=True)
class Image:
    """What the configuration of an OCI image says; its files are those of the machine."""

    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: int | None = None
    readable: tuple[Path, ...] = ()
    """Folders that a user without rights has to reach, wherever they are."""

    def document(self) -> dict[str, Any]:
        return {
            "entrypoint": self.entrypoint,
            "cmd": self.cmd,
            "env": self.env,
            "workingDir": self.working_dir,
            "user": self.user,
            "readable": [str(path) for path in self.readable],
        }


class Node:
    """Runs the pods of a control plane. Ends with it."""

    def __init__(self, control_plane: ControlPlane, programs: NodePrograms) -> None:
        self._control_plane = control_plane
        self._programs = programs
        self._folder = control_plane.folder / "node"
        self._images: dict[str, Image] = {}

    def start(self) -> None:
        """The kubelet is on its way; it binds pods when it has registered the node."""
        self._folder.mkdir()
        self.add_image(ECHO_IMAGE, Image((str(self._programs.echo),)))
        self.add_image(PYTHON_IMAGE, _python())
        self.add_image(SLUICE_IMAGE, _sluice())
        credentials = self._control_plane.credentials
        unshare = tool("unshare")
        assert unshare is not None, "unshare is not installed"
        self._control_plane.begin(
            "kubelet",
            [
                # When the kubelet ends, the kernel ends every process of its pods.
                *(unshare, "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"),
                str(self._programs.kubelet),
                f"--kubeconfig={self._control_plane.identity('kubelet').path}",
                f"--node={NAME}",
                f"--address={NODE_ADDRESS}/{PREFIX_LENGTH}",
                f"--bridge={BRIDGE}",
                f"--service-range={SERVICE_RANGE}",
                f"--root={self._folder}",
                f"--images={self._images_path}",
                f"--tls-cert-file={credentials.certificate}",
                f"--tls-private-key-file={credentials.key}",
                "-v=2",
            ],
        )

    def add_image(self, name: str, image: Image) -> None:
        """For containers that are started from now on. A name without a tag stands for every tag."""
        self._images[name] = image
        text = json.dumps({name: image.document() for name, image in self._images.items()}, indent=2)
        fresh = self._images_path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self._images_path)

    def log_path(self, namespace: str, pod: str, uid: str, container: str, run: int = 0) -> Path:
        """What a container wrote; stays when the pod is gone."""
        return self._folder / "logs" / namespace / pod / uid / container / f"{run}.log"

    @property
    def _images_path(self) -> Path:
        return self._folder / "images.json"


def _readable() -> tuple[Path, ...]:
    """Where Python and this tree are."""
    places = [ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))]
    return tuple(dict.fromkeys(place.resolve() for place in places))


def _python() -> Image:
    """The interpreter of the tests with what is installed for them."""
    return Image((sys.executable,), env={"PYTHONUNBUFFERED": "1"}, working_dir=str(ROOT), readable=_readable())


def _sluice() -> Image:
    """Sluice from this tree as its own image would run it: same user, same command line."""
    bin_folder = str(Path(sys.executable).parent)
    return Image(
        (sys.executable, "-m", "gateway"),
        ("run", "/etc/sluice", "--admin-address", "0.0.0.0:8877"),
        env={
            "PATH": f"{bin_folder}:{os.defpath}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        user=_SLUICE_USER,
        readable=_readable(),
    )
