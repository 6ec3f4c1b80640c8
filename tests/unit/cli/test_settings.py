from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.settings import (
    ConsulSettings,
    SettingsError,
    manifest_variables,
    own_namespace,
    parse_address,
    parse_service,
    read_environment,
    worker_environment,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("0.0.0.0", ("0.0.0.0", 8877)),
        (":9000", ("127.0.0.1", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("[::]", ("::", 8877)),
        ("::1", ("::1", 8877)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text, 8877) == expected


@pytest.mark.parametrize("text", ["a:b", "a:70000", "a:-1", "a:²"])
def test_wrong_addresses_say_what_to_write(text: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_address(text, 8877)


def test_an_empty_environment_says_nothing() -> None:
    env = read_environment({})
    assert (env.ambassador_id, env.drain_time, env.workers, env.debug) == (None, None, None, False)


def test_the_variables_of_emissary() -> None:
    env = read_environment(
        {
            "AMBASSADOR_ID": "edge",
            "AMBASSADOR_NAMESPACE": "gateways",
            "AMBASSADOR_DRAIN_TIME": "600",
            "AMBASSADOR_RECONFIG_MAX_DELAY": "1s",
            "ENVOY_CONCURRENCY": "3",
            "AMBASSADOR_JSON_LOGGING": "true",
            "AMBASSADOR_HEALTHCHECK_BIND_PORT": "9000",
        }
    )
    assert (env.ambassador_id, env.namespace, env.drain_time, env.reload_max_delay) == ("edge", "gateways", 600.0, 1.0)
    assert (env.workers, env.json_logging, env.admin_port) == (3, True, 9000)


def test_statuses_of_mappings_are_written_unless_the_operator_says_otherwise() -> None:
    assert read_environment({}).mapping_status
    assert read_environment({"AMBASSADOR_UPDATE_MAPPING_STATUS": "true"}).mapping_status
    assert not read_environment({"AMBASSADOR_UPDATE_MAPPING_STATUS": "false"}).mapping_status


def test_the_variables_of_consul() -> None:
    env = read_environment(
        {
            "CONSUL_HTTP_TOKEN": "secret",
            "CONSUL_HTTP_ADDR": "consul:8501",
            "CONSUL_HTTP_SSL": "true",
            "CONSUL_CACERT": "f",
        }
    )
    assert env.consul == ConsulSettings("secret", "", "consul:8501", tls=True, ca_file="f")
    assert "secret" not in repr(env)
    assert "CONSUL_HTTP_TOKEN" not in worker_environment([], {"CONSUL_HTTP_TOKEN": "secret"})


@pytest.mark.parametrize("text", ["sluice", "/sluice", "edge/", "a/b/c"])
def test_a_service_has_a_namespace(text: str) -> None:
    with pytest.raises(SettingsError, match="NAMESPACE/NAME"):
        parse_service("--publish-service", text)


def test_the_namespace_of_a_pod_is_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("gateways\n")
    assert own_namespace(str(tmp_path / "namespace")) == "gateways"
    assert own_namespace(str(tmp_path / "nothing")) == ""


@pytest.mark.parametrize(
    "variable", [{"AMBASSADOR_DRAIN_TIME": "soon"}, {"AMBASSADOR_DRAIN_TIME": "-1"}, {"ENVOY_CONCURRENCY": "two"}]
)
def test_nonsense_names_the_variable(variable: dict[str, str]) -> None:
    (name,) = variable
    with pytest.raises(SettingsError, match=name):
        read_environment(variable)


def test_a_worker_imports_what_the_master_imports() -> None:
    env = worker_environment(["/a", "/b"], {"PATH": "/bin", "PYTHONPATH": "/c"})
    assert (env["PYTHONPATH"], env["PATH"]) == ("/a:/b", "/bin")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, None),
        ({"AMBASSADOR_CONFIG_BASE_DIR": "/ambassador"}, "/ambassador/ambassador-config"),
        ({"AMBASSADOR_CONFIG_BASE_DIR": "/ambassador", "AMBASSADOR_CONFIG_DIR": "/etc/edge"}, "/etc/edge"),
        ({"AMBASSADOR_CONFIG_DIR": "/etc/edge", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
    ],
)
def test_the_folder_of_emissary(environ: dict[str, str], folder: str | None) -> None:
    assert read_environment(environ).config_folder == folder


def test_switches() -> None:
    env = read_environment({})
    assert (env.strict_label_selectors, env.allow_unenforced_auth, env.expand_variables) == (True, False, ())
    env = read_environment(
        {
            "DISABLE_STRICT_LABEL_SELECTORS": "true",
            "SLUICE_ALLOW_UNENFORCED_AUTH": "1",
            "SLUICE_EXPAND_VARIABLES": "EDGE_,SITE_",
        }
    )
    assert (env.strict_label_selectors, env.allow_unenforced_auth) == (False, True)
    assert env.expand_variables == ("EDGE_", "SITE_")


def test_variables_of_manifests_are_chosen_by_prefix() -> None:
    environ = {"EDGE_A": "1", "SITE_B": "2", "SECRET": "3"}
    assert manifest_variables([], environ) == {}
    assert manifest_variables(["EDGE_", "SITE_"], environ) == {"EDGE_A": "1", "SITE_B": "2"}
    with pytest.raises(SettingsError, match="write the beginning"):
        manifest_variables([""], environ)
