"""Containers on the node of the tests are what they are elsewhere: files, identity, rights, environment, restarts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.kube.client import KubeClient, eventually, has_condition
from tests.support.kube.workloads import finished, python_pod, says

if TYPE_CHECKING:
    from tests.support.kube.node import Node

pytestmark = pytest.mark.usefixtures("node")

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
REPORT = """\
import json, os, pathlib, socket
def writes(path):
    try: pathlib.Path(path).write_text('x'); return True
    except OSError as error: return error.strerror
status = dict(line.split(':\\t') for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
print(json.dumps({
    'uid': os.getuid(), 'groups': os.getgroups(), 'pid': os.getpid(), 'host': socket.gethostname(),
    'bounding': int(status['CapBnd'], 16), 'no_new_privs': status['NoNewPrivs'],
    'root': writes('/file'), 'tmp': writes('/tmp/file'),
}))
"""


async def report(kube: KubeClient, name: str) -> dict[str, Any]:
    await finished(kube, name)
    document: dict[str, Any] = json.loads(await kube.logs(name))
    return document


async def test_a_restricted_container_has_no_rights(kube: KubeClient) -> None:
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]
    await kube.apply(
        [
            python_pod(
                "restricted",
                REPORT,
                container={"securityContext": RESTRICTED, "volumeMounts": mounts, "workingDir": "/"},
                volumes=[{"name": "tmp", "emptyDir": {}}],
                securityContext={"fsGroup": 1234},
            )
        ]
    )
    assert await report(kube, "restricted") == {
        "uid": 65532,
        "groups": [0, 1234],
        "pid": 1,
        "host": "restricted",
        "bounding": 0,
        "no_new_privs": "1",
        "root": "Read-only file system",
        "tmp": True,
    }


async def test_what_a_container_writes_is_its_own(kube: KubeClient) -> None:
    await kube.apply([python_pod("free", REPORT)])
    assert (await report(kube, "free"))["root"] is True
    await kube.apply([python_pod("other", "import os; print(os.path.exists('/file'))")])
    await finished(kube, "other")
    assert await kube.logs("other") == "False\n"


async def test_root_where_it_is_forbidden_does_not_start(kube: KubeClient) -> None:
    await kube.apply([python_pod("root", REPORT, securityContext={"runAsNonRoot": True})])

    def refused(pod: dict[str, Any]) -> bool:
        statuses = pod["status"].get("containerStatuses", [])
        return any(one["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError" for one in statuses)

    await kube.wait(await kube.path("v1", "Pod", "root"), refused, "refused")


async def test_a_program_that_is_not_there_is_reported(kube: KubeClient) -> None:
    await kube.apply([python_pod("absent", "", container={"command": ["/no/such/program"]})])

    def reported(pod: dict[str, Any]) -> bool:
        statuses = pod["status"].get("containerStatuses", [])
        return any("/no/such/program" in one["state"].get("waiting", {}).get("message", "") for one in statuses)

    await kube.wait(await kube.path("v1", "Pod", "absent"), reported, "the program is named")


async def test_environment_comes_from_everywhere(kube: KubeClient) -> None:
    await kube.apply(
        [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "secret"}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"A": "1", "B": "2"}},
        ]
    )
    env = [
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "BOTH", "value": "$(SECRET)-$(C_A)"},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "key", "optional": True}}},
    ]
    pod = python_pod(
        "env",
        "import json, os; print(json.dumps(dict(os.environ)))",
        container={
            "env": env,
            "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "C_"}],
            "resources": {"limits": {"memory": "64Mi"}},
        },
    )
    pod["metadata"]["labels"] = {"app": "env"}
    await kube.apply([pod])
    environment = await report(kube, "env")
    address = (await kube.get("v1", "Pod", "env"))["status"]["podIP"]
    wanted = {"SECRET": "secret", "ADDRESS": address, "LABEL": "env", "MEMORY": str(64 << 20), "BOTH": "secret-1"}
    assert {name: environment.get(name) for name in wanted} == wanted
    assert environment["C_B"] == "2"
    assert "NONE" not in environment


async def test_a_mounted_secret_follows_its_object(kube: KubeClient, node: Node) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"word": "old"}}
    script = """\
import pathlib, time
print(pathlib.Path('/run/words/word').read_text())
while pathlib.Path('/run/words/word').read_text() != 'new': time.sleep(0.05)
print(sorted(path.name for path in pathlib.Path('/run/words').iterdir() if not path.name.startswith('..')))
"""
    mounts = {"volumeMounts": [{"name": "words", "mountPath": "/run/words"}]}
    volumes = [{"name": "words", "secret": {"secretName": "s"}}]
    (pod, _) = await kube.apply([python_pod("reads", script, container=mounts, volumes=volumes), secret])
    log = node.log_path(kube.namespace, "reads", pod["metadata"]["uid"], "main")
    await eventually(says(log, "old\n"), lambda: "the old word")
    await kube.patch("v1", "Secret", "s", {"stringData": {"word": "new", "more": "x"}})
    await finished(kube, "reads")
    assert await kube.logs("reads") == "old\n['more', 'word']\n"


async def test_a_pod_reaches_the_api_server_with_its_own_identity(kube: KubeClient) -> None:
    script = """\
import json, os, pathlib, ssl, urllib.error, urllib.request
own = pathlib.Path('/var/run/secrets/kubernetes.io/serviceaccount')
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
request = urllib.request.Request(
    url + '/apis/authentication.k8s.io/v1/selfsubjectreviews', method='POST',
    data=json.dumps({'apiVersion': 'authentication.k8s.io/v1', 'kind': 'SelfSubjectReview'}).encode(),
    headers={'Authorization': 'Bearer ' + (own / 'token').read_text(), 'Content-Type': 'application/json'})
context = ssl.create_default_context(cafile=own / 'ca.crt')
print(json.load(urllib.request.urlopen(request, context=context))['status']['userInfo']['username'])
print((own / 'namespace').read_text())
"""
    await kube.apply([python_pod("asks", script)])
    await finished(kube, "asks")
    name = kube.namespace
    assert await kube.logs("asks") == f"system:serviceaccount:{name}:default\n{name}\n"


async def test_a_container_that_fails_is_started_again(kube: KubeClient) -> None:
    script = """\
import pathlib, sys, time
count = len(list(pathlib.Path('/data').iterdir()))
pathlib.Path(f'/data/{count}').touch()
print('run', count)
if count < 2: sys.exit(3)
time.sleep(600)
"""
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "emptyDir": {}}]
    pod = python_pod("fails", script, container=mounts, volumes=volumes, restartPolicy="Always")
    await kube.apply([{**pod, "spec": {**pod["spec"], "terminationGracePeriodSeconds": 0}}])

    def third(item: dict[str, Any]) -> bool:
        (status,) = item["status"].get("containerStatuses", [{}])
        return status.get("restartCount") == 2 and "running" in status["state"]

    found = await kube.wait(await kube.path("v1", "Pod", "fails"), third, "the third run")
    assert found["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
    await eventually(_logged(kube, "fails", "run 2\n"), lambda: "the log of the third run")
    assert await kube.logs("fails", previous=True) == "run 1\n"


async def test_a_failing_liveness_probe_restarts_the_container(kube: KubeClient) -> None:
    probe = {"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 1}
    script = "import time; time.sleep(600)"
    pod = python_pod("dead", script, container={"livenessProbe": probe}, restartPolicy="Always")
    await kube.apply([{**pod, "spec": {**pod["spec"], "terminationGracePeriodSeconds": 0}}])

    def restarted(item: dict[str, Any]) -> bool:
        (status,) = item["status"].get("containerStatuses", [{}])
        return bool(status.get("restartCount", 0) >= 1)

    await kube.wait(await kube.path("v1", "Pod", "dead"), restarted, "restarted")


async def test_commands_of_probes_and_hooks_run_in_the_container(kube: KubeClient, node: Node) -> None:
    """The container is up when its file is there, and takes its leave through a hook before it is asked to end."""
    script = """\
import pathlib, signal, sys, time
def end(*_): print(pathlib.Path('/tmp-left').exists()); sys.exit()
signal.signal(signal.SIGTERM, end)
time.sleep(0.3)
pathlib.Path('/tmp-up').touch()
while True: signal.pause()
"""
    container = {
        "startupProbe": {"exec": {"command": ["test", "-e", "/tmp-up"]}, "periodSeconds": 1, "failureThreshold": 30},
        "lifecycle": {"preStop": {"exec": {"command": ["touch", "/tmp-left"]}}},
    }
    (pod,) = await kube.apply([python_pod("commands", script, container=container)])
    path = await kube.path("v1", "Pod", "commands")
    ready = await kube.wait(path, lambda item: has_condition(item, "Ready"), "ready")
    assert ready["status"]["containerStatuses"][0]["started"] is True
    await kube.delete("v1", "Pod", "commands")
    await kube.wait_gone(path)
    log = node.log_path(kube.namespace, "commands", pod["metadata"]["uid"], "main")
    assert log.read_text() == "True\n"


async def test_one_file_of_a_config_map_is_mounted_alone(kube: KubeClient) -> None:
    words = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "first", "b": "second"}}
    mounts = {"volumeMounts": [{"name": "words", "mountPath": "/etc/one/word", "subPath": "b"}]}
    volumes = [{"name": "words", "configMap": {"name": "c"}}]
    script = "import os; print(open('/etc/one/word').read(), os.listdir('/etc/one'))"
    await kube.apply([words, python_pod("one", script, container=mounts, volumes=volumes)])
    await finished(kube, "one")
    assert await kube.logs("one") == "second ['word']\n"


async def test_init_containers_come_first(kube: KubeClient) -> None:
    mounts = [{"name": "data", "mountPath": "/data"}]
    write = "import pathlib; pathlib.Path('/data/word').write_text('ready')"
    first = {"name": "first", "image": "python", "args": ["-c", write], "volumeMounts": mounts}
    await kube.apply(
        [
            python_pod(
                "second",
                "print(open('/data/word').read())",
                container={"volumeMounts": mounts},
                volumes=[{"name": "data", "emptyDir": {}}],
                initContainers=[first],
            )
        ]
    )
    pod = await finished(kube, "second")
    assert has_condition(pod, "Initialized")
    assert await kube.logs("second") == "ready\n"


def _logged(kube: KubeClient, pod: str, text: str) -> Any:
    async def logged() -> bool:
        return await kube.logs(pod) == text

    return logged
