"""The chart, rendered by Helm itself with every set of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer

from gateway.cli import app
from gateway.resources.registry import KNOWN_KINDS
from gateway.settings import read_environment
from gateway.status.make import lease_name
from tests.deploy.rules import broken, environment
from tests.deploy.valuesets import EMISSARY, EVERYTHING, VALUES
from tests.support.charts import (
    BUILD_SECONDS,
    CHART,
    NAMESPACE,
    ChartError,
    helm,
    identity,
    indexed,
    of_kind,
    pod_templates,
    render,
    the,
)

if TYPE_CHECKING:
    from tests.support.charts import Object, Values

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "IngressClass")


def set_in(path: str, value: object) -> Values:
    """Values with one of them set, by its path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("name", VALUES)
def test_every_set_of_values_is_hardened_and_available(name: str) -> None:
    values = VALUES[name]
    assert broken(render(values), host_network=values.get("hostNetwork", False)) == []


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("security.podSecurityContext.runAsNonRoot", False, "runAsNonRoot"),
        ("security.podSecurityContext.runAsUser", 0, "root"),
        ("security.podSecurityContext.seccompProfile.type", "Unconfined", "seccomp"),
        ("security.containerSecurityContext.allowPrivilegeEscalation", True, "allowPrivilegeEscalation"),
        ("security.containerSecurityContext.readOnlyRootFilesystem", False, "root file system"),
        ("security.containerSecurityContext.capabilities", {"drop": [], "add": ["NET_ADMIN"]}, "capabilities"),
        ("volumes", [{"name": "host", "hostPath": {"path": "/"}}], "of the node"),
        ("initContainers", [{"name": "other", "image": "other"}], "capabilities"),
        ("lifecycle", {"preStop": {"exec": {"command": ["sleep", "10"]}}}, "lifecycle"),
        ("resources.limits", {"memory": None}, "limit of memory"),
        ("replicaCount", 1, "two replicas"),
        ("deploymentStrategy.rollingUpdate.maxUnavailable", 1, "rollout"),
        ("defaultTopologySpread", False, "spread"),
        ("podDisruptionBudget", None, "disruption budget"),
        ("networkPolicy.enabled", False, "network policy"),
        ("networkPolicy.extraPorts", [{"port": 8877}], "everybody"),
        ("adminService.type", "LoadBalancer", "published"),
    ],
)
def test_the_rules_find_what_an_operator_weakens(path: str, value: object, found: str) -> None:
    assert any(found in one for one in broken(render(set_in(path, value))))


def test_helm_finds_nothing_to_complain_about() -> None:
    for values in VALUES.values():
        helm("lint", "--strict", "--kube-version", "1.36.0", str(CHART), values=values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicacount", 3),
        ("replicaCount", "many"),
        ("replicaCount", -1),
        ("workers", 0),
        ("image.pullPolicy", "Sometimes"),
        ("image.digest", "latest"),
        ("service.type", "ExternalName"),
        ("service.ports", [{"name": "http", "port": 70000}]),
        ("service.ports", [{"name": "a_name_that_no_port_may_have", "port": 80}]),
        ("service.ports", []),
        ("adminService.port", "admin"),
        ("networkPolicy.adminFrom", [{}]),
        ("networkPolicy.adminFrom", [{"namespace": "monitoring"}]),
        ("drain.graceSeconds", -1),
        ("podDisruptionBudget", {"maxUnavailble": 1}),
        ("autoscaling.minReplicas", 0),
        ("scope.singlenamespace", True),
        ("env", {"A B": "c"}),
        ("env", {"A": {"valueFrom": "b"}}),
        ("ingressClassResource.controllerValue", "ambassador"),
        ("livenessProbe.httpGet", {"path": "/"}),
        ("fullnameOverride", "Not_A_Name"),
        ("status.publishService", "sluice"),
        ("status.publishAddresses", "192.0.2.1"),
    ],
)
def test_nonsense_is_refused_by_its_name(path: str, value: object) -> None:
    with pytest.raises(ChartError) as refused:
        render(set_in(path, value))
    assert path.split(".")[0] in str(refused.value)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"terminationGracePeriodSeconds": 39}, "terminationGracePeriodSeconds"),
        (
            {"terminationGracePeriodSeconds": 60, "env": {"AMBASSADOR_DRAIN_TIME": "600"}},
            "terminationGracePeriodSeconds",
        ),
        ({"env": {"AMBASSADOR_DRAIN_TIME": "a while"}}, "AMBASSADOR_DRAIN_TIME"),
        ({"envRaw": [{"name": "AMBASSADOR_ID", "value": "edge"}]}, "AMBASSADOR_ID"),
        ({"envRaw": '- {name: AMBASSADOR_NAMESPACE, value: "{{ .Release.Name }}"}'}, "AMBASSADOR_NAMESPACE"),
        ({"envRaw": "just words"}, "envRaw"),
        ({"extraArgs": ["--ambassador-id=edge"]}, "env.AMBASSADOR_ID"),
        ({"scope": {"singleNamespace": True}, "status": {"publishService": "edge/s"}}, "status.publishService"),
        ({"metrics": {"serviceMonitor": {"enabled": True}}, "adminService": {"create": False}}, "adminService.create"),
    ],
)
def test_values_that_cannot_work_together_are_refused(values: Values, named: str) -> None:
    with pytest.raises(ChartError, match=named):
        render(values)


