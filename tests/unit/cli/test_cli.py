from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from gateway import cli
from gateway.cli import commands, options
from gateway.cli.log import configure_log
from gateway.settings import KubernetesSettings, Settings
from gateway.translate.differences import DIFFERENCES, DIFFERS
from tests.support import manifests
from tests.support.certs import Authority

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: web}
spec: {port: 8080, protocol: HTTP, securityModel: INSECURE, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: quote}
spec: {hostname: "*", prefix: /quote/, service: "127.0.0.1:9"}
"""
BAD = """\
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: broken}
spec: {hostname: "*", prefix: 7}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


def call(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    clean = {"NO_COLOR": "1", "COLUMNS": "80"}
    return CliRunner().invoke(cli.app, list(map(str, arguments)), env=clean | (env or {}))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings of each ``run``, which does not start."""
    seen: list[Settings] = []

    def serve(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr(commands, "_serve", serve)
    return seen


def test_run_without_a_path_reads_from_kubernetes(served: list[Settings], tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("")
    env = {
        "AMBASSADOR_NAMESPACE": "gateways",
        "AMBASSADOR_SINGLE_NAMESPACE": "yes",
        "AMBASSADOR_LABEL_SELECTOR": "team=a",
        "AMBASSADOR_FIELD_SELECTOR": "metadata.namespace!=kube-system",
        "SLUICE_STATE_DIR": "/state",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }
    assert call("run", env=env).exit_code == 0
    assert call("run", "--kubeconfig", config, "--context", "c", "--namespace", "a", "--namespace", "b").exit_code == 0
    in_pod, outside = (item.kubernetes for item in served)
    assert in_pod == KubernetesSettings(
        in_cluster=True,
        namespaces=("gateways",),
        label_selector="team=a",
        field_selector="metadata.namespace!=kube-system",
        state_dir="/state",
    )
    assert served[0].namespace == "gateways"
    assert outside == KubernetesSettings(kubeconfig=str(config), context="c", namespaces=("a", "b"))


def test_run_with_a_path_leaves_kubernetes_alone(folder: Path, served: list[Settings]) -> None:
    assert call("run", folder, env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).exit_code == 0
    assert served[0].kubernetes is None


def test_run_without_the_client_of_kubernetes_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "find_spec", lambda _: None)
    result = call("run")
    assert result.exit_code == 2
    assert "pip install 'sluice-gateway[kube]'" in result.stderr


CLUSTER = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncurrent-context: c\n"


@pytest.mark.parametrize(
    "text",
    ["", f"{CLUSTER}contexts: [{{name: c, context: {{cluster: c}}}}]\n", "a: [b", "clusters: 7\n", "- a list\n"],
)
def test_a_cluster_without_credentials_is_an_error_that_says_where_they_were_looked_for(
    text: str, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"apiVersion: v1\nkind: Config\n{text}" if text[:1] != "-" else text)
    result = call("check", "--kubeconfig", config)
    assert result.exit_code == 1
    assert f"no access to a cluster by {config}" in result.stderr


def test_the_help_names_every_flag_in_full() -> None:
    shown = call("run", "--help", env={"COLUMNS": "80"}).stdout
    assert "--max-connections-per-address" in shown
    assert "…" not in shown


def test_a_kubeconfig_that_does_not_exist_is_named() -> None:
    result = call("check", "--kubeconfig", "/nowhere/config")
    assert result.exit_code == 2
    assert "/nowhere/config does not exist" in result.stderr


def test_flags_win_over_the_environment(folder: Path, served: list[Settings]) -> None:
    env = {"AMBASSADOR_ID": "env", "AMBASSADOR_DRAIN_TIME": "600", "ENVOY_CONCURRENCY": "3", "AMBASSADOR_DEBUG": "1"}
    assert call("run", folder, env=env).exit_code == 0
    assert (
        call("run", folder, "--ambassador-id", "flag", "--drain-timeout", "5", "--workers", "1", env=env).exit_code == 0
    )
    by_env, by_flag = served
    assert (by_env.ambassador_id, by_env.drain.timeout, by_env.workers.count) == ("env", 600.0, 3)
    assert by_env.log_level == "debug"
    assert (by_flag.ambassador_id, by_flag.drain.timeout, by_flag.workers.count) == ("flag", 5.0, 1)


def test_all_flags_of_run(folder: Path, served: list[Settings]) -> None:
    flags = "--bind-address ::1 --http-port 80 --https-port 443 --admin-address 0.0.0.0:9 --access-log json"
    more = "--log-level warning --drain-grace 10 --allow-remote-diagnostics"
    assert call("run", folder, *flags.split(), *more.split()).exit_code == 0
    (settings,) = served
    assert (settings.listen.bind_address, settings.listen.http_port, settings.listen.https_port) == ("::1", 80, 443)
    assert (settings.admin.address, settings.admin.port, settings.admin.diagnostics_anywhere) == ("0.0.0.0", 9, True)
    assert (settings.access_log, settings.log_level, settings.drain.grace) == ("json", "warning", 10.0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        pytest.param(["--http-port", "80", "--https-port", "80"], "different ports", id="same-port"),
        pytest.param(["--admin-address", ":8080"], "change --admin-address", id="admin-on-data-port"),
        pytest.param(["--admin-address", "here:there"], "HOST:PORT", id="address"),
        pytest.param(["no-such-folder"], "does not exist", id="path"),
        pytest.param(["--bind-address", "300.0.0.1"], "--bind-address: '300.0.0.1' is no IP address", id="bind"),
        pytest.param(["--bind-address", "::g"], "--bind-address: '::g' is no IP address", id="bind-v6"),
        pytest.param(["--admin-address", "no.such.invalid"], "--admin-address: 'no.such.invalid' is", id="admin"),
    ],
)
def test_combinations_that_cannot_work_say_what_to_do(
    folder: Path, served: list[Settings], flags: list[str], words: str
) -> None:
    result = call("run", folder, *flags)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not served


def test_check_of_good_manifests(folder: Path) -> None:
    result = call("check", folder)
    assert result.exit_code == 0, result.output
    assert "0 errors" in result.stdout


def test_check_prints_located_findings_without_colour(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD)
    result = call("check", folder)
    assert result.exit_code == 1
    assert "Mapping default/broken" in result.stdout
    assert "spec.prefix" in result.stdout
    assert "\x1b" not in result.stdout


def test_check_as_json(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD)
    result = call("check", folder, "--output", "json")
    assert result.exit_code == 1
    page = json.loads(result.stdout)
    assert page["errors"] >= 1
    assert {"kind", "namespace", "name", "field", "message"} <= page["diagnostics"][0].keys()


def test_explain_names_the_route(folder: Path) -> None:
    result = call("explain", folder, "get", "http://localhost:8080/quote/x", "-H", "X-A: b")
    assert result.exit_code == 0, result.output
    assert "quote" in json.dumps(json.loads(result.stdout))


@pytest.mark.parametrize(
    "arguments",
    [
        ["GET"],
        ["GET", "/quote/"],
        ["GET", "http://a/", "-H", "no header"],
        ["GET", "ftp://a/b"],
        ["GET", "http://a/", "--peer", "somebody"],
    ],
    ids=["words", "url", "header", "scheme", "peer"],
)
def test_explain_says_what_is_wrong(folder: Path, arguments: list[str]) -> None:
    paths = [] if arguments == ["GET"] else [folder]
    result = call("explain", *paths, *arguments)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("sluice explain:")
    assert result.stderr.count("\n") == 1


def test_explain_of_a_folder_without_a_listener_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("protocol: HTTP", "protocol: UDP"))
    result = call("explain", tmp_path, "GET", "http://a/")
    assert result.exit_code == 2
    assert result.stderr == "sluice explain: there is no listener\n"


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("https://a.example.com/quote/", "forward"),
        ("HTTPS://A.example.com:8443/quote/", "forward"),
        ("https://b.example.com/quote/", "tls_refused"),
        ("https://127.0.0.1/quote/", "tls_refused"),
        ("https://[::1]:8443/quote/", "tls_refused"),
        ("http://b.example.com/quote/", "no_virtual_host"),
    ],
)
def test_explain_says_where_the_handshake_fails(tmp_path: Path, url: str, outcome: str) -> None:
    issued = Authority().issue("a.example.com")
    secret = {"tls.crt": issued.chain, "tls.key": issued.key}
    (tmp_path / "m").mkdir()
    manifests.write(
        tmp_path / "m",
        "x.yaml",
        manifests.host("a", "a.example.com", secret="s"),
        manifests.mapping("quote", "/quote/", "127.0.0.1:9"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": secret},
    )
    result = call("explain", tmp_path / "m", "GET", url)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["outcome"] == outcome
    if outcome == "tls_refused":
        assert "no certificate" in answer["reason"]


def test_ir_is_json(folder: Path) -> None:
    result = call("ir", folder)
    assert result.exit_code == 0, result.output
    assert [listener["port"] for listener in json.loads(result.stdout)["listeners"]] == [8080]


def test_the_version_is_a_flag_too() -> None:
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout == call("version").stdout.splitlines()[0] + "\n"


def test_check_counts_refused_objects_and_finds_nothing_in_an_empty_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.yaml").write_text(BAD)
    assert "3 objects (1 refused): 2 errors, 0 warnings, 0 notices" in call("check", folder).stdout
    page = json.loads(call("check", folder, "-o", "json").stdout)
    assert (page["objects"], page["refused"]) == (3, 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    result = call("check", empty)
    assert result.exit_code == 1
    assert "nothing-found" in result.stdout
    assert "0 objects: 1 error" in result.stdout


def test_check_names_the_object_of_what_cannot_be_compiled(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD.replace("prefix: 7", 'prefix: "/a(", prefix_regex: true, service: s'))
    result = call("check", folder)
    assert result.exit_code == 1
    assert "error [compile] Mapping default/broken spec.prefix\n" in result.stdout
    assert f"at: {folder}/bad.yaml:1\n" in result.stdout
    assert "virtual_host" not in result.stdout


def test_the_default_ports_are_named(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD.split("---")[1])
    assert "notice [default-listeners] Listener\n  there is no Listener: the gateway opens port 8080;" in (
        call("check", folder).stdout
    )


def test_the_watcher_library_is_quiet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    configure_log(Settings(log_level="debug"))
    assert not logging.getLogger("watchfiles.main").isEnabledFor(logging.INFO)


def test_version_names_the_build() -> None:
    result = call("version")
    assert result.exit_code == 0
    assert result.stdout.startswith("sluice ")
    assert "profile" in result.stdout


def test_crds_prints_the_definitions() -> None:
    result = call("crds")
    assert result.exit_code == 0
    assert result.stdout.count("kind: CustomResourceDefinition\n") == 15


AUTH = """\
---
apiVersion: getambassador.io/v3alpha1
kind: AuthService
metadata: {name: auth}
spec: {auth_service: "127.0.0.1:9"}
"""


def test_routes_under_an_auth_service_are_refused_unless_the_operator_wants_otherwise(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD + AUTH)
    closed = call("check", folder)
    assert closed.exit_code == 1
    assert "error [routes-refused] AuthService default/auth" in closed.stdout
    explained = json.loads(call("explain", folder, "GET", "http://localhost/quote/").stdout)
    assert "500" in json.dumps(explained)
    opened = call("check", folder, env={"SLUICE_ALLOW_UNENFORCED_AUTH": "1"})
    assert "error [auth-not-enforced] AuthService default/auth" in opened.stdout
    assert "routes-refused" not in opened.stdout


def test_what_is_decided_by_flags_of_run_is_decided_offline_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_PREFIX", "/from-outside/")
    good = GOOD.replace("prefix: /quote/", 'prefix: "${EDGE_PREFIX}"')
    assert good != GOOD
    (folder / "good.yaml").write_text(good + AUTH)
    flags = ("--allow-unenforced-auth", "--expand-variables", "EDGE_")
    checked = call("check", folder, *flags).stdout
    assert "auth-not-enforced" in checked
    assert "routes-refused" not in checked
    url = "http://localhost/from-outside/"
    explained = json.loads(call("explain", *flags, folder, "GET", url).stdout)
    assert explained["outcome"] == "forward"
    assert json.loads(call("explain", folder, "GET", url).stdout)["outcome"] != "forward"
    shown = call("ir", folder, *flags).stdout
    assert "/from-outside/" in shown
    assert "/from-outside/" not in call("ir", folder).stdout


def test_routes_under_an_auth_service_that_cannot_be_read_are_refused(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD + AUTH.replace('"127.0.0.1:9"', "7"))
    assert "error [field-type] AuthService default/auth spec.auth_service" in call("check", folder).stdout
    explained = json.loads(call("explain", folder, "GET", "http://localhost/quote/").stdout)
    assert "500" in json.dumps(explained)


def test_settings_for_manifests_reach_the_gateway(folder: Path, served: list[Settings]) -> None:
    env = {"EDGE_HOST": "a", "DISABLE_STRICT_LABEL_SELECTORS": "true"}
    flags = ["--allow-unenforced-auth", "--expand-variables", "EDGE_"]
    assert call("run", folder, *flags, env=env).exit_code == 0
    assert call("run", env={"AMBASSADOR_CONFIG_DIR": str(folder), "KUBERNETES_SERVICE_HOST": ""}).exit_code == 0
    first, second = served
    assert (first.allow_unenforced_auth, first.strict_label_selectors) == (True, False)
    assert first.variables == {"EDGE_HOST": "a"}
    assert (second.paths, second.allow_unenforced_auth, second.variables) == ((str(folder),), False, {})
    assert call("run", folder, "--expand-variables", "").exit_code == 2


DIFFERENT = """\
apiVersion: getambassador.io/v3alpha1
kind: Module
metadata: {name: ambassador}
spec:
  config:
    admin_port: 8001
    allow_chunked_length: true
    diagnostics: {enabled: true, allow_non_local: true}
    envoy_log_path: /dev/fd/1
    envoy_validation_timeout: 10
    error_response_overrides: [{on_status_code: 404, body: {text_format: gone}}]
    header_case_overrides: [X-A]
    lua_scripts: "function envoy_on_request(h) end"
    prune_unreachable_routes: false
    regex_max_size: 500
    regex_type: safe
    runtime_flags: {a: b}
    statsd: {enabled: true}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: one}
