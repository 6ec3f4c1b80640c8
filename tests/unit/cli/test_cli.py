from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from gateway import cli

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.settings import Settings

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

    monkeypatch.setattr(cli, "_serve", serve)
    return seen


def test_run_without_a_path_says_why() -> None:
    result = call("run")
    assert result.exit_code == 2
    assert "Kubernetes source is not in this release" in result.stderr


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
    [["GET", "http://a/"], ["GET", "/quote/"], ["GET", "http://a/", "-H", "no header"]],
    ids=["path", "url", "header"],
)
def test_explain_says_what_is_wrong(folder: Path, arguments: list[str]) -> None:
    paths = [] if arguments == ["GET", "http://a/"] else [folder]
    result = call("explain", *paths, *arguments)
    assert result.exit_code == 2
    assert "sluice explain:" in result.stderr


def test_ir_is_json(folder: Path) -> None:
    result = call("ir", folder)
    assert result.exit_code == 0, result.output
    assert [listener["port"] for listener in json.loads(result.stdout)["listeners"]] == [8080]


def test_version_names_the_build() -> None:
    result = call("version")
    assert result.exit_code == 0
    assert result.stdout.startswith("sluice ")
    assert "profile" in result.stdout
