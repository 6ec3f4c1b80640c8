"""The kustomizations, built by kustomize itself: the chart in another form, of which nothing may be missing."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deploy.rules import broken
from tests.support.charts import (
    BUILD_SECONDS,
    CHART,
    DEPLOY,
    KUSTOMIZE,
    indexed,
    kustomized,
    of_kind,
    render,
)
from tests.support.goprograms import installed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.charts import Object, Values

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

FOLDERS: dict[str, Values] = {
    "base": {},
    "overlays/single-namespace": {"scope": {"singleNamespace": True}},
    "overlays/autoscaling": {"autoscaling": {"enabled": True, "connections": {"enabled": True}}},
}


def comparable(objects: list[Object]) -> dict[str, Object]:
    """By identity, with the environment in order: its order means nothing here."""
    found = indexed(objects)
    for one in of_kind(objects, "Deployment"):
        for container in one["spec"]["template"]["spec"]["containers"]:
            container["env"].sort(key=lambda entry: entry["name"])
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_kustomization_is_the_chart(folder: str) -> None:
    expected = render({**FOLDERS[folder], "deploymentTool": "kustomize"})
    assert comparable(kustomized(KUSTOMIZE / folder)) == comparable(expected), "run `make manifests`"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_kustomization_is_hardened_and_available(folder: str) -> None:
    assert broken(kustomized(KUSTOMIZE / folder)) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_namespace_and_image_are_chosen_by_an_overlay(folder: str, tmp_path: Path) -> None:
    shutil.copytree(KUSTOMIZE, tmp_path / "kustomize")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(
        f"resources: [../kustomize/{folder}]\n"
        "namespace: edge\n"
        "images: [{name: sluice, newName: registry.example/sluice, newTag: '7'}]\n",
        encoding="utf-8",
    )
    objects = kustomized(mine)
    namespaced = [one for one in objects if one["kind"] not in ("ClusterRole", "ClusterRoleBinding", "IngressClass")]
    assert {one["metadata"]["namespace"] for one in namespaced} == {"edge"}
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        assert [subject["namespace"] for subject in binding["subjects"]] == ["edge"]
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/sluice:7"


def test_the_table_of_values_is_current(tmp_path: Path) -> None:
    chart = tmp_path / "sluice"
    shutil.copytree(CHART, chart)
    program = installed("github.com/norwoodj/helm-docs/cmd/helm-docs", "v1.14.2")
    command = [str(program), "--chart-search-root", str(chart), "--sort-values-order", "file"]
    subprocess.run(command, check=True, capture_output=True)
    current = (DEPLOY / "helm" / "sluice" / "README.md").read_text(encoding="utf-8")
    assert (chart / "README.md").read_text(encoding="utf-8") == current, "run `make manifests`"
