"""What the charts and the kustomizations become: rendered by Helm and kustomize themselves, read as plain objects."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.goprograms import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Object = dict[str, Any]
"""A Kubernetes object as a manifest has it."""
Values = dict[str, Any]
"""Values of a chart."""

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "sluice"
CRDS_CHART = DEPLOY / "helm" / "sluice-crds"
KUSTOMIZE = DEPLOY / "kustomize"
RELEASE = "sluice"
NAMESPACE = "sluice"
KUBERNETES = "1.36.0"
"""The version that the charts are rendered for, where there is no cluster to ask."""
BUILD_SECONDS = 900
"""Helm is compiled when it is first needed, which takes minutes; tests give that as their timeout."""


@cache
def helm_program() -> Path:
    return installed("helm.sh/helm/v3/cmd/helm", "v3.22.0")


@cache
def kustomize_program() -> Path:
    return installed("sigs.k8s.io/kustomize/kustomize/v5", "v5.8.2")


class ChartError(Exception):
    """The chart refused its values; the text is Helm's."""


def helm(*arguments: str, values: Values | None = None) -> str:
    """Run Helm; ``values`` go in as a file, as an operator has them. Raises :class:`ChartError`."""
    command = [str(helm_program()), *arguments]
    if values is not None:
        command += ["--values", "-"]
    done = subprocess.run(command, input=yaml.safe_dump(values or {}), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChartError(done.stderr)
    return done.stdout


def render(
    values: Values | None = None, *, chart: Path = CHART, release: str = RELEASE, namespace: str = NAMESPACE
) -> list[Object]:
    """The objects that an installation of the chart makes."""
    text = helm(
        "template",
        release,
        str(chart),
        "--namespace",
        namespace,
        "--kube-version",
        KUBERNETES,
        values=values or {},
    )
    return documents(text)


def kustomized(folder: Path) -> list[Object]:
    """The objects of a kustomization."""
    done = subprocess.run([kustomize_program(), "build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def documents(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


def identity(one: Object) -> str:
    """Kind, namespace and name."""
    metadata = one["metadata"]
    return f"{one['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def indexed(objects: Iterable[Object]) -> dict[str, Object]:
    """Objects by their identity, each of which may be there once only."""
    found: dict[str, Object] = {}
    for one in objects:
        assert identity(one) not in found, f"{identity(one)} is there twice"
        found[identity(one)] = one
    return found


def of_kind(objects: Iterable[Object], *kinds: str) -> Iterator[Object]:
    return (one for one in objects if one["kind"] in kinds)


def the(objects: Iterable[Object], kind: str) -> Object:
    """The only object of a kind."""
    (one,) = of_kind(objects, kind)
    return one


def pod_templates(objects: Iterable[Object]) -> Iterator[Object]:
    """Everything from which pods are made, as ``metadata`` and ``spec``."""
    for one in objects:
        spec = one.get("spec") or {}
        if one["kind"] == "Pod":
            yield one
        elif one["kind"] == "CronJob":
            yield spec["jobTemplate"]["spec"]["template"]
        elif "template" in spec:
            yield spec["template"]
