"""What every pod, right and selector of ours has to be like: how an edge is hardened and kept available in Kubernetes.

A rule returns what is wrong, in words. The rules are those of Kubernetes' pod security standard "restricted", and of a
gateway that is replaced without losing a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.charts import identity, of_kind, pod_templates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.charts import Object

WRITE = {"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate", "use"}
READ = {"get", "list", "watch"}
ADMIN = "admin"
"""Name of the port of health, metrics and diagnostics."""


def broken(objects: list[Object], *, host_network: bool = False) -> list[str]:
    """Everything that is wrong with what one installation makes."""
    found = []
    for template in pod_templates(objects):
        found += [*pod(template["spec"], host_network=host_network), *container_rules(template["spec"])]
    return [*found, *availability(objects), *rights(objects), *selectors(objects), *network(objects)]


def pod(spec: Object, *, host_network: bool) -> Iterator[str]:
    """Of a pod as a whole."""
    context = spec.get("securityContext") or {}
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    if not context.get("runAsUser"):
        yield "the user is not fixed, or root"
    if (context.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        yield "seccomp is not RuntimeDefault"
    if bool(spec.get("hostNetwork")) is not host_network:
        yield "hostNetwork is not what was asked for"
    yield from (f"{name} is on" for name in ("hostPID", "hostIPC", "shareProcessNamespace") if spec.get(name))
    if spec.get("enableServiceLinks") is not False:
        yield "every Service of the namespace becomes environment"
    for volume in spec.get("volumes") or []:
        if "hostPath" in volume:
            yield f"the volume {volume['name']} is of the node"
        scratch = volume.get("emptyDir")
        if scratch is not None and not (scratch.get("sizeLimit") and scratch.get("medium") == "Memory"):
            yield f"the volume {volume['name']} has no limit or is on the node's disk"


def container_rules(spec: Object) -> Iterator[str]:
    """Of each container."""
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        context = container.get("securityContext") or {}
        if context.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation is not false"
        if context.get("readOnlyRootFilesystem") is not True:
            yield "the root file system can be written"
        capabilities = context.get("capabilities") or {}
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield "capabilities are kept"
        if context.get("privileged") or context.get("runAsUser") == 0:
            yield "the container is privileged"
        resources = container.get("resources") or {}
        if not (resources.get("limits") or {}).get("memory") or not (resources.get("requests") or {}).get("cpu"):
            yield "no limit of memory, or no request of CPU"
    for container in spec["containers"]:
        yield from probes(container)


def probes(container: Object) -> Iterator[str]:
    """Being alive is not being ready: an outage elsewhere must not restart pods."""
    paths = {kind: ((container.get(f"{kind}Probe") or {}).get("httpGet") or {}) for kind in PROBES}
    for kind, path in PROBES.items():
        if paths[kind].get("path") != path or paths[kind].get("port") != ADMIN:
            yield f"the {kind} probe does not ask {path} on the admin port"
    if container.get("lifecycle"):
        yield "there is a lifecycle hook, for which the image has no program"


PROBES = {"startup": "/healthz", "liveness": "/healthz", "readiness": "/ready"}


def availability(objects: list[Object]) -> Iterator[str]:
    """Of rollouts, disruptions and drains."""
    scalers = list(of_kind(objects, "HorizontalPodAutoscaler"))
    for deployment in of_kind(objects, "Deployment"):
        spec = deployment["spec"]
        if spec["strategy"].get("rollingUpdate") != {"maxUnavailable": 0, "maxSurge": 1}:
            yield "a rollout takes pods away before others are there"
        if scalers:
            if "replicas" in spec:
                yield "a rollout would reset what the autoscaler decided"
        elif spec.get("replicas", 1) < 2:
            yield "less than two replicas"
        spread = spec["template"]["spec"].get("topologySpreadConstraints") or []
        if {one["topologyKey"] for one in spread} != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield "pods are not spread over zones and nodes"
    for template in pod_templates(objects):
        needed = drain_seconds(template["spec"])
        if template["spec"].get("terminationGracePeriodSeconds", 30) <= needed:
            yield f"the kernel ends a pod before its {needed} s of draining are over"
        for scaler in scalers:
            if scaler["spec"]["minReplicas"] < 2:
                yield "the autoscaler may leave one replica"
            if scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] < needed:
                yield "the autoscaler looks at pods that still drain"
    if not list(of_kind(objects, "PodDisruptionBudget")):
        yield "no disruption budget"


def environment(container: Object) -> dict[str, str]:
    """Environment of a container, without what the kubelet fills in; a name that is there twice is an error."""
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names)), names
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def drain_seconds(spec: Object) -> float:
    """Seconds that the process may take to end, from its arguments and its environment."""
    container = spec["containers"][0]
    arguments = container["args"]
    grace = float(arguments[arguments.index("--drain-grace") + 1])
    return grace + float(environment(container)["AMBASSADOR_DRAIN_TIME"].removesuffix("s"))


def rights(objects: list[Object]) -> Iterator[str]:
    """Nobody's objects are written but their status, and the own Lease."""
    for role in of_kind(objects, "Role", "ClusterRole"):
        for rule in role["rules"]:
            words = {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            if "*" in words:
                yield f"{identity(role)} has a wildcard"
            for resource in rule["resources"]:
                yield from (f"{identity(role)} {wrong}" for wrong in right(role["kind"], resource, rule))
    for account in of_kind(objects, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield "every pod that names the account gets its token"


def right(kind: str, resource: str, rule: Object) -> Iterator[str]:
    """What one rule allows with one resource."""
    verbs = set(rule["verbs"])
    if resource == "leases":
        if kind != "Role":
            yield "writes Leases in every namespace"
        if verbs not in ({"create"}, {"get", "update"}):
            yield f"may do more with Leases than an election needs: {', '.join(sorted(verbs))}"
    elif resource.endswith("/status"):
        if verbs - {"patch", "update"}:
            yield f"may do more than change {resource}"
    elif verbs - READ:
        yield f"writes {resource}: {', '.join(sorted(verbs - READ))}"


def selectors(objects: list[Object]) -> Iterator[str]:
    """Whatever selects pods selects ours."""
    templates = list(pod_templates(objects))
    ports = {port["name"]: port["containerPort"] for one in templates for port in one["spec"]["containers"][0]["ports"]}
    for one in objects:
        for labels in selected(one):
            if not labels or not all(
                labels.items() <= template["metadata"]["labels"].items() for template in templates
            ):
                yield f"{identity(one)} selects other pods: {labels}"
        if one["kind"] == "Service":
            for port in one["spec"]["ports"]:
                if port["targetPort"] not in {*ports, *ports.values()}:
                    yield f"{identity(one)} leads to the port {port['targetPort']}, which no container has"


def selected(one: Object) -> Iterator[dict[str, str]]:
    """Labels by which an object selects pods."""
    spec: Any = one.get("spec") or {}
    match one["kind"]:
        case "Service":
            yield spec["selector"]
        case "Deployment" | "DaemonSet":
            yield spec["selector"]["matchLabels"]
            for constraint in spec["template"]["spec"].get("topologySpreadConstraints") or []:
                yield constraint["labelSelector"]["matchLabels"]
        case "PodDisruptionBudget":
            yield spec["selector"]["matchLabels"]
        case "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]


def network(objects: list[Object]) -> Iterator[str]:
    """The admin port is for chosen peers, and nobody outside of the cluster."""
    policies = list(of_kind(objects, "NetworkPolicy"))
    if not policies:
        yield "no network policy"
    admin = {
        port["containerPort"]
        for template in pod_templates(objects)
        for port in template["spec"]["containers"][0]["ports"]
        if port["name"] == ADMIN
    }
    for policy in policies:
        for rule in policy["spec"]["ingress"]:
            open_to = {port["port"] for port in rule.get("ports") or []}
            if not open_to or (open_to & admin and not rule.get("from")):
                yield "everybody may reach the admin port"
    for service in of_kind(objects, "Service"):
        inside = {ADMIN, *admin}
        if service["spec"]["type"] != "ClusterIP" and any(p["targetPort"] in inside for p in service["spec"]["ports"]):
            yield "the admin port is published"