def container(objects: list[Object]) -> Any:
    (template,) = pod_templates(objects)
    (only,) = template["spec"]["containers"]
    return only


def parsed_arguments(objects: list[Object]) -> dict[str, Any]:
    """What ``sluice run`` makes of the arguments of the container."""
    command, *arguments = container(objects)["args"]
    group = typer.main.get_command(app)
    parsed: dict[str, Any] = group.commands[command].make_context(command, arguments).params  # type: ignore[attr-defined]
    return parsed


@pytest.mark.parametrize("name", VALUES)
def test_the_process_understands_its_arguments_and_environment(name: str) -> None:
    objects = render(VALUES[name])
    one = container(objects)
    env = read_environment(environment(one))
    assert parsed_arguments(objects)["drain_grace"] == 10
    assert env.workers == 2
    assert env.admin_address == "0.0.0.0"
    assert env.admin_port == next(port["containerPort"] for port in one["ports"] if port["name"] == "admin")
    assert env.drain_time == {"emissary": 20, "long-drain": 600}.get(name, 30)


def test_everything_that_is_read_may_be_read() -> None:
    """A kind that the gateway learns needs a right, or its first listing never ends. Nothing refers to ConfigMaps yet
    (:mod:`gateway.translate.references`), so they are not read."""
    role = the(render(), "ClusterRole")
    allowed = {
        one for rule in role["rules"] for one in rule["resources"] if set(rule["verbs"]) == {"get", "list", "watch"}
    }
    plurals = {f"{kind.lower()}{'es' if kind.endswith('s') else 's'}" for kind in KNOWN_KINDS}
    plurals = {one.replace("filterpolicys", "filterpolicies") for one in plurals}
    assert allowed == plurals - {"configmaps"}


def test_secrets_need_not_be_listed() -> None:
    role = the(render({"rbac": {"listSecrets": False}}), "ClusterRole")
    verbs = {tuple(rule["verbs"]) for rule in role["rules"] if "secrets" in rule["resources"]}
    assert verbs == {("get",)}


@pytest.mark.parametrize(
    "one", ["", "default", "edge", "Edge_1", "edge-1", "-edge", "two  words", "x" * 40, "x" * 41, "__", "größe", "KÉK"]
)
def test_the_lease_is_known_by_its_name(one: str) -> None:
    values = {"env": {"AMBASSADOR_ID": one}}
    (named,) = [rule for rule in the(render(values), "Role")["rules"] if "update" in rule["verbs"]]
    assert named["resourceNames"] == [lease_name(one or "default")]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({}, NAMESPACE),
        ({"namespace": {"name": "edge"}}, "edge"),
        ({"namespace": {"name": "other"}, "env": {"ambassador_namespace": "edge"}}, "edge"),
        ({"namespaceOverride": "edge"}, "edge"),
    ],
)
def test_rights_are_where_the_process_looks(values: Values, place: str) -> None:
    for single in (True, False):
        objects = render({**values, "scope": {"singleNamespace": single}})
        own = environment(container(objects)).get("AMBASSADOR_NAMESPACE")
        assert own == place or (own is None and the(objects, "Deployment")["metadata"]["namespace"] == place)
        roles = [*of_kind(objects, "Role", "RoleBinding")]
        assert len(roles) == (4 if single else 2)
        assert {one["metadata"]["namespace"] for one in roles} == {place}
        for binding in of_kind(objects, "RoleBinding"):
            (subject,) = binding["subjects"]
            assert subject["namespace"] == the(objects, "ServiceAccount")["metadata"]["namespace"]


