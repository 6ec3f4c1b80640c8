"""The image of the Dockerfile, really built, and started as Kubernetes starts it: as a user who may do nothing, on
files that nobody can write."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.certs import Authority
from tests.support.charts import ROOT
from tests.support.images import Builder, Image, debian_base, require_programs
from tests.support.manifests import host, mapping, write
from tests.support.processes import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800)]

BASE, NOTHING, TAG = "localhost/base", "localhost/nothing", "localhost/sluice"
USER = 65532
TOOLS = (
    "apt",
    "apt-get",
    "ash",
    "bash",
    "busybox",
    "cc",
    "curl",
    "dash",
    "dpkg",
    "gcc",
    "perl",
    "pip",
    "sh",
    "su",
    "wget",
)
"""What a visitor would look for."""
NEITHER_BUILT_NOR_USED = ("usr/local/cargo", "usr/local/rustup")
"""The toolchain's place in an image that stands for it while a wheel is taken that is there already."""
FROM_OUTSIDE = ("null", "urandom", "zero")
"""Devices that a container runtime provides."""


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    require_programs()
    folder = tmp_path_factory.mktemp("images")
    yield Builder(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def image(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image with the wheel that `make wheel` makes of this tree; compiling it once more would take minutes."""
    context = tmp_path_factory.mktemp("context")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, context / name)
    make_wheel(context / "dist")
    nothing = context.parent / "nothing.tar"
    with tarfile.open(nothing, "w") as tar:
        for name in NEITHER_BUILT_NOR_USED:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    builder.import_base(BASE, debian_base())
    builder.import_base(NOTHING, nothing)
    builder.build(context, TAG, {"PYTHON_IMAGE": BASE, "RUST_IMAGE": NOTHING, "WHEEL": "prebuilt"})
    with builder.opened(TAG) as image:
        yield image


def make_wheel(folder: Path) -> None:
    """As the Makefile does it; the compiler has nothing to do where `make build` was run in the same profile."""
    command = [sys.executable, "-m", "maturin", "build", "--profile", os.environ.get("PROFILE", "release")]
    command += ["--locked", "--out", str(folder), "--interpreter", sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_image_says_who_runs_what(image: Image) -> None:
    config = image.config
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/opt/sluice/bin/sluice"]
    assert config["Cmd"] == ["run", "--drain-grace", "10"]
    assert config["StopSignal"] == "SIGTERM"
    assert image.environment["AMBASSADOR_HEALTHCHECK_BIND_ADDRESS"] == "0.0.0.0"
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8443/tcp", "8443/udp", "8877/tcp"}


def test_nothing_is_there_that_a_gateway_does_not_need(image: Image) -> None:
    found, raised, writable, uncompiled = [], [], [], []
    for folder, folders, files in os.walk(image.root):
        for name in (*folders, *files):
            path = Path(folder, name)
            inside = str(path.relative_to(image.root))
            mode = path.lstat().st_mode
            if name in TOOLS and not stat.S_ISDIR(mode):
                found.append(inside)
            if mode & (stat.S_ISUID | stat.S_ISGID):
                raised.append(inside)
            if mode & stat.S_IWOTH and not stat.S_ISLNK(mode) and inside != "tmp":
                writable.append(inside)
            compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc"
            if path.suffix == ".py" and "gateway" in path.parts and not compiled.exists():
                uncompiled.append(inside)
    assert (found, raised, writable, uncompiled) == ([], [], [], [])


def inside(image: Image, script: str, command: Sequence[str], variables: Mapping[str, str] | None = None) -> list[str]:
    """A command in the image: a network and mounts of its own, the image read-only, no rights and no way to get any.

    What a container runtime provides is mounted by ``script``, beside /proc, /dev and an empty /tmp.
    """
    root = shlex.quote(str(image.root))
    devices = "".join(f"touch {root}/dev/{name}; mount --bind /dev/{name} {root}/dev/{name};" for name in FROM_OUTSIDE)
    prepare = (
        f"set -e; ip link set lo up; mount --bind {root} {root};"
        f"mount -t tmpfs none {root}/dev; {devices} mount -t proc none {root}/proc;"
        f"mount -t tmpfs -o mode=1777 none {root}/tmp; {script} mount -o remount,ro,bind {root};"
    )
    # By its place: the environment of the image has no path to it.
    enter = [str(shutil.which("unshare")), f"--root={image.root}", f"--setgid={USER}", f"--setuid={USER}"]
    become = shlex.join([*enter, *command])
    environment = {**image.environment, **(variables or {})}
    env = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in environment.items())])
    outer = ["setpriv", "--no-new-privs", "--clear-groups", "unshare", "--net", "--mount", "sh", "-c"]
    return [*outer, f"{prepare} exec {env} {become}"]


def test_every_module_of_the_gateway_loads(image: Image) -> None:
    """A library that is missing shows here, and certificates that are."""
    program = (
        "import importlib, pkgutil, ssl, sys, gateway, kubernetes.aio.client\n"
        "for one in pkgutil.walk_packages(gateway.__path__, 'gateway.'):\n"
        "    if not one.name.endswith('__main__'): importlib.import_module(one.name)\n"
        "print(ssl.create_default_context().cert_store_stats()['x509_ca'])\n"
    )
    command = inside(image, "", ["/opt/sluice/bin/python", "-c", program])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_a_started_image_answers(image: Image, tmp_path: Path) -> None:
    """The gateway forwards to its own admin port, so that a request passes through all of it."""
    manifests = tmp_path / "manifests"
    manifests.mkdir(mode=0o755)
    write(manifests, "main.yaml", host("all"), mapping("self", "/self/", "127.0.0.1:8877", rewrite="/"))
    mount = f"mount --bind {shlex.quote(str(manifests))} {shlex.quote(str(image.root))}/etc/sluice;"
    arguments = [*image.config["Entrypoint"], "run", "/etc/sluice", "--workers", "1"]
    with ChildProcess(inside(image, mount, arguments), tmp_path / "log") as process:
        process.wait_for(lambda: ask(process.pid, "http://127.0.0.1:8877/ready") == "200", "ready")
        assert ask(process.pid, "http://127.0.0.1:8080/self/ready") == "200"
        assert ask(process.pid, "http://127.0.0.1:8080/elsewhere") == "404"
        status = dict(
            line.split(":\t") for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
        )
        assert set(status["Uid"].split()) == {str(USER)}
        assert int(status["CapEff"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        mounts = Path(f"/proc/{process.pid}/mountinfo").read_text(encoding="utf-8").splitlines()
        (root,) = [line.split() for line in mounts if line.split()[4] == "/"]
        assert root[5].split(",")[0] == "ro"


def test_a_pod_without_an_api_server_waits_for_it(image: Image, tmp_path: Path) -> None:
    """As Kubernetes starts it, with no arguments: alive, so that it is not restarted, and not ready."""
    account = tmp_path / "account"
    account.mkdir(mode=0o755)
    for name, text in (("token", "none"), ("namespace", "edge"), ("ca.crt", Authority("cluster").pem)):
        (account / name).write_text(text, encoding="ascii")
    place = shlex.quote(f"{image.root}/var/run/secrets/kubernetes.io/serviceaccount")
    mount = f"mkdir -p {place}; mount --bind {shlex.quote(str(account))} {place};"
    # Nobody listens on port 1 of this network.
    cluster = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1", "ENVOY_CONCURRENCY": "1"}
    arguments = [*image.config["Entrypoint"], "run"]
    with ChildProcess(inside(image, mount, arguments, cluster), tmp_path / "log") as process:
        process.wait_for(lambda: ask(process.pid, "http://127.0.0.1:8877/healthz") == "200", "alive")
        assert ask(process.pid, "http://127.0.0.1:8877/ready") == "503"


def ask(pid: int, url: str) -> str:
    """The status of an answer in the network of a process; "000" while nothing answers."""
    curl = ["curl", "--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}", url]
    return subprocess.run(
        ["nsenter", f"--target={pid}", "--net", *curl], capture_output=True, text=True, check=False
    ).stdout
