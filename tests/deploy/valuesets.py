"""Values with which the charts are rendered: from none at all to everything at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.support.charts import Values

EMISSARY: Final[Values] = {
    "defaultImageRepository": "ghcr.io/emissary-ingress/emissary",
    "nameOverride": "emissary-ingress",
    "replicaCount": 3,
    "daemonSet": False,
    "barePod": False,
    "test": {"enabled": False, "image": "busybox"},
    "canary": {"enabled": False, "mixPods": False, "replicaCount": 0, "envRaw": {}},
    "ingressClassResource": {
        "enabled": True,
        "name": "ambassador",
        "default": False,
        "controllerValue": "getambassador.io/ingress-controller",
    },
    "autoscaling": {
        "enabled": True,
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
            }
        ],
        "behavior": {},
    },
    "podDisruptionBudget": {"minAvailable": 1},
    "namespace": {"name": None},
    "env": {"AMBASSADOR_ID": "edge", "ambassador_drain_time": "20s", "AMBASSADOR_DEBUG": 1},
    "envRaw": "- name: POD_IP\n  valueFrom:\n    fieldRef:\n      fieldPath: status.podIP\n",
    "imagePullSecrets": [{"name": "registry"}],
    "security": {
        "podSecurityContext": {"runAsUser": 8888},
        "containerSecurityContext": {"allowPrivilegeEscalation": False},
        "podSecurityPolicy": {},
    },
    "image": {"repository": "", "tag": "", "pullPolicy": "IfNotPresent"},
    "service": {
        "type": "LoadBalancer",
        "ports": [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "https", "port": 443, "targetPort": 8443, "nodePort": 30443},
            {"name": "ssh", "port": 2222, "targetPort": 2222, "protocol": "TCP"},
        ],
        "portsRaw": "",
        "externalTrafficPolicy": None,
        "annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"},
        "loadBalancerSourceRanges": None,
        "nameOverride": None,
    },
    "adminService": {"create": True, "type": "ClusterIP", "port": 8877, "snapshotPort": 8005, "nodePort": None},
    "rbac": {"create": True, "podSecurityPolicies": [], "nameOverride": None},
    "scope": {"singleNamespace": False},
    "serviceAccount": {"create": True, "name": None, "extra": ""},
    "deploymentStrategy": {"type": "RollingUpdate"},
    "progressDeadlines": {"ambassador": 600},
    "restartPolicy": None,
    "terminationGracePeriodSeconds": None,
    "waitForApiext": {"enabled": False},
    "livenessProbe": {"initialDelaySeconds": 30, "periodSeconds": 3, "failureThreshold": 3},
    "readinessProbe": {"initialDelaySeconds": 30, "periodSeconds": 3, "failureThreshold": 3},
    "startupProbe": {},
    "resources": {"limits": {"memory": "600Mi"}, "requests": {"cpu": "200m", "memory": "300Mi"}},
    "priorityClassName": "",
    "metrics": {"serviceMonitor": {"enabled": False}},
    "resolvers": {"endpoint": {"create": True, "name": "endpoint"}},
    "module": {"enabled": True, "diagnostics": {"enabled": False, "allow_non_local": True}},
    "prometheusExporter": {"enabled": False},
    "deploymentTool": "",
    "docker": {},
    "createNamespace": False,
    "createDefaultListeners": True,
    "lifecycle": {},
    "hostNetwork": False,
    "dnsPolicy": "ClusterFirst",
    "ambassadorConfig": "",
}
"""A file as it is written for Emissary-ingress's chart."""

EVERYTHING: Final[Values] = {
    "env": {"AMBASSADOR_ID": "edge"},
    "envRaw": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
    "extraArgs": ["--access-log", "json"],
    "autoscaling": {"enabled": True, "connections": {"enabled": True}},
    "service": {
        "http3": {"enabled": True},
        "externalTrafficPolicy": "Local",
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "ipFamilyPolicy": "PreferDualStack",
        "annotations": {"example.com/of": "the edge"},
    },
    "networkPolicy": {
        "adminFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "extraPorts": [{"port": 9000}],
    },
    "metrics": {"serviceMonitor": {"enabled": True, "interval": "15s", "selector": {"release": "prometheus"}}},
    "createDefaultListeners": True,
    "resolvers": {
        "endpoint": {"create": True},
        "consul": {"create": True, "spec": {"address": "consul:8500", "datacenter": "dc1"}},
    },
    "module": {"enabled": True, "xff_num_trusted_hops": 1},
    "priorityClassName": "system-cluster-critical",
    "podAnnotations": {"example.com/of": "the edge"},
    "volumes": [{"name": "filters", "configMap": {"name": "filters"}}],
    "volumeMounts": [{"name": "filters", "mountPath": "/etc/sluice/filters", "readOnly": True}],
    "tolerations": [{"key": "edge", "operator": "Exists"}],
    "nodeSelector": {"kubernetes.io/os": "linux"},
}

VALUES: Final[dict[str, Values]] = {
    "default": {},
    "emissary": EMISSARY,
    "everything": EVERYTHING,
    "single-namespace": {"scope": {"singleNamespace": True}},
    "daemonset": {
        "daemonSet": True,
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "service": {"create": False},
    },
    "long-drain": {"env": {"AMBASSADOR_DRAIN_TIME": "600"}, "autoscaling": {"enabled": True}},
}