spec:
  hostname: "*"
  prefix: /one/
  service: one
  envoy_override: {a: b}
  outlier_detection: '{"consecutive_5xx": 5}'
  error_response_overrides: [{on_status_code: 404, body: {text_format: gone}}]
  host_rewrite: "${HOST_NAME}.example.com"
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: two}
spec: {hostname: "*", prefix: /two/, service: "https://two", envoy_override: {a: b}, modules: [{a: b}]}
---
apiVersion: getambassador.io/v3alpha1
kind: RateLimitService
metadata: {name: limiter}
spec: {service: limiter}
---
apiVersion: getambassador.io/v3alpha1
kind: LogService
metadata: {name: logs}
spec: {service: logs, driver: http}
---
apiVersion: getambassador.io/v3alpha1
kind: AuthService
metadata: {name: auth}
spec: {auth_service: auth, proto: grpc}
---
apiVersion: getambassador.io/v3alpha1
kind: TCPMapping
metadata: {name: db}
spec: {port: 9000, host: db.example, service: "db:1"}
"""


def test_check_says_what_is_different_from_emissary(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(DIFFERENT)
    env = {"SLUICE_ALLOW_UNENFORCED_AUTH": "1"}
    _, _, text = call("check", tmp_path, env=env).stdout.partition("different from Emissary\n")
    entries = [line for line in text.splitlines() if line.startswith(("notice ", "warning "))]
    fields = [
        *(f"Module spec.config.{name.partition('.')[2]}" for name in DIFFERENCES if name.startswith("Module.")),
        *(f"Mapping spec.{name.partition('.')[2]}" for name in DIFFERENCES if name.startswith("Mapping.")),
        "Mapping spec.outlier_detection",
        "Mapping spec",
        "AuthService spec.protocol_version",
        "LogService spec.protocol_version",
        "RateLimitService spec.protocol_version",
    ]
    fields.remove("Module spec.config.proper_case")  # It excludes header_case_overrides.
    places = [f"{'warning' if 'lua' in f or 'envoy_over' in f else 'notice'} [{DIFFERS}] {f}" for f in fields]
    places += [
        "notice [default-listeners] Listener",
        "notice [tcp-passthrough] TCPMapping spec.host",
        "notice [upstream-tls-verified] Mapping",
    ]
    assert sorted(entries) == sorted(places)
    assert "  of: default/one, default/two\n" in text, "one entry for two Mappings"