def test_without_statuses_there_is_no_right_to_write_anything() -> None:
    for single in (True, False):
        objects = render({"status": {"enabled": False}, "scope": {"singleNamespace": single}})
        rules = [rule for role in of_kind(objects, "Role", "ClusterRole") for rule in role["rules"]]
        assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
        assert parsed_arguments(objects)["status"] is False
    assert parsed_arguments(render())["status"] is True


def test_the_process_is_told_what_to_publish() -> None:
    chosen = {"publishService": "edge/emissary", "publishAddresses": ["192.0.2.1", "edge.example.com"]}
    told = parsed_arguments(render({"status": chosen}))
    assert told["publish_service"] == "edge/emissary"
    assert list(told["publish_address"]) == ["192.0.2.1", "edge.example.com"]
    assert parsed_arguments(render())["publish_service"] is None


def test_one_namespace_needs_no_right_elsewhere() -> None:
    objects = render({"scope": {"singleNamespace": True}, "ingressClassResource": {"enabled": False}})
    assert list(of_kind(objects, *CLUSTER_WIDE)) == []
    assert {one["metadata"]["namespace"] for one in objects} == {NAMESPACE}
    assert environment(container(objects))["AMBASSADOR_SINGLE_NAMESPACE"]


def test_names_of_two_releases_do_not_meet() -> None:
    first = indexed(render(EVERYTHING, release="first"))
    second = indexed(render(EVERYTHING, release="second"))
    assert {
        one for one in first.keys() & second.keys() if not one.startswith(("Kube", "Consul", "Module", "IngressCl"))
    } == set()


def test_values_of_emissary_keep_their_meaning() -> None:
    objects = indexed(render(EMISSARY, release="edge"))
    deployment = objects["Deployment sluice/edge-emissary-ingress"]
    # What Emissary's chart selects by: the field cannot be changed, so an upgrade in place depends on it.
    selector = {"app.kubernetes.io/name": "emissary-ingress", "app.kubernetes.io/instance": "edge"}
    assert deployment["spec"]["selector"]["matchLabels"] == selector
    assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 8888
    env = {one["name"]: one for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["AMBASSADOR_ID"]["value"] == "edge"
    assert env["POD_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    service = objects["Service sluice/edge-emissary-ingress"]
    assert service["metadata"]["labels"]["app.kubernetes.io/component"] == "ambassador-service"
    assert [(port["port"], port["targetPort"], port.get("nodePort")) for port in service["spec"]["ports"]] == [
        (80, 8080, None),
        (443, 8443, 30443),
        (2222, 2222, None),
    ]
    admin = objects["Service sluice/edge-emissary-ingress-admin"]
    assert admin["metadata"]["labels"]["service"] == "ambassador-admin"
    assert [port["name"] for port in admin["spec"]["ports"]] == ["ambassador-admin"]
    assert objects["PodDisruptionBudget sluice/edge-emissary-ingress"]["spec"]["minAvailable"] == 1
    for kind, name in (("Listener", "edge-emissary-ingress-http-listener"), ("Module", "ambassador")):
        assert objects[f"{kind} sluice/{name}"]["spec"]["ambassador_id"] == ["edge"]
    assert objects["Module sluice/ambassador"]["spec"]["config"] == {
        "diagnostics": {"enabled": False, "allow_non_local": True}
    }


def test_the_autoscaler_counts_connections_by_the_metric_that_there_is() -> None:
    from gateway.admin import metrics

    scaler = the(render(EVERYTHING), "HorizontalPodAutoscaler")
    (pods,) = [one["pods"] for one in scaler["spec"]["metrics"] if one["type"] == "Pods"]
    assert pods["metric"]["name"] == "sluice_connections_active"
    assert any(pods["metric"]["name"] in row for row in metrics._GAUGES)


def test_every_object_of_the_chart_says_whose_it_is() -> None:
    for one in render(EVERYTHING):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "sluice", identity(one)
        assert labels["app.kubernetes.io/managed-by"] == "Helm", identity(one)
        assert labels["helm.sh/chart"].startswith("sluice-"), identity(one)
