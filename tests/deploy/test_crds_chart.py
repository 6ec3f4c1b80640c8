"""The chart of the CustomResourceDefinitions: an upgrade changes them, a removal leaves them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.charts import BUILD_SECONDS, CRDS_CHART, DEPLOY, helm, identity, render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.charts import Object

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


def definition(plural: str) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.getambassador.io"},
        "spec": {
            "group": "getambassador.io",
            "names": {"plural": plural},
            "conversion": {"strategy": "None"},
            "description": "{{ no template }}",
        },
    }


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """The chart over two definitions of the test's own."""
    copy = tmp_path / "sluice-crds"
    shutil.copytree(CRDS_CHART, copy, ignore=shutil.ignore_patterns("files"))
    (copy / "files").mkdir()
    text = yaml.safe_dump_all(definition(plural) for plural in ("hosts", "mappings"))
    (copy / "files" / "getambassador.io.yaml").write_text(f"# Generated.\n---\n{text}", encoding="utf-8")
    (copy / "files" / "kustomization.yaml").write_text("kind: Kustomization\n", encoding="utf-8")
    return copy


def test_definitions_stay_when_the_release_goes(chart: Path) -> None:
    objects = render(chart=chart)
    assert [one["metadata"]["name"] for one in objects] == ["hosts.getambassador.io", "mappings.getambassador.io"]
    for one, plural in zip(objects, ("hosts", "mappings"), strict=True):
        assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert without_webhook(one) == definition(plural)


def without_webhook(one: Object) -> Object:
    """The definition as it is meant. Helm has to be told that Emissary's webhook goes: it keeps what nobody names, and
    the API server refuses a webhook beside the strategy "None"."""
    conversion = one["spec"]["conversion"]
    assert conversion == {"strategy": "None", "webhook": None}
    del conversion["webhook"]
    return one


def test_a_trial_can_take_its_definitions_along(chart: Path) -> None:
    objects = render({"keep": False}, chart=chart)
    assert [without_webhook(one) for one in objects] == [definition("hosts"), definition("mappings")]


def test_the_chart_has_all_definitions_of_this_version() -> None:
    written = sorted((DEPLOY / "crds").glob("*.yaml"))
    assert written
    expected = [one for file in written for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    expected = [one for one in expected if one["kind"] == "CustomResourceDefinition"]
    objects = render({"keep": False}, chart=CRDS_CHART)
    assert {identity(one): without_webhook(one) for one in objects} == {identity(one): one for one in expected}
    helm("lint", "--strict", "--kube-version", "1.36.0", str(CRDS_CHART))
